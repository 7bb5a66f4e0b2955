"""What captured credentials need of the house, and what becomes of a placeholder that cannot be spent."""

from collections import OrderedDict
from datetime import datetime
from typing import Final, Generic, NamedTuple, TypeVar, final

from gateway.core.decision import Permit
from gateway.core.errors import Forbidden
from gateway.core.ports import Clock, Metrics
from gateway.core.reason import Reason
from gateway.credentials.tokens import Tell
from gateway.credentials.vault.ring import Ring

COUNTED: Final = "gateway.credentials.placeholders"
REMEMBERED: Final = 1024
EACH: Final = 64
"""Opened placeholders of one principal, who has as many as answers were captured for it."""
T = TypeVar("T")


class Used(NamedTuple):
    """What captured credentials need of the house."""

    ring: Ring
    clock: Clock
    metrics: Metrics
    tell: Tell


class Refused(Exception):
    """A placeholder that cannot be spent; says why in one word."""


@final
class Opened(Generic[T]):
    """What placeholders of one credential stand for, so that a key that lies elsewhere is not asked for each request.

    Of each principal the last EACH used are kept, and REMEMBERED in all: beyond, the principal whose last use is longest ago
    loses one. `issued_after` is the credential's (model.py).
    """

    def __init__(self, clock: Clock, issued_after: str | None) -> None:
        self._clock = clock
        self._after = 0.0 if issued_after is None else datetime.fromisoformat(issued_after).timestamp()
        self._known: OrderedDict[str, OrderedDict[bytes, T]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, principal: str, value: bytes) -> T | None:
        mine = self._known.get(principal)
        if mine is None or value not in mine:
            return None
        self._known.move_to_end(principal)
        mine.move_to_end(value)
        return mine[value]

    def keep(self, principal: str, value: bytes, found: T) -> None:
        mine = self._known.setdefault(principal, OrderedDict())
        self._known.move_to_end(principal)
        self._count += value not in mine
        mine[value] = found
        if len(mine) > EACH:
            self._drop(principal)
        if self._count > REMEMBERED:
            self._drop(next(iter(self._known)))

    def _drop(self, principal: str) -> None:
        self._known[principal].popitem(last=False)
        self._count -= 1
        if not self._known[principal]:
            del self._known[principal]

    def judge(self, expires: int, captured_at: int) -> None:
        """Raises Refused for what has ended, and for what was captured before `issued_after`."""
        if self._clock.now() >= expires:
            raise Refused("expired")
        if captured_at < self._after:
            raise Refused("revoked")


def refusal(used: Used, name: str, permit: Permit, why: str) -> Forbidden:
    """Count it and tell the trail; the client learns no more than that it has none. `name` is the credential's."""
    used.metrics.count(COUNTED, 1, credential=name, outcome=why)
    principal, access = permit.principal, permit.access
    used.tell(
        "placeholder.refused",
        issuer=principal.issuer,
        subject=principal.id,
        scheme=principal.scheme,
        route=access.route,
        upstream=access.upstream,
        credential=name,
        fault=why,
    )
    return Forbidden(f"{name}: placeholder refused: {why}", reason=Reason.UPSTREAM_CREDENTIAL_MISSING)
