"""One deadline a connection, moved often and reached seldom: the timer is set again only when it rings too early."""

import asyncio
import math
from collections.abc import Callable
from typing import Final

NEVER: Final = math.inf
RESOLUTION: Final = 0.001
"""Seconds by which an event loop may ring early."""


class Alarm:
    """Rings `on_ring` once `deadline` (loop time) has passed. Moving the deadline later costs one comparison.

    Whoever is to hear it refers to it, and it to him: `cancel` says that it is over.
    """

    __slots__ = ("_at", "_handle", "_loop", "_on_ring", "deadline")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_ring: Callable[[], None]) -> None:
        self._loop = loop
        self._on_ring = on_ring
        self._handle: asyncio.TimerHandle | None = None
        self._at = NEVER
        self.deadline = NEVER

    def within(self, seconds: float) -> None:
        """Ring in `seconds`, unless told otherwise before."""
        self.deadline = deadline = self._loop.time() + seconds
        if deadline < self._at:
            self._set(deadline)

    def left(self) -> float:
        """Seconds until it rings."""
        return self.deadline - self._loop.time()

    def never(self) -> None:
        """Do not ring until told otherwise."""
        self.deadline = NEVER

    def cancel(self) -> None:
        """Never again, whatever is told."""
        self.deadline = NEVER
        self._on_ring = unheard
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _set(self, at: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._at = at
        self._handle = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._handle = None
        self._at = NEVER
        if self.left() <= RESOLUTION:
            self._on_ring()
        elif self.deadline < NEVER:
            self._set(self.deadline)


def unheard() -> None:
    """Nobody is there any more."""
