"""How many requests to an upstream may be sent a second time (Finagle's and linkerd's retry budget).

Retries must not turn an upstream that fails now and then into one that is asked for everything twice.
"""

from collections.abc import Callable
from time import monotonic
from typing import Final

from gateway.upstream.model import RetryBudget

RESERVE: Final = 10
"""Seconds' worth of the minimum rate that is there at the start."""


class Budget:
    """A bucket: every answer puts a fraction of a token in, time does, a retry takes one out.

    It holds at most `most` tokens: as many as there may be connections, since each of them may go stale at once.
    """

    def __init__(self, model: RetryBudget, most: int, time: Callable[[], float] = monotonic) -> None:
        self._share = model.budget_percent / 100
        self._rate = model.min_retries_per_second
        self._most = float(most)
        self._time = time
        self._filled = time()
        self._answered = 0
        self.tokens = min(self._most, float(RESERVE * self._rate))

    def spend(self, answered: int) -> bool:
        """Whether there is a token for a retry, which is then taken. `answered` counts the answers there have been so far."""
        now = self._time()
        earned = (answered - self._answered) * self._share + (now - self._filled) * self._rate
        self._answered, self._filled = answered, now
        self.tokens = min(self._most, self.tokens + earned)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
