"""Logins that a browser has begun: what has to be known when it comes back lies sealed in a cookie of this browser, one for each.

So tabs that log in at the same time do not take each other's. There are SLOTS names, a login takes one by chance, and its `state`
begins with the number: tabs that begin at once rarely meet, and no other site can fill the jar.
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from gateway.authn.login.cookies import LONGEST, Cookie
from gateway.authn.login.seal import Seal
from gateway.authn.login.targets import target
from gateway.core.errors import BadRequest
from gateway.core.message import Field
from gateway.core.ports import CLOCKS, Clock
from gateway.core.reason import Reason

SECONDS: Final = 600
SLOTS: Final = 16
MOST: Final = 4
"""Logins under way in one browser, of those that are not begun at the same moment: the oldest is given up for another."""
Held = Callable[[Cookie], Sequence[bytes]]
"""Every value that a browser sent of a cookie: an honest one sends at most one."""
STATE: Final = re.compile(r"[0-9a-f][A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a login shall be: at which provider, how strong and recent beyond what its entry asks, and where it leads."""

    provider: str
    target: str = "/"
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """A login that was begun."""

    wish: Wish
    state: str
    nonce: str
    verifier: str
    begun: float


@final
class PendingLogins:
    """The logins under way of whoever asks. `name` is that of the session's cookie."""

    def __init__(self, name: str, seal: Seal, clock: Clock) -> None:
        # The provider sends the browser back, from another site: strict cookies would not come along.
        self._cookies = [Cookie(f"{name}-login-{slot:x}", "lax") for slot in range(SLOTS)]
        self.names = frozenset(cookie.name for cookie in self._cookies)
        self._seal = seal
        self._now = clock.now

    def begin(self, wish: Wish, sent: Held) -> tuple[Pending, list[Field]]:
        """One more, and the fields that have the browser keep it, instead of the oldest where it has enough.

        Raises DependencyDown."""
        held = {slot: self._begun(slot, values) for slot, cookie in enumerate(self._cookies) if (values := sent(cookie))}
        given_up = sorted(held, key=held.__getitem__)[: max(len(held) - MOST + 1, 0)]
        free = [slot for slot in range(SLOTS) if slot not in held]
        slot = secrets.choice(free or given_up)
        state = f"{slot:x}{secrets.token_urlsafe(32)}"
        pending = Pending(wish, state, secrets.token_urlsafe(32), secrets.token_urlsafe(48), self._now())
        kept = self._cookies[slot].set(self._seal.close(dumped(pending), bound(slot)), SECONDS)
        return pending, [kept, *(self._cookies[each].clear() for each in given_up if each != slot)]

    def of(self, state: str, sent: Held) -> Pending:
        """The one that a `state` is of. Raises BadRequest: this browser began no such login, and DependencyDown."""
        slot = slot_of(state)
        cookies = [] if slot is None else sent(self._cookies[slot])
        if slot is None or len(cookies) != 1:
            raise invalid("not exactly one login cookie")
        pending = self._opened(slot, cookies[0])
        if pending is None:
            raise invalid("not sealed by us")
        if not -CLOCKS <= self._now() - pending.begun < SECONDS:
            raise invalid("too old")
        return pending

    def clear(self, query: Mapping[str, Sequence[str]]) -> list[Field]:
        """The field that takes back the cookie of the login that came back."""
        slot = slot_of(next(iter(query.get("state", ())), ""))
        return [] if slot is None else [self._cookies[slot].clear()]

    def _begun(self, slot: int, values: Sequence[bytes]) -> float:
        """When; the beginning of time for what is not ours, or not one."""
        pending = self._opened(slot, values[0]) if len(values) == 1 else None
        return 0.0 if pending is None else pending.begun

    def _opened(self, slot: int, value: bytes) -> Pending | None:
        raw = self._seal.open(value, bound(slot)) if len(value) <= LONGEST else None
        if raw is None:
            return None
        provider, to, acr_values, max_age, state, nonce, verifier, begun = json.loads(raw)
        return Pending(Wish(provider, target(to), tuple(acr_values), max_age), state, nonce, verifier, begun)


def slot_of(state: str) -> int | None:
    return int(state[0], 16) if STATE.fullmatch(state) else None


def bound(slot: int) -> bytes:
    """What a cookie is sealed with: moved to another name it does not open."""
    return b"login state %d" % slot


def dumped(pending: Pending) -> bytes:
    wish = pending.wish
    told: list[Any] = [wish.provider, wish.target, list(wish.acr_values), wish.max_age]
    told += [pending.state, pending.nonce, pending.verifier, pending.begun]
    return json.dumps(told, separators=(",", ":")).encode()


def invalid(why: str) -> BadRequest:
    return BadRequest(f"login: {why}", reason=Reason.STATE_INVALID)
