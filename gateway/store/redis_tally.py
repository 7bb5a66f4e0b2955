"""How often something was used, counted for all replicas in a Redis (or Valkey) server that evicts nothing. Imported only where one
is configured."""

from typing import Any, Final, final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Metrics
from gateway.store.once import FAILURES, digest
from gateway.store.redis_link import RedisLink
from gateway.store.redis_once import TIMEOUT
from gateway.store.server import Server

COUNT: Final = """
local used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return used
"""


@final
class RedisTally:
    """What was counted anywhere (`core.ports.Tally`)."""

    def __init__(self, server: Server, metrics: Metrics, *, timeout: float | None = None) -> None:
        self._link = RedisLink("tally", server, timeout=TIMEOUT if timeout is None else timeout)
        self._metrics = metrics

    async def spend(self, key: str, most: int, seconds: float) -> bool:
        """Raises DependencyDown, at the latest after the timeout."""
        command = "EVAL", COUNT, 1, f"{{latchgate}}:tally:{digest(key).hex()}", max(1, -int(-seconds * 1000 // 1))
        try:
            return await self._link.ask(command, int) <= most
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
