"""One connection to a Redis server that all who share something over it use; while the server is away they are refused at once."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar

from gateway.core.errors import DependencyDown
from gateway.store.resp import Command, Connection, ScriptUnknown, StoreError
from gateway.store.server import Server

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.05
LAST_PAUSE: Final = 2.0

T = TypeVar("T")


class RedisLink:
    """Opened at the first use and again after a failure, by one caller at a time.

    While the server is away, callers are refused at once; after a pause that grows to two seconds one of them tries again.
    """

    def __init__(self, what: str, server: Server, *opening: Command, timeout: float = 0.05) -> None:
        """`what` names the store for operators, `opening` is sent with each new connection, `timeout` is the longest a caller
        waits, in seconds.
        """
        self._what = what
        self._server = server
        self._opening = opening
        self._timeout = timeout
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._pause = FIRST_PAUSE
        self._retry_at = 0.0
        self._away = False
        self._closed = False

    async def ask(self, command: Command, read: Callable[[Any], T], *, otherwise: Command | None = None) -> T:
        """What `read` makes of the answer; its TypeError and ValueError mean an unexpected one. `otherwise` is sent where the
        server does not hold the command's script. Raises DependencyDown, at the latest after the timeout, and once it is closed.
        """
        try:
            connection = await self._connected()
        except StoreError as error:
            raise DependencyDown(f"redis: {error}") from error
        try:
            answer = read(await _send(connection, command, otherwise))
        except (StoreError, TypeError, ValueError) as error:
            self._give_up(connection)
            raise DependencyDown(f"redis: {error if isinstance(error, StoreError) else 'unexpected answer'}") from error
        self._pause = FIRST_PAUSE
        return answer

    def start(self) -> None:
        """Connect now, in the background: what is wrong with the store shall be told before the first request meets it."""
        if self._connection is None and self._connecting is None and not self._closed:
            self._connecting = self._begin()

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        alive = self._connection is not None and self._connection.alive
        return {"kind": "redis", "host": self._server.name, "connected": alive}

    async def _connected(self) -> Connection:
        """The connection, opened by whoever comes first. Raises StoreError when it is not there within the timeout."""
        if self._connection is not None and self._connection.alive:
            return self._connection
        if self._closed:
            raise StoreError("closed")
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
                log.info("a shared store is back", extra={"store": self._what})
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
            log.warning("a shared store is away", extra={"store": self._what, "error": why})
        self._retry_at = asyncio.get_running_loop().time() + self._pause
        self._pause = min(self._pause * 2, LAST_PAUSE)

    async def _open(self) -> Connection:
        """Connect and say the opening. Raises StoreError."""
        connection = await self._server.connect(*self._opening)
        connection.timeout = self._timeout
        return connection

    async def close(self) -> None:
        """Let go of the server for good."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._connection is not None:
            self._connection.fail("closed")
            self._connection = None


async def _send(connection: Connection, command: Command, otherwise: Command | None) -> Any:
    try:
        return await connection.send(command)
    except ScriptUnknown:
        if otherwise is None:
            raise
        return await connection.send(otherwise)
