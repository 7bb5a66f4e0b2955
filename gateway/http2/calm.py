"""How much the other end may annoy: frames that carry nothing, streams that come to nothing.

Each costs more to take than to send. Whoever also does useful work is forgiven: that earns what annoyances spend.
"""

from collections.abc import Callable

from gateway.http2.frames import Code, ConnectionFault


class Calm:
    """A bucket of patience, `most` at the beginning and at any time, which grows by `rate` a second."""

    __slots__ = ("_filled", "_left", "_most", "_rate", "_time")

    def __init__(self, most: int, rate: float, time: Callable[[], float]) -> None:
        self._most = float(most)
        self._rate = rate
        self._time = time
        self._left = float(most)
        self._filled = time()

    def spend(self, what: str) -> None:
        """One annoyance. Raises ConnectionFault when patience is at an end."""
        if self._left < 1:
            now = self._time()
            self._left = min(self._most, self._left + (now - self._filled) * self._rate)
            self._filled = now
            if self._left < 1:
                raise ConnectionFault(Code.ENHANCE_YOUR_CALM, f"too many {what}")
        self._left -= 1

    def earn(self, amount: int) -> None:
        """Something useful was done."""
        self._left = min(self._most, self._left + amount)
