"""What may be used once, remembered in this process: bounded, and nothing is forgotten before its time."""

from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any, Final, final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Metrics

MOST: Final = 200_000
"""Names held at once, about 50 MB. Where they are reached nothing new is taken: forgetting one would let it be used again."""
FAILURES: Final = "gateway.state.failures"


def digest(key: str) -> bytes:
    """What is kept of a name: 128 bits that tell nothing of it."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@final
class MemoryOnce:
    """What was used in this process alone (`core.ports.Once`). Times are monotonic: a step of the wall clock frees nothing."""

    def __init__(self, clock: Clock, metrics: Metrics, most: int = MOST) -> None:
        self._monotonic = clock.monotonic
        self._metrics = metrics
        self._most = most
        self._used: set[bytes] = set()
        self._ends: list[tuple[float, bytes]] = []  # a heap

    async def first(self, key: str, seconds: float) -> bool:
        """Raises DependencyDown where it is full."""
        now, name = self._monotonic(), digest(key)
        while self._ends and self._ends[0][0] <= now:
            self._used.discard(heappop(self._ends)[1])
        if name in self._used:
            return False
        if len(self._used) >= self._most:
            self._metrics.count(FAILURES, store="memory")
            raise DependencyDown("state: what is remembered in this process is full")
        self._used.add(name)
        heappush(self._ends, (now + seconds, name))
        return True

    def start(self) -> None:
        """Nothing to begin."""

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return {"kind": "memory", "held": len(self._used)}

    async def close(self) -> None:
        """Nothing to let go of."""
