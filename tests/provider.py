"""A provider's token endpoint as a function: rotates refresh tokens and ends a grant whose old one is used again (RFC 9700 4.14.2)."""

import asyncio
from collections.abc import Callable
from itertools import count

from gateway.core.secret import Secret
from gateway.credentials.grants.refresh import Pair, Refused


class RotatingProvider:
    """Implements `grants.refresh.Ask`. A test may hold an answer back, lose it, or let the provider fail."""

    client = "client-1"

    def __init__(self, refresh: str = "refresh-0", lifetime: float | None = 3600.0) -> None:
        self.valid = refresh
        self.lifetime = lifetime
        self.used: set[str] = set()
        self.ended = False
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.failing: Callable[[], Exception] | None = None
        self._numbers = count(1)

    async def __call__(self, refresh: Secret) -> Pair:
        given = refresh.reveal().decode()
        self.asked.append(given)
        if self.failing is not None:
            raise self.failing()
        if self.ended or given != self.valid:
            self.ended = self.ended or given in self.used
            raise Refused
        number = next(self._numbers)
        self.used.add(given)
        self.valid = f"refresh-{number}"
        await self.open.wait()
        return Pair(Secret(f"access-{number}".encode()), Secret(self.valid.encode()), self.lifetime)
