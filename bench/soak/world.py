"""What everybody in a soak shares: the site, the ledger, and whether it is over."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from bench.soak.ledger import Ledger
from bench.soak.site import Site
from bench.soak.wire import Line


@dataclass(slots=True)
class World:
    """One soak. `revoked` maps API keys to when they were taken back, `turn` is what X-Soak may say."""

    site: Site
    ledger: Ledger
    until: float
    over: asyncio.Event = field(default_factory=asyncio.Event)
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    keys: dict[str, float | None] = field(default_factory=dict)
    reloads: dict[str, int] = field(default_factory=lambda: {"applied": 0, "refused": 0})
    tokens: int = 0

    def token(self) -> str:
        """A word no other request has."""
        self.tokens += 1
        return f"t{self.tokens}-{self.chance.getrandbits(40):x}"

    def line(self, number: int) -> Line:
        """A new connection, over TLS for every other number."""
        context = self.site.context() if number % 2 else None
        return Line(self.site.secure if context else self.site.plain, context)

    async def pause(self, seconds: float) -> bool:
        """Wait that long, or until it is over; whether to go on."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), seconds)
        return not self.over.is_set()

    async def every(self, seconds: float) -> AsyncIterator[int]:
        """Numbers from 0, one about every so many seconds, until it is over."""
        number = 0
        while await self.pause(seconds * (0.5 + self.chance.random())):
            yield number
            number += 1

    async def end(self) -> None:
        await asyncio.sleep(max(0.0, self.until - time.monotonic()))
        self.over.set()
