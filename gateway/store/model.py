"""The configuration of what replicas share over Redis: where it is, and `state:` (CONTRACT 2)."""

from collections.abc import Callable
from typing import Any, Literal

from gateway.config.values import FilePath, Model, SecretRef
from gateway.core.ports import SecretSource


class RedisTls(Model):
    """How the connection to Redis is verified."""

    ca: FilePath | None = None
    client_certificate: FilePath | None = None
    client_key: FilePath | None = None


class Redis(Model):
    """A Redis server."""

    url: str
    username: str | None = None
    password: SecretRef | None = None
    tls: RedisTls | None = None


class RedisStore(Model):
    """`store: {redis: …}`."""

    redis: Redis


class State(Model):
    """What must be remembered to be refused the second time: proofs and codes that were used."""

    store: Literal["memory"] | RedisStore = "memory"


def reached(model: RedisStore, secrets: Callable[[SecretRef], SecretSource]) -> dict[str, Any]:
    """What `store.server.Server` takes. Raises ValueError for unusable TLS files and secrets."""
    from gateway.store.server import tls_context

    redis = model.redis
    tls = tls_context(redis.tls.ca, redis.tls.client_certificate, redis.tls.client_key) if redis.tls is not None else None
    password = secrets(redis.password) if redis.password is not None else None
    return {"url": redis.url, "username": redis.username, "password": password, "tls": tls}
