"""A minted token, the place where it lies, and what a request says of the one it needs."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, NamedTuple, final

from gateway.core.errors import DependencyDown, GatewayError, Ungranted
from gateway.core.message import lines
from gateway.credentials.header import bearer
from gateway.scrub.needles import Needles

AHEAD: Final = 0.8
"""The part of a token's life after which it is asked for again, less a tenth of jitter."""
SKEW: Final = 60.0
"""Seconds before its end by which a token is asked for again at the latest, where it lives long enough."""
SPARE: Final = 5.0
"""Seconds before its end from which a token is not sent any more: it has to arrive, too."""
LONGEST: Final = 24 * 3600.0


class Fresh(NamedTuple):
    """What a mint gave: a token fit for a header field, and for how many seconds it is good, counted from when it was asked for.

    `due` is after how many of them it is to be asked for again, where that is told otherwise than by its life.
    """

    value: bytes
    lifetime: float
    due: float | None = None


class Wanted:
    """What a request needs: a token, told from others by `key`, how to mint it, and the header fields it goes out in.

    `ahead` are the seconds before its end by which it is asked for again; `further` is a field that goes with it, in wire form.
    """

    __slots__ = ("ahead", "form", "further", "key", "mint", "who")

    def __init__(
        self,
        key: Hashable,
        mint: Callable[[], Awaitable[Fresh]],
        *,
        ahead: float = SKEW,
        form: Callable[[bytes], bytes] = bearer,
        further: bytes = b"",
        who: tuple[str | None, str | None] = (None, None),
    ) -> None:
        self.key = key
        self.mint = mint
        self.ahead = ahead
        self.form = form
        self.further = further
        self.who = who


@final
class Token:
    """A token that is good until `ends` and to be asked for again from `due` on, both monotonic. `line` is what goes out."""

    __slots__ = ("due", "echoes", "ends", "line")

    def __init__(self, wanted: Wanted, fresh: Fresh, asked: float, jitter: float) -> None:
        life = min(fresh.lifetime, LONGEST)
        value = wanted.form(fresh.value)
        self.line = lines([(b"authorization", value)]) + wanted.further
        self.echoes = (Needles(fresh.value, value),)
        self.ends = asked + life - min(SPARE, life / 10)
        late = life - wanted.ahead if life > 2 * wanted.ahead else life / 2
        self.due = asked + min(late, life * AHEAD * (1 - jitter / 10), life if fresh.due is None else fresh.due)


@final
class Slot:
    """One token and what becomes of it. `rejected` is the line of one that an upstream refused, until the next."""

    __slots__ = ("cause", "failures", "minting", "refused", "rejected", "retry", "spared", "token")

    def __init__(self) -> None:
        self.token: Token | None = None
        self.rejected = b""
        self.minting: asyncio.Task[None] | None = None
        self.retry = self.spared = 0.0
        self.failures = 0
        self.cause = ""
        self.refused = False

    def error(self) -> GatewayError:
        """Why there is none; a new one each time, as each is raised by another request."""
        return Ungranted(self.cause) if self.refused else DependencyDown(self.cause or "no token yet")
