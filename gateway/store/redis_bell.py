"""The bell over Redis: one channel that every replica listens to, and that whoever changed the database publishes to.

Nothing waits for it: while the server is away replicas look every second, as they do without it.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final, final

from gateway.store.bell import Bell
from gateway.store.resp import Connection, StoreError
from gateway.store.server import Server

log = logging.getLogger(__name__)

CHANNEL: Final = "latchgate:changed"
SPACING: Final = 0.05
"""Seconds between two rings: a flood of messages is a few."""
ALIVE: Final = 5.0
"""Seconds of silence after which the server is asked whether it is there."""
FIRST_PAUSE: Final = 0.1
LAST_PAUSE: Final = 5.0


@final
class RedisBell:
    """Rings a bell at each message, and after each new connection, since what was said before is not known."""

    def __init__(self, server: Server, bell: Bell, *, alive: float = ALIVE) -> None:
        self._server = server
        self._bell = bell
        self._alive = alive
        self._task: asyncio.Task[None] | None = None
        self._listening = False
        self._failure = ""

    def start(self) -> None:
        """Begin to listen, unless it does."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="bell")

    async def tell(self) -> None:
        """Ring at all replicas. Where that cannot be done they notice within a second."""
        with suppress(StoreError):
            await ring(self._server)

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return {"kind": "redis", "host": self._server.name, "connected": self._listening, "last_error": self._failure or None}

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                connection = await self._server.connect()
                pause = FIRST_PAUSE
                await self._listen(connection)
            except StoreError as error:
                if not self._failure:
                    log.warning("changes are not heard of at once, only every second", extra={"error": str(error)})
                self._failure = str(error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE)

    async def _listen(self, connection: Connection) -> None:
        """Until the connection ends. Raises StoreError."""
        heard = asyncio.Event()
        connection.heard = heard.set
        try:
            await connection.send(("SUBSCRIBE", CHANNEL))
            self._listening, self._failure = True, ""
            heard.set()
            while True:
                await self._next(connection, heard)
                heard.clear()
                self._bell.ring()
                await asyncio.sleep(SPACING)
        finally:
            self._listening = False
            connection.fail("closed")

    async def _next(self, connection: Connection, heard: asyncio.Event) -> None:
        """Until there is a message. Raises StoreError where the server is gone."""
        while True:
            try:
                async with asyncio.timeout(self._alive):
                    await heard.wait()
                    return
            except TimeoutError:
                await connection.send(("PING",))


async def ring(server: Server) -> None:
    """Tell all replicas that something changed. Raises StoreError."""
    connection = await server.connect()
    try:
        await connection.send(("PUBLISH", CHANNEL, "changed"))
    finally:
        connection.fail("closed")
