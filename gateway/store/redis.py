"""Counters that all replicas share, in one Redis (or Valkey) server, 5.0 or newer.

One atomic script for each stage of a request. All keys carry the hash tag `{latchgate}`, so in a cluster they share a slot; the
address must then be the node that owns it, or a proxy. Imported only where the configuration names a Redis.
"""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from hashlib import blake2b, sha1
from typing import Any, Final

from gateway.core.errors import DependencyDown
from gateway.core.ports import SecretSource
from gateway.store.quota import Quota, Taken
from gateway.store.resp import Command, Connection, ScriptUnknown, StoreError
from gateway.store.script import SPEND
from gateway.store.server import Server

log = logging.getLogger(__name__)

SHA: Final = sha1(SPEND.encode(), usedforsecurity=False).hexdigest()

FIRST_PAUSE: Final = 0.05
LAST_PAUSE: Final = 2.0


class RedisCounters:
    """The shared counters. One connection, opened at the first use and again after a failure, by one caller at a time.

    While the server is away, callers are refused at once; after a pause that grows to two seconds one of them tries again.
    The password is read at each connection, so that a replaced secret is picked up.
    """

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
        self._server = Server(url, username=username, password=password, tls=tls)
        self._timeout = timeout
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._pause = FIRST_PAUSE
        self._retry_at = 0.0
        self._away = False

    async def spend(self, quotas: Sequence[Quota], keys: Sequence[str]) -> list[Taken]:
        """Take one unit of every quota for its key, or of none. Raises DependencyDown, at the latest after the timeout."""
        arguments = (len(keys), *map(name, quotas, keys), *describe(quotas))
        try:
            connection = await self._connected()
        except StoreError as error:
            raise DependencyDown(f"redis: {error}") from error
        try:
            numbers = [int(each) for each in await self._run(connection, arguments)]
            taken = list(zip(numbers[::2], numbers[1::2], strict=True))
        except (StoreError, TypeError, ValueError) as error:
            self._give_up(connection)
            raise DependencyDown(f"redis: {error if isinstance(error, StoreError) else 'unexpected answer'}") from error
        self._pause = FIRST_PAUSE
        return taken

    def start(self) -> None:
        """Connect now, in the background: what is wrong with the store shall be told before the first request meets it."""
        if self._connection is None and self._connecting is None:
            self._connecting = self._begin()

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        alive = self._connection is not None and self._connection.alive
        return {"kind": "redis", "host": self._server.name, "connected": alive}

    async def _run(self, connection: Connection, arguments: Command) -> Any:
        try:
            return await connection.send(("EVALSHA", SHA, *arguments))
        except ScriptUnknown:
            return await connection.send(("EVAL", SPEND, *arguments))

    async def _connected(self) -> Connection:
        """The connection, opened by whoever comes first. Raises StoreError when it is not there within the timeout."""
        if self._connection is not None and self._connection.alive:
            return self._connection
        if self._connecting is None:
            if asyncio.get_running_loop().time() < self._retry_at:
                raise StoreError("unavailable")
            self._connecting = self._begin()
        connecting = self._connecting
        await asyncio.sleep(0)  # asyncio.timeout needs a task, see server/run.py
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.shield(connecting)
        except TimeoutError as error:
            raise StoreError("no connection in time") from error
        finally:
            del connecting  # whose error would refer to it, by its traceback and this frame

    def _begin(self) -> "asyncio.Task[Connection]":
        task = asyncio.get_running_loop().create_task(self._open())
        task.add_done_callback(self._opened)
        return task

    def _opened(self, task: "asyncio.Task[Connection]") -> None:
        self._connecting = None
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._connection = task.result()
            if self._away:
                self._away = False
                log.info("the limit store is back")
        else:
            self._wait_longer(str(error))

    def _give_up(self, connection: Connection) -> None:
        """After a failure start anew: what is left of the connection may answer out of step. Once, though many waited."""
        if connection is self._connection:
            connection.fail("connection given up")
            self._connection = None
            self._wait_longer("connection given up")

    def _wait_longer(self, why: str) -> None:
        if not self._away:
            self._away = True
            log.warning("the limit store is away", extra={"error": why})
        self._retry_at = asyncio.get_running_loop().time() + self._pause
        self._pause = min(self._pause * 2, LAST_PAUSE)

    async def _open(self) -> Connection:
        """Connect and load the script. Raises StoreError."""
        connection = await self._server.connect(("SCRIPT", "LOAD", SPEND))
        connection.timeout = self._timeout
        return connection

    async def close(self) -> None:
        """Let go of the server."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._connection is not None:
            self._connection.fail("closed")
            self._connection = None


def name(quota: Quota, key: str) -> str:
    """The key of a counter: what is counted, how, and a digest of whose it is, so that keys are short and tell no address."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{{latchgate}}:{quota.name}:{quota.algorithm}:{quota.window}:{digest}"


def describe(quotas: Sequence[Quota]) -> list[str | int]:
    """The script's arguments."""
    return [argument for quota in quotas for argument in (quota.algorithm, quota.count, quota.window)]
