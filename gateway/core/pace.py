"""How slowly a client may give or take: every byte buys it a moment, and whoever has none left is cut off.

There are no timers. Whoever waits for a client asks when its time ends; the listener's tick looks at the clock.
"""

import math
from typing import Final

NEVER: Final = math.inf


class Pace:
    """The time one end of a connection has left, which passes only while it is waited for.

    `grace` is what it begins with, `most` what it can have, in seconds. `rate` bytes buy a second; with a rate of 0 any byte
    buys all that it can have.
    """

    __slots__ = ("_left", "_most", "_rate", "_since")

    def __init__(self, rate: int, grace: float, most: float) -> None:
        self._rate = rate
        self._most = most
        self._left = min(grace, most) if rate else most
        self._since: float | None = None

    def wait(self, now: float) -> float:
        """Time passes from now on, unless it does already; gives when it is up."""
        if self._since is None:
            self._since = now
        return self._since + self._left

    def gave(self, size: int, now: float) -> None:
        """So many bytes moved; time stands still until the next `wait`."""
        left = self._left
        if self._since is not None:
            left -= now - self._since
            self._since = None
        self._left = min(self._most, left + size / self._rate) if self._rate else self._most
