"""How many may ask one provider at the same time: whoever floods the callback keeps neither the provider nor the others busy."""

import asyncio
from typing import Final, final

from gateway.core.errors import Unavailable

AT_ONCE: Final = 8
"""Half of what the control plane may have open."""
WAITING: Final = 64


@final
class Turns:
    """An `async with` that lets AT_ONCE in, and WAITING wait. Raises Unavailable for whoever comes beyond them."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def __aenter__(self) -> None:
        if self._waiting >= WAITING:
            raise Unavailable("login: too many at once")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1

    async def __aexit__(self, *_: object) -> None:
        self._free.release()
