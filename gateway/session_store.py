"""Where sessions, codes and refresh tokens are kept: in this process, or in the Redis server that replicas share."""

from typing import Any

from gateway.authn.issuers import Secrets
from gateway.core.ports import Clock
from gateway.core.session_store import SessionStore
from gateway.kept import Kept
from gateway.store.model import RedisStore, State, reached
from gateway.store.sessions import MemorySessions


def session_store(kind: str, most: int, state: State, secrets: Secrets, stores: Kept[Any], clock: Clock) -> SessionStore:
    """Records of one kind, in memory at most so many. Kept across reloads while the place is the same, and the records with it,
    also where there may be more or fewer from now on.
    Raises ValueError for unusable TLS files."""
    chosen = state.store
    if not isinstance(chosen, RedisStore):
        here: MemorySessions = stores.take(f"{kind}s", "memory", lambda: MemorySessions(clock, most))
        here.resize(most)
        return here
    from gateway.store.redis_sessions import RedisSessions
    from gateway.store.server import Server

    password = secrets(chosen.redis.password) if chosen.redis.password is not None else None
    shared: SessionStore = stores.take(
        f"{kind}s", (chosen.redis, password), lambda: RedisSessions(Server(**reached(chosen, secrets)), kind)
    )
    return shared
