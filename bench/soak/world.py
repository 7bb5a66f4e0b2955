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


def proxied(number: int) -> bytes:
    """A PROXY header, version 1 or 2, for a client of another address each time."""
    host = number % 250 + 1
    if number % 8 == 2:
        return f"PROXY TCP4 192.0.2.{host} 198.51.100.1 40000 443\r\n".encode()
    # Version 2: signature, PROXY, TCP over IPv4, 12 bytes of addresses and ports.
    addresses = bytes((192, 0, 2, host, 198, 51, 100, 1)) + (40000).to_bytes(2, "big") + (443).to_bytes(2, "big")
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + addresses


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
        """A new connection: plain, over TLS, or as a load balancer's, by turns. (HTTP/2 would have its turn here.)"""
        if number % 2:
            return Line(self.site.secure, self.site.context())
        if number % 4:
            return Line(self.site.balanced, first=proxied(number))
        return Line(self.site.plain)

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
