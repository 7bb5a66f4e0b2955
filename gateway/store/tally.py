"""How often something was used, counted in this process: bounded, and nothing is forgotten before its time."""

from heapq import heappop, heappush
from typing import Any, Final, final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Metrics
from gateway.store.once import FAILURES, digest

MOST: Final = 100_000
"""Names counted at once. Where they are reached nothing new is counted, and so nothing new counts."""


@final
class MemoryTally:
    """What was counted in this process alone (`core.ports.Tally`)."""

    def __init__(self, clock: Clock, metrics: Metrics, most: int = MOST) -> None:
        self._monotonic = clock.monotonic
        self._metrics = metrics
        self._most = most
        self._used: dict[bytes, int] = {}
        self._ends: list[tuple[float, bytes]] = []

    async def spend(self, key: str, most: int, seconds: float) -> bool:
        """Raises DependencyDown where there is no room."""
        now, name = self._monotonic(), digest(key)
        while self._ends and self._ends[0][0] <= now:
            self._used.pop(heappop(self._ends)[1], None)
        used = self._used.get(name)
        if used is None:
            if len(self._used) >= self._most:
                self._metrics.count(FAILURES, store="memory")
                raise DependencyDown("state: what is counted in this process is full")
            heappush(self._ends, (now + seconds, name))
            used = 0
        self._used[name] = min(used, most) + 1
        return used < most

    def start(self) -> None:
        """Nothing to begin."""

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return {"kind": "memory", "held": len(self._used)}

    async def close(self) -> None:
        """Nothing to let go of."""
