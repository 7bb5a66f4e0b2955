"""One connection to a Redis server that carries every caller's commands at once.

Commands are written as they come and answered in order, so any number of callers share one connection and one system call;
a client library with a pool costs twenty times that per command. hiredis parses; it is known to this file only.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import hiredis

Command = tuple[str | int | bytes, ...]

MAX_PENDING: Final = 10_000
"""More unanswered commands than this, and the connection is given up."""


class StoreError(Exception):
    """The server is unreachable, silent or unwilling. The text holds no key, value or password."""


class ScriptUnknown(StoreError):
    """The server does not hold the script any more (NOSCRIPT)."""


class Connection(asyncio.Protocol):
    """A pipelined connection. Whatever goes wrong on it ends it, and fails everybody who waits: answers come in order only."""

    def __init__(self, timeout: float) -> None:
        self.alive = False
        self.timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._transport: asyncio.Transport | None = None
        self.heard: Callable[[], None] | None = None
        """Called at each message of a channel that this connection subscribes to."""
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # what create_connection gives; uvloop's has another base
        self.alive = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("connection lost")

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._answer(reply)
        except (hiredis.ProtocolError, IndexError):
            self.fail("not an answer of Redis")

    def _answer(self, reply: Any) -> None:
        if self.heard is not None and isinstance(reply, list) and reply[:1] == [b"message"]:
            self.heard()
            return
        future, _ = self._waiting.popleft()
        if future.done():  # its caller is gone
            return
        if isinstance(reply, hiredis.ReplyError):
            future.set_exception(refused(reply))
        else:
            future.set_result(reply)

    def send(self, command: Command) -> asyncio.Future[Any]:
        """The future answer. It raises StoreError when the server refuses, breaks off or stays silent for the timeout.

        Silence is measured by a timer that runs after the event loop has read the socket, so that a stall of this process
        is not taken for a stall of the server.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        if len(self._waiting) >= MAX_PENDING:
            self.fail("too many unanswered commands")
        if not self.alive or self._transport is None:
            future.set_exception(StoreError("not connected"))
            return future
        self._waiting.append((future, self._loop.time() + self.timeout))
        if self._watch is None:
            self._watch = self._loop.call_later(self.timeout, self._look)
        self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]  # their stub knows tuples of one
        return future

    def _look(self) -> None:
        """Has the oldest unanswered command waited too long?"""
        self._watch = None
        if not self._waiting:
            return
        deadline = self._waiting[0][1]
        if deadline <= self._loop.time():
            self.fail("no answer in time")
        else:
            self._watch = self._loop.call_at(deadline, self._look)

    def fail(self, why: str) -> None:
        """End the connection; everybody who waits gets StoreError."""
        self.alive = False
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(StoreError(why))


def refused(reply: Exception) -> StoreError:
    """The server's refusal by its code alone (LOADING, WRONGPASS, READONLY ...): the rest of the line may quote what we sent."""
    code = str(reply).partition(" ")[0]
    if code == "NOSCRIPT":
        return ScriptUnknown(code)
    return StoreError(code if code.isascii() and code.isupper() and len(code) <= 32 else "refused")


async def greet(connection: Connection, commands: Sequence[Command]) -> list[Any]:
    """Send the opening commands of a connection together. Raises StoreError when one of them is refused."""
    answers = [connection.send(command) for command in commands]
    results = await asyncio.gather(*answers, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
