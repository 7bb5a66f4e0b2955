"""Which of the gateway's own tokens were taken back before their time: a set that all workers and replicas share.

A token names what takes it back: itself, those it was made of, and the family of a refresh token. Only digests are kept, and only
while such a token could still count.
"""

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from heapq import heappop, heappush
from typing import Any, Final, final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock

MOST: Final = 200_000
"""Names held at once, about 40 MB. Where they are reached nothing more is revoked: to forget one would let it count again."""
SINGLE: Final = 2
"""Names of single tokens have one half of that: the other is for families, which end where one was copied."""
OF_CLIENT: Final = 4
"""One client has a quarter of it for single tokens."""
Share = Callable[[str, float], Awaitable[None]]


def mark(name: str) -> str:
    """What is kept of a name."""
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


@final
class Revoked:
    """What was revoked, as this process knows it."""

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        self._monotonic = clock.monotonic
        self._most = most
        self._until: dict[str, float] = {}
        self._ends: list[tuple[float, str]] = []
        self._of: Counter[str] = Counter()
        self._owned: list[tuple[float, str]] = []
        self.revision = 0
        """Changes with each name that is new, and when nobody can tell any more: what was verified before is verified again."""
        self.blind = False
        """Whether nobody could tell for too long what others revoked: then no token counts."""
        self.share: Share | None = None
        """Tells all replicas; None where there is one process."""

    async def revoke(self, name: str, seconds: float, *, of: str | None = None, share: int = 1, single: bool = False) -> None:
        """`name` counts no more, here at once, elsewhere within a second; for `seconds`, after which nothing of that name could.
        `of` is on whose account, who has one of so many `share`s of the room; `single`, of one token, not of a family.

        Raises DependencyDown where there is no room for it, or not everybody can be told.
        """
        self._drop()
        full = len(self._until) >= self._most // (SINGLE if single else 1)
        if full or (of is not None and self._of[of] >= max(self._most // share, 1)):
            raise DependencyDown("tokens: more was revoked than can be remembered")
        found = mark(name)
        if self.share is not None:
            await self.share(found, seconds)
        if of is not None and found not in self._until:
            self._of[of] += 1
            heappush(self._owned, (self._monotonic() + seconds, of))
        self.take(found, seconds)

    def take(self, found: str, seconds: float) -> None:
        """What some replica revoked: the mark of a name, and for how long."""
        self._drop()
        until = self._monotonic() + seconds
        if self._until.get(found, 0.0) >= until - 1:
            return  # this process's own word comes back to it
        self._until[found] = until
        heappush(self._ends, (until, found))
        self.revision += 1

    def has(self, names: Iterable[str]) -> bool:
        """Whether one of these was revoked. Raises DependencyDown while that cannot be told."""
        if self.blind:
            raise DependencyDown("tokens: what was revoked cannot be told, its store is away")
        return bool(self._until) and any(mark(name) in self._until for name in names)

    def blinded(self, blind: bool) -> None:
        """Whether what others revoke is heard."""
        if blind and not self.blind:
            self.revision += 1
        self.blind = blind

    def start(self) -> None:
        """Nothing to begin."""

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return {"kind": "memory", "held": len(self._until)}

    async def close(self) -> None:
        """Nothing to let go of."""

    def __len__(self) -> int:
        return len(self._until)

    def _drop(self) -> None:
        now = self._monotonic()
        while self._ends and self._ends[0][0] <= now:
            end, found = heappop(self._ends)
            if self._until.get(found) == end:
                del self._until[found]
        while self._owned and self._owned[0][0] <= now:
            _, of = heappop(self._owned)
            self._of[of] -= 1
            if not self._of[of]:
                del self._of[of]
