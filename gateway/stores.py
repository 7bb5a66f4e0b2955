"""The stores of a configuration: counters, what was used once, sessions, API keys and the database itself."""

from collections.abc import Callable
from typing import Any, Final

from gateway.authn.api_keys import KeyRing
from gateway.authn.issuers import strong_secret
from gateway.authn.login.logins import Backing
from gateway.authn.model import ApiKeys
from gateway.authn.strength import SHORTEST
from gateway.config.secrets import Secrets
from gateway.core.ports import Clock, Metrics, Once
from gateway.credentials.tokens import Tell
from gateway.kept import Kept
from gateway.session_store import session_store
from gateway.settings import Settings
from gateway.store.bell import Bell
from gateway.store.model import RedisStore, State, reached
from gateway.store.once import MemoryOnce
from gateway.store.quota import SharedCounters
from gateway.store.sql.model import Postgres, Sqlite

ONE: Final = "one"


class Stores:
    """Each is opened when it is first used, and kept while its configuration is the same."""

    def __init__(self, clock: Clock, metrics: Metrics, tell: Tell) -> None:
        self._clock, self._metrics, self._tell = clock, metrics, tell
        self.bell = Bell(clock.monotonic)
        self.kept: Kept[Any] = Kept()
        self.databases: Kept[Any] = Kept()

    def counters(self, model: RedisStore, secrets: Secrets) -> SharedCounters:
        """The counters of rate limits for all replicas. Raises ValueError for unusable TLS files."""
        from gateway.store.redis import RedisCounters

        password = secrets(model.redis.password) if model.redis.password is not None else None
        store: SharedCounters = self.kept.take("limits", (model.redis, password), lambda: RedisCounters(**reached(model, secrets)))
        return store

    def once(self, model: State, secrets: Secrets) -> Once:
        """What remembers what was used once, here or for all replicas. Raises ValueError for unusable TLS files."""
        if not isinstance(model.store, RedisStore):
            here: Once = self.kept.take("state", "memory", lambda: MemoryOnce(self._clock, self._metrics))
            return here
        from gateway.store.redis_once import RedisOnce
        from gateway.store.server import Server

        chosen, redis = model.store, model.store.redis
        password = secrets(redis.password) if redis.password is not None else None
        shared: Once = self.kept.take(
            "state", (redis, password), lambda: RedisOnce(Server(**reached(chosen, secrets)), self._metrics)
        )
        return shared

    def backing(self, settings: Settings, secrets: Secrets, signal: Callable[..., None]) -> Backing | None:
        """What logins need, `signal` to tell of theft; None where there are none. Raises ValueError for unusable TLS files."""
        if settings.authentication.sessions is None:
            return None
        store = session_store("session", settings.authentication.sessions.most, settings.state, secrets, self.kept, self._clock)
        return Backing(settings.portal.prefix, store, self.once(settings.state, secrets), self._tell, signal)

    def listen(self, model: RedisStore | None, secrets: Secrets) -> None:
        """Hear at once of what changes in the database, where there are both. Raises ValueError for unusable TLS files."""
        if model is None or not self.databases.named:
            return
        from gateway.store.redis_bell import RedisBell
        from gateway.store.server import Server

        password = secrets(model.redis.password) if model.redis.password is not None else None
        self.kept.take("changes", (model.redis, password), lambda: RedisBell(Server(**reached(model, secrets)), self.bell))

    async def changed(self) -> None:
        """Something in the database changed by our doing: here at once, and where a Redis carries it, everywhere."""
        self.bell.ring()
        for name, store in self.kept:
            if name == "changes":
                await store.tell()

    def database(self, model: Sqlite | Postgres | None, secrets: Secrets) -> Any:
        """The database of the configuration, if any. Raises ValueError for unusable TLS files; nothing is opened yet."""
        if model is None:
            return None
        from gateway.store.sql.engine import Database

        chosen = model.password if isinstance(model, Postgres) else None
        password = secrets(chosen) if chosen is not None else None
        return self.databases.take(ONE, (model, password), lambda: Database(model, password))

    def key_table(self, model: ApiKeys | None, database: Any, secrets: Secrets) -> KeyRing | None:
        """What follows the API keys of the database, None where keys lie elsewhere. It lives on while keys and database are the
        same, so that no reload finds it empty. Raises ConfigError and ValueError."""
        if model is None or model.store != "database":
            return None
        if database is None:
            raise ValueError("`store: database` needs one: add `database: {file: latchgate.db}`")
        from gateway.authn.key_table import KeyTable
        from gateway.store.sql.keys import KeyRows

        def make() -> KeyTable:
            pepper = strong_secret(secrets, model.pepper, "authentication.api_keys.pepper", SHORTEST)
            return KeyTable(model, pepper, KeyRows(database), self._clock, self._metrics, self._tell, pause=self.bell.pause)

        ring: KeyRing = self.kept.take("api_keys", (model, id(secrets(model.pepper)), id(database)), make)
        return ring

    @property
    def opened(self) -> Any:
        """The database of the live configuration, None where it has none."""
        return next((database for _, database in self.databases), None)

    def followed(self, *, coming: bool = False) -> list[KeyRing]:
        """The keys that are followed in the database, or will be once what is being built goes live."""
        stores = self.kept.coming() if coming else [store for _, store in self.kept]
        return [store for store in stores if isinstance(store, KeyRing)]
