"""What may be used once, remembered for all replicas in a Redis (or Valkey) server that evicts nothing. Imported only where one
is configured."""

from collections.abc import Callable
from typing import Any, Final, final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Metrics
from gateway.store.once import FAILURES, digest
from gateway.store.redis_link import RedisLink
from gateway.store.server import Server

TIMEOUT: Final = 0.25
"""Seconds. More than limits wait: who is refused here has nobody to count for him in this process."""


@final
class RedisOnce:
    """What was used anywhere (`core.ports.Once`). Keys are digests, the value says nothing."""

    def __init__(self, server: Server, metrics: Metrics, *, timeout: float | None = None) -> None:
        self._link = RedisLink("state", server, timeout=TIMEOUT if timeout is None else timeout)
        self._metrics = metrics

    async def first(self, key: str, seconds: float) -> bool:
        """Raises DependencyDown, at the latest after the timeout."""
        return await self._ask(("SET", name(key), 1, "NX", "PX", max(1, -int(-seconds * 1000 // 1))), was_first)

    async def used(self, key: str) -> bool:
        """Raises as `first` does."""
        return await self._ask(("EXISTS", name(key)), is_there)

    async def _ask(self, command: tuple[Any, ...], read: Callable[[Any], bool]) -> bool:
        try:
            return await self._link.ask(command, read)
        except DependencyDown:
            self._metrics.count(FAILURES, store="redis")
            raise

    def start(self) -> None:
        """Connect now, in the background."""
        self._link.start()

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return self._link.status()

    async def close(self) -> None:
        """Let go of the server."""
        await self._link.close()


def name(key: str) -> str:
    """The key in Redis."""
    return f"{{latchgate}}:once:{digest(key).hex()}"


def is_there(answer: Any) -> bool:
    """What EXISTS says of one key. Raises ValueError for what it never says."""
    if answer not in (0, 1):
        raise ValueError("neither 0 nor 1")
    return bool(answer)


def was_first(answer: Any) -> bool:
    """SET with NX says OK, or nothing where the key was there. Raises ValueError for what it never says."""
    if answer not in (b"OK", None):
        raise ValueError("neither OK nor nothing")
    return answer is not None
