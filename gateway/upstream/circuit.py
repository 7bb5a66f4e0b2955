"""The circuit breaker of an upstream: when all of it fails, requests are refused at once and the upstream is left alone."""

import math
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from gateway.core.errors import UpstreamOverloaded
from gateway.upstream.accrual import Accrual
from gateway.upstream.model import CircuitBreaker

PROBE_EVERY: Final = 1.0
"""Seconds after which another request may try a half-open circuit: the one before may have been given up by its client."""


def overloaded(detail: str, seconds: float = 1.0) -> UpstreamOverloaded:
    """A refusal that says when to come again (RFC 9110 10.2.3): in whole seconds, at least one."""
    return UpstreamOverloaded(detail, headers=((b"retry-after", b"%d" % max(1, math.ceil(seconds))),))


class Circuit:
    """Closed: all requests pass. Open: none does. Half-open, when the pause is over: one a second, and its outcome decides."""

    def __init__(self, model: CircuitBreaker, time: Callable[[], float] = monotonic) -> None:
        self._accrual = Accrual(model.consecutive_failures, model.base_open_time, model.max_open_time)
        self._time = time
        self._until = 0.0
        self._probing = False
        self.open = False

    @property
    def failures(self) -> int:
        """In a row, of all targets."""
        return self._accrual.failures

    def admit(self) -> None:
        """Raises UpstreamOverloaded while open; lets one pass that finds out whether it still needs to be."""
        now = self._time()
        if not self.open:
            return
        if now < self._until:
            raise overloaded("the circuit is open", self._until - now)
        self._probing = True
        self._until = now + PROBE_EVERY

    def fail(self) -> bool:
        """A request failed; whether that opens the circuit, or keeps it open for longer."""
        reached = self._accrual.fail()
        if not reached or (self.open and not self._probing):
            return False
        now = self._time()
        self._until = now + self._accrual.pause(now)
        self.open, self._probing = True, False
        return True

    def succeed(self) -> bool:
        """An answer came, a late one too: a sign of life. Whether that closes the circuit."""
        self._accrual.succeed()
        was, self.open, self._probing = self.open, False, False
        return was

    def status(self) -> dict[str, Any]:
        """For the operators."""
        left = max(0.0, self._until - self._time()) if self.open else 0.0
        state = "closed" if not self.open else "open" if left and not self._probing else "half-open"
        return {"state": state, "failures": self.failures, "retry_after": math.ceil(left)}
