"""How the configured Redis server is reached, by whoever shares something over it."""

from collections.abc import Callable
from typing import Any

from gateway.config.values import SecretRef
from gateway.core.ports import SecretSource
from gateway.ratelimit.model import RedisStore


def reached(model: RedisStore, secrets: Callable[[SecretRef], SecretSource]) -> dict[str, Any]:
    """What `store.server.Server` takes. Raises ValueError for unusable TLS files and secrets."""
    from gateway.store.server import tls_context

    redis = model.redis
    tls = tls_context(redis.tls.ca, redis.tls.client_certificate, redis.tls.client_key) if redis.tls is not None else None
    password = secrets(redis.password) if redis.password is not None else None
    return {"url": redis.url, "username": redis.username, "password": password, "tls": tls}
