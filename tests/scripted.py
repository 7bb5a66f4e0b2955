"""An upstream that does exactly what a script says, byte by byte, and the requests to send it."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Self

from gateway.core import message
from gateway.core.exchange import Exchange
from gateway.core.message import NO_BODY, Body, Field, Head, Outbound, Request, Response
from gateway.core.ports import Transport
from gateway.core.principal import Identity, Principal
from gateway.upstream.model import RouteTimeouts
from gateway.upstream.model import Upstream as Model
from gateway.upstream.pool import Upstream
from gateway.upstream.target import Resolve, resolve_by_system

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BOUND = 60.0
"""Seconds after which a test that waits has failed."""


class Step(Enum):
    """What a script may do beside sending bytes and waiting for an event."""

    READ = auto()  # one request, body included
    HEAD = auto()  # one request's head
    CLOSE = auto()
    RESET = auto()
    DRAIN = auto()  # read until the peer closes


READ, HEAD, CLOSE, RESET, DRAIN = Step
Script = Sequence[bytes | asyncio.Event | Step]


@dataclass
class Seen:
    """One request as it stood on the wire."""

    head: bytes
    body: bytes

    @property
    def line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]

    def all(self, name: bytes) -> list[bytes]:
        pairs = (line.partition(b":") for line in self.head.split(b"\r\n")[1:])
        return [value.strip() for key, _, value in pairs if key.lower() == name]


class Scripted:
    """Each connection plays the next script; the last one is played again for all that follow."""

    def __init__(self, *scripts: Script, ssl: Any = None, host: str = "127.0.0.1") -> None:
        self._scripts = list(scripts)
        self._ssl = ssl
        self._host = host
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.opened = 0
        self.closed = 0
        self.seen: list[Seen] = []
        self.changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _turn in range(10):  # the other ends notice, and close too
            await asyncio.sleep(0.001)

    async def until_closed(self, count: int) -> None:
        """Wait until so many connections were ended by the other side."""
        await self._until(lambda: self.closed >= count)

    async def until_seen(self, count: int) -> None:
        await self._until(lambda: len(self.seen) >= count)

    async def until_opened(self, count: int) -> None:
        await self._until(lambda: self.opened >= count)

    async def _until(self, holds: Any) -> None:
        async with asyncio.timeout(BOUND):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        script = self._scripts[min(self.opened, len(self._scripts) - 1)]
        self.opened += 1
        self.changed.set()
        try:
            for step in script:
                if not await self._play(step, reader, writer):
                    return
            while await reader.read(65536):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self.closed += 1
            self.changed.set()
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _play(self, step: bytes | asyncio.Event | Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        match step:
            case bytes():
                writer.write(step)
                await writer.drain()
            case asyncio.Event():
                await step.wait()
            case Step.READ | Step.HEAD:
                head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
                self.seen.append(Seen(head, b""))
                self.changed.set()
                if step is Step.READ:
                    self.seen[-1].body = await read_body(reader, self.seen[-1])
                self.changed.set()
            case Step.DRAIN:
                while await reader.read(65536):
                    pass
            case Step.RESET:
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            case Step.CLOSE:
                return False
        return True


async def read_body(reader: asyncio.StreamReader, seen: Seen) -> bytes:
    if seen.all(b"transfer-encoding"):
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        assert await reader.readexactly(2) == b"\r\n"
        return body
    length = seen.all(b"content-length")
    return await reader.readexactly(int(length[0])) if length else b""


class Counted:
    """Metrics that a test can ask."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + amount

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        self.counts[name] = value


class Pieces:
    """A request body that arrives in pieces; an event among them is waited for, an exception is raised."""

    def __init__(self, *pieces: bytes | asyncio.Event | Exception, length: int | None = None) -> None:
        self._pieces = pieces
        self.length = length
        self.whole: bytes | None = None
        self.limit = 1 << 20
        self.received = 0
        self.given = 0

    async def read(self, limit: int) -> bytes:
        self.whole = b"".join([piece async for piece in self])
        return self.whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            elif isinstance(piece, Exception):
                raise piece
            else:
                self.given += 1
                yield piece


class Whole(Pieces):
    """A request body that has been read already."""

    def __init__(self, content: bytes) -> None:
        super().__init__(length=len(content))
        self.whole = content


def upstream(port: int = 9, *, metrics: Counted | None = None, resolve: Resolve = resolve_by_system, **keys: Any) -> Upstream:
    """An upstream on a loopback port, with any other keys of its configuration."""
    model = {"url": f"http://127.0.0.1:{port}", "internal": True, "allow_plaintext": True, **keys}
    if "targets" in model:
        del model["url"]
    return Upstream("tested", Model.model_validate(model), metrics=metrics or Counted(), resolve=resolve)


def transport(port: int, **keys: Any) -> Transport:
    return upstream(port, **keys).transport(RouteTimeouts(), drop_cookies=True)


def request(
    *headers: Field,
    method: str = "GET",
    path: str = "/a",
    query: bytes | None = None,
    peer: str = "192.0.2.1",
    client: str | None = None,
    secure: bool = False,
    trusted: bool = False,
    forwarded: tuple[Field, ...] = (),
    authority: str = "gateway.example",
    body: Body = NO_BODY,
) -> Request:
    """An admitted request, as intake would make it."""
    names = [name for name, _ in headers]
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        fields.setdefault(name, value)
    head = Head(
        host=authority.partition(":")[0],
        authority=authority,
        version="1.1",
        headers=list(headers),
        fields=fields,
        repeated=frozenset(name for name in names if names.count(name) > 1),
        peer=peer,
        client=client or peer,
        secure=secure,
        trusted=trusted,
        forwarded=forwarded,
        certificate=None,
        listener="default",
    )
    return Request(head, method, path, tuple(path[1:].split("/")), query, body)


def outbound(
    method: str = "GET", target: bytes = b"/a", *headers: Field, body: Body = NO_BODY, path: str | None = None
) -> Outbound:
    """A request ready to go."""
    admitted = request(method=method, path=path or target.partition(b"?")[0].decode("ascii"), body=body)
    made = Outbound(method=method, target=target, headers=[*headers], body=body, request=admitted)
    made.authority = b"upstream.example"
    return made


def fields_of(outbound: Outbound) -> list[Field]:
    """All header fields of a request to an upstream, those rendered already among them."""
    host = [(b"host", outbound.authority)] if outbound.authority else []
    return [*host, *outbound.headers, *message.fields_of(b"".join(outbound.lines))]


def principal(issuer: str = "corp", id: str = "alice") -> Principal:
    return Principal(Identity(id=id, issuer=issuer, scheme="jwt"))


def exchange(trace_id: str = "", span_id: str = "", *, sampled: bool = False) -> Exchange:
    made = Exchange("0192-id", 0.0, 0.0, "g", "default", "GET", "192.0.2.1")
    made.trace_id, made.span_id, made.sampled = trace_id, span_id, sampled
    return made


async def body_of(response: Response) -> bytes:
    """The whole body, however it comes."""
    if response.stream is None:
        return response.body
    return response.body + b"".join([piece async for piece in response.stream])
