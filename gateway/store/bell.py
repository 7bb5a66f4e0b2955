"""What makes those who keep something of the shared database look again at once, and not only when their second is over.

A ring says that something changed, never what: whoever rings can cause readings, and nothing else. One that is lost costs the rest
of a second, because everybody looks every second anyway.
"""

import asyncio
from collections.abc import Callable
from typing import final


@final
class Bell:
    """One for each process. `at` is when it was rung last, monotonic: what was read before may be out of date."""

    __slots__ = ("_monotonic", "_rung", "at")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._rung: asyncio.Event | None = None
        self.at = float("-inf")

    def ring(self) -> None:
        """Something changed. To be called in the event loop."""
        self.at = self._monotonic()
        if self._rung is not None:
            self._rung.set()

    async def pause(self, seconds: float) -> None:
        """Sleep for so long, or until it is rung. One sleeps at a time."""
        self._rung = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return
        finally:
            self._rung = None
