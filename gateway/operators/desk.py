"""What outlives a configuration: who is logged in, who is guessing, where hashes are made. One for each admin listener."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, final

from gateway.core.errors import LimitExceeded
from gateway.core.ports import Clock, Metrics
from gateway.detection.guard import Guard
from gateway.operators.passwords import Threads
from gateway.operators.sessions import Sessions
from gateway.store.once import MemoryOnce

MOST_AT_ONCE: Final = 2
"""Logins of one client under way at once: so what fails is counted before much more is tried."""
NAMED: Final = "name."
"""Before the name of an account whose new browsers are counted together, where addresses tell nobody apart."""
RETRY: Final = ((b"retry-after", b"1"),)


@final
class Uncounted:
    """The metrics of a second guard in one process: its counts are added, its gauge would hide the other's."""

    def __init__(self, metrics: Metrics) -> None:
        self.count = metrics.count

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        return


@final
class Desk:
    """`tell` takes audit events."""

    def __init__(self, clock: Clock, metrics: Metrics, tell: Callable[..., None]) -> None:
        self.clock = clock
        self.metrics = metrics
        self.once = MemoryOnce(clock, metrics)
        self.tell = tell
        # Of its own: a guess at an operator's password over a tunnel must not shut loopback out of the data listeners.
        self.guard = Guard(clock, Uncounted(metrics), tell)
        self.sessions = Sessions(clock.monotonic)
        self.threads = Threads()
        self.seen: dict[str, int] = {}
        self._under_way: Counter[str] = Counter()
        self._adopted: Any = None

    def judge(self, detection: Any) -> None:
        """Judge by these rules (`detection:`), those of the configuration that was asked last."""
        if detection is not self._adopted:
            self._adopted = detection
            self.guard.adopt(detection)
        self.guard.sweep()

    def release(self, listed: str) -> bool:
        """Refuse no more what `guard.listing` names; whether it was refused. Raises ValueError for what is no address."""
        return self.guard.forget(listed) if listed.startswith(NAMED) else self.guard.release(listed)

    @contextmanager
    def turn(self, client: str) -> Iterator[None]:
        """One login of a client. Raises LimitExceeded for too many at once."""
        if self._under_way[client] >= MOST_AT_ONCE:
            raise LimitExceeded("operators: too many logins of one client at once", headers=RETRY)
        self._under_way[client] += 1
        try:
            yield
        finally:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]
