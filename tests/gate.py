"""A TCP proxy that stands before a PostgreSQL or an HTTP server and stops everything at the message that a test has chosen.

Where it stops, the process behind it hangs at exactly that step and can be killed there: nothing in the product knows of it.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, final

TABLE = re.compile(rb"\s*(SELECT|INSERT|UPDATE|DELETE)\b.*?\b(grants|leases)\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Stop:
    """Stop at the `number`th message of this name: before the server sees it, or after, before its answer is seen."""

    name: str
    number: int = 1
    answered: bool = False


class Reading(Protocol):
    """What one connection's bytes to the server mean."""

    def messages(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """The messages that are complete now, each with its name."""
        ...


class Http:
    """What begins a request is named so; its body may come in a piece of its own."""

    def messages(self, chunk: bytes) -> list[tuple[str, bytes]]:
        return [("request" if chunk.startswith((b"GET ", b"POST ")) else "", chunk)]


class Sql:
    """The frontend's messages of PostgreSQL's protocol, version 3: the run of a statement is named by its verb and table, a commit
    by what it commits."""

    def __init__(self) -> None:
        self._rest = b""
        self._began = False
        self._statements: dict[bytes, str] = {}
        self._last = ""

    def messages(self, chunk: bytes) -> list[tuple[str, bytes]]:
        self._rest += chunk
        found = []
        while (size := self._size()) and len(self._rest) >= size:
            message, self._rest = self._rest[:size], self._rest[size:]
            found.append((self._name(message) if self._began else "", message))
            self._began = True
        return found

    def _size(self) -> int:
        """Of the next message, 0 where that is not known yet. The first has no type."""
        start = 1 if self._began else 0
        return start + int.from_bytes(self._rest[start : start + 4]) if len(self._rest) >= start + 4 else 0

    def _name(self, message: bytes) -> str:
        body = message[5:]
        if message[:1] == b"P":
            name, _, rest = body.partition(b"\0")
            self._statements[name] = named(rest)
        elif message[:1] == b"B":
            self._last = self._statements.get(body.split(b"\0")[1], "") or self._last
            return self._last
        elif message[:1] == b"Q" and body.startswith(b"COMMIT"):
            return f"COMMIT {self._last}"
        return ""


def named(statement: bytes) -> str:
    """`UPDATE grants`; empty for what is about no table of ours."""
    found = TABLE.match(statement)
    return b" ".join(found.groups()).decode() if found else ""


@final
class Gate:
    """One proxy. `stop` says where it stops; `reached` is set when it has."""

    def __init__(self, target: str | int, reading: Callable[[], Reading]) -> None:
        self._target = target
        self._reading = reading
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop: Stop | None = None
        self._refusing = False
        self._answering: asyncio.StreamWriter | None = None
        self._open = asyncio.Event()
        self._open.set()
        self.reached = asyncio.Event()
        self.seen: list[str] = []
        self.port = 0

    def stop(self, stop: Stop) -> None:
        """From now on; messages count from now."""
        self._stop = stop
        self.seen.clear()
        self.reached.clear()

    def go_on(self) -> None:
        """Let through what was held, and all that comes."""
        self._stop = self._answering = None
        self._open.set()

    def cut(self, *, refuse: bool) -> None:
        """End all connections with what they hold; `refuse` those that come."""
        self._refusing = refuse
        for task in self._tasks:
            task.cancel()
        if not refuse:
            self.go_on()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        back, forth = await self._connected()
        ways = {asyncio.create_task(self._to_server(reader, forth)), asyncio.create_task(self._back(back, writer, forth))}
        self._tasks |= ways
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._tasks -= ways
            writer.transport.abort()
            forth.transport.abort()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, str):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection("127.0.0.1", self._target)

    async def _to_server(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        reading = self._reading()
        while chunk := await reader.read(65536):
            for name, message in reading.messages(chunk):
                await self._pass(name, message, server)

    async def _pass(self, name: str, message: bytes, server: asyncio.StreamWriter) -> None:
        stop = self._stop
        await self._open.wait()
        if name:
            self.seen.append(name)
        if stop is not None and name == stop.name and self.seen.count(name) == stop.number:
            await self._stopped(server, stop)
        server.write(message)
        await server.drain()

    async def _stopped(self, server: asyncio.StreamWriter, stop: Stop) -> None:
        self._stop = None
        if stop.answered:
            self._answering = server
            return
        self._open.clear()
        self.reached.set()
        await self._open.wait()

    async def _back(self, server: asyncio.StreamReader, client: asyncio.StreamWriter, forth: asyncio.StreamWriter) -> None:
        while chunk := await server.read(65536):
            if self._answering is forth:
                self._answering = None
                self._open.clear()
                self.reached.set()
            await self._open.wait()
            client.write(chunk)
            await client.drain()


@asynccontextmanager
async def gate(target: str | int, reading: Callable[[], Reading]) -> AsyncIterator[Gate]:
    """A gate before a port of this machine or a unix socket."""
    made = Gate(target, reading)
    server = await asyncio.start_server(made.carry, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.cut(refuse=True)
        await server.wait_closed()
