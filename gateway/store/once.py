"""What may be used once, remembered in this process: bounded, and nothing is forgotten before its time."""

from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any, Final, final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Metrics

MOST: Final = 200_000
"""Names of one purpose held at once, about 50 MB. Where they are reached nothing new of that purpose is taken: forgetting one would
let it be used again. What is used for another purpose has its own."""
DROPPED: Final = 8
"""Names that ended, forgotten at each use. More than one, so that they become fewer."""
FAILURES: Final = "gateway.state.failures"


def digest(key: str) -> bytes:
    """What is kept of a name: 128 bits that tell nothing of it."""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _kind(key: str) -> str:
    return key.partition(":")[0] if ":" in key else ""


class Purpose:
    """What was used for one purpose, and until when it counts (monotonic seconds)."""

    __slots__ = ("_ends", "until")

    def __init__(self) -> None:
        self.until: dict[bytes, float] = {}
        self._ends: list[tuple[float, bytes]] = []  # a heap, never shorter than `until`

    def first(self, name: bytes, now: float, seconds: float, most: int) -> bool | None:
        """Whether it is the first use; None where that is so and there is no room to remember it."""
        until, ends = self.until, self._ends
        for _ in range(DROPPED):
            if not ends or ends[0][0] > now:
                break
            end, ended = heappop(ends)
            if until.get(ended) == end:  # else it was used again since
                del until[ended]
        if until.get(name, now) > now:
            return False
        if len(ends) >= most:
            return None
        until[name] = now + seconds
        heappush(ends, (now + seconds, name))
        return True


@final
class MemoryOnce:
    """What was used in this process alone (`core.ports.Once`). Times are monotonic: a step of the wall clock frees nothing.

    Each purpose, which is what a name begins with before its first colon, has room for `most` names: whoever fills one keeps
    nobody from another. What ended is dropped little by little, and counts as room at once.
    """

    def __init__(self, clock: Clock, metrics: Metrics, most: int = MOST) -> None:
        self._monotonic = clock.monotonic
        self._metrics = metrics
        self._most = most
        self._purposes: dict[str, Purpose] = {}  # code and configuration name them: few

    async def first(self, key: str, seconds: float) -> bool:
        """Raises DependencyDown where there is no room."""
        kind = _kind(key)
        purpose = self._purposes.get(kind)
        if purpose is None:
            purpose = self._purposes[kind] = Purpose()
        first = purpose.first(digest(key), self._monotonic(), seconds, self._most)
        if first is None:
            self._metrics.count(FAILURES, store="memory")
            raise DependencyDown(f"state: what is remembered in this process is full ({kind})")
        return first

    async def used(self, key: str) -> bool:
        """Never raises."""
        purpose, now = self._purposes.get(_kind(key)), self._monotonic()
        return purpose is not None and purpose.until.get(digest(key), now) > now

    def start(self) -> None:
        """Nothing to begin."""

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return {"kind": "memory", "held": sum(len(purpose.until) for purpose in self._purposes.values())}

    async def close(self) -> None:
        """Nothing to let go of."""
