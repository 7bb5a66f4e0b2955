"""Counters that all replicas share, in one Redis (or Valkey) server, 5.0 or newer.

One atomic script for each stage of a request. All keys carry the hash tag `{latchgate}`, so in a cluster they share a slot; the
address must then be the node that owns it, or a proxy. Imported only where the configuration names a Redis.
"""

import ssl
from collections.abc import Sequence
from hashlib import blake2b, sha1
from typing import Any, Final

from gateway.core.ports import SecretSource
from gateway.store.quota import Quota, Taken
from gateway.store.redis_link import RedisLink
from gateway.store.script import SPEND
from gateway.store.server import Server

SHA: Final = sha1(SPEND.encode(), usedforsecurity=False).hexdigest()


class RedisCounters:
    """The shared counters, over one connection. The password is read at each connection, so that a replaced secret is picked up."""

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: SecretSource | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float = 0.05,
    ) -> None:
        """`timeout` is the longest a caller waits, in seconds. Raises ValueError for a URL that is none of ours."""
        server = Server(url, username=username, password=password, tls=tls)
        self._link = RedisLink("limits", server, ("SCRIPT", "LOAD", SPEND), timeout=timeout)

    async def spend(self, quotas: Sequence[Quota], keys: Sequence[str]) -> list[Taken]:
        """Take one unit of every quota for its key, or of none. Raises DependencyDown, at the latest after the timeout."""
        arguments = (len(keys), *map(name, quotas, keys), *describe(quotas))
        return await self._link.ask(("EVALSHA", SHA, *arguments), pairs, otherwise=("EVAL", SPEND, *arguments))

    def start(self) -> None:
        """Connect now, in the background."""
        self._link.start()

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return self._link.status()

    async def close(self) -> None:
        """Let go of the server."""
        await self._link.close()


def pairs(answer: Any) -> list[Taken]:
    """The script's answer. Raises TypeError and ValueError for another's."""
    numbers = [int(each) for each in answer]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def name(quota: Quota, key: str) -> str:
    """The key of a counter: what is counted, how, and a digest of whose it is, so that keys are short and tell no address."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{{latchgate}}:{quota.name}:{quota.algorithm}:{quota.window}:{digest}"


def describe(quotas: Sequence[Quota]) -> list[str | int]:
    """The script's arguments."""
    return [argument for quota in quotas for argument in (quota.algorithm, quota.count, quota.window)]
