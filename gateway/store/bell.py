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
        self._rung: set[asyncio.Event] = set()
        self.at = float("-inf")

    def ring(self) -> None:
        """Something changed. To be called in the event loop."""
        self.at = self._monotonic()
        for rung in self._rung:
            rung.set()

    async def pause(self, seconds: float) -> None:
        """Sleep for so long, or until it is rung."""
        rung = asyncio.Event()
        self._rung.add(rung)
        try:
            async with asyncio.timeout(seconds):
                await rung.wait()
        except TimeoutError:
            return
        finally:
            self._rung.discard(rung)
