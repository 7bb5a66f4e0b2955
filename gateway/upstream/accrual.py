"""Failures in a row, and the pauses they lead to, each twice as long as the one before (linkerd's failure accrual).

An address of a target keeps one (its pause is an ejection), and so does a circuit breaker (its pause is being open).
"""

import math
from collections.abc import Callable
from random import Random
from typing import Final

JITTER: Final = 0.9
MOST_DOUBLINGS: Final = 20

drawn: Final[Callable[[], float]] = Random().random  # noqa: S311  it spreads load and keeps no secret
"""A number from 0 up to 1, by chance."""


def jittered(seconds: float) -> float:
    """Up to a tenth shorter, by chance: gateways that do something at the same time should not do so again."""
    return seconds * (JITTER + (1 - JITTER) * drawn())


class Accrual:
    """What keeps failing is left alone for a while, for longer each time."""

    __slots__ = ("_base", "_last", "_longest", "_threshold", "_until", "failures", "pauses")

    def __init__(self, threshold: int, base: float, longest: float) -> None:
        """`threshold` failures in a row lead to a pause of `base` seconds first and of `longest` seconds in the end."""
        self._threshold = threshold
        self._base = base
        self._longest = longest
        self._last = 0.0
        self._until = -math.inf
        self.failures = 0
        self.pauses = 0

    def fail(self) -> bool:
        """One more; whether it is time for a pause."""
        self.failures += 1
        return self.failures >= self._threshold

    def succeed(self) -> None:
        """What failed before does not count any more; how long the next pause is does not change."""
        self.failures = 0

    def pause(self, now: float) -> float:
        """Begin a pause; gives its seconds. `now` is monotonic.

        The first failure after a pause is enough for the next one. What did well for as long as its last pause begins anew.
        """
        if now - self._until >= self._last:
            self.pauses = 0
        doubled: float = self._base * (1 << min(self.pauses, MOST_DOUBLINGS))
        seconds = jittered(min(self._longest, doubled))
        self.pauses += 1
        self._last, self._until = seconds, now + seconds
        self.failures = self._threshold - 1
        return seconds
