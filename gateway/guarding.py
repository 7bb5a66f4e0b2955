"""Who is guessing, as what outlives a snapshot: the guard, its rules after each reload, and who shares its blocks."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway.config.secrets import Secrets
from gateway.config.values import Network
from gateway.core.ports import Clock, Metrics
from gateway.detection.guard import Guard
from gateway.detection.model import Detection
from gateway.detection.watch import Watch
from gateway.kept import Kept
from gateway.store.model import RedisStore, State, reached

BLOCKS: Final = "blocks"


class Guarding:
    """The guard of a process. `stores` keep what shares its blocks."""

    def __init__(self, clock: Clock, metrics: Metrics, tell: Callable[..., None], stores: Kept[Any]) -> None:
        self.guard = Guard(clock, metrics, tell)
        self._clock = clock
        self._metrics = metrics
        self._stores = stores
        self._judged = Detection(rules=[])

    def watch(self, model: Detection, exempt: Iterable[Network]) -> Watch:
        """A listener's view; `exempt` are never refused. The rules of the last one count from `commit` on."""
        self._judged = model
        return Watch(self.guard, self._clock, exempt)

    def share(self, model: State, secrets: Secrets) -> None:
        """Tell all replicas whom this one blocks, where they share anything. Raises ValueError for unusable TLS files."""
        if not isinstance(model.store, RedisStore):
            return
        from gateway.store.redis_blocks import RedisBlocks
        from gateway.store.server import Server

        chosen, redis = model.store, model.store.redis
        password = secrets(redis.password) if redis.password is not None else None

        def make() -> RedisBlocks:
            return RedisBlocks(Server(**reached(chosen, secrets)), self._clock, self._metrics, self.guard.take)

        self._stores.take(BLOCKS, (redis, password), make)

    def commit(self) -> None:
        """The rules are live; the stores have been committed before."""
        self.guard.adopt(self._judged)
        self.guard.shared = next((store.tell for name, store in self._stores if name == BLOCKS), None)
        self.guard.start()

    async def close(self) -> None:
        await self.guard.close()
