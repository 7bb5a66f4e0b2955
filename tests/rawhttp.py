"""The server spoken to byte by byte: a small app that remembers what it saw, a served listener, a raw client."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.core.errors import GatewayError
from gateway.core.message import Inbound, Response
from gateway.core.ports import App, Metrics, Writer
from gateway.edge.model import ListenerLimits
from gateway.server.lifecycle import Server
from gateway.server.listener import Listener
from gateway.server.tls import ServerTls

PATIENCE = 60.0
"""Seconds after which something that must happen has not."""
LARGE = 1 << 30
FOLLOWER = b"GET /follower HTTP/1.1\r\nHost: a\r\n\r\n"


class Echo:
    """Answers 200 with what the request said, or the status of what was wrong with it; remembers both."""

    def __init__(self) -> None:
        self.seen: list[Inbound] = []
        self.bodies: list[bytes] = []
        self.errors: list[GatewayError] = []

    @property
    def targets(self) -> list[bytes]:
        return [inbound.target for inbound in self.seen if inbound.fault is None]

    async def __call__(self, inbound: Inbound, writer: Writer) -> None:
        self.seen.append(inbound)
        try:
            if inbound.fault is not None:
                raise inbound.fault
            body = await inbound.body.read(LARGE)
        except GatewayError as error:
            self.errors.append(error)
            fields = [(b"x-reason", error.reason.encode("ascii"))]
            await writer.start(Response(error.status, fields, close=error.close), b"refused\n", False)
            return
        self.bodies.append(body)
        await writer.start(Response(200, []), b"%b %b %d\n" % (inbound.method.encode(), inbound.target, len(body)), False)


def scripted(answer: Callable[[Inbound, Writer], Awaitable[None]]) -> App:
    """An app that is one function."""

    class Scripted:
        async def __call__(self, inbound: Inbound, writer: Writer) -> None:
            await answer(inbound, writer)

    return Scripted()


class Answered:
    """One answer as the client read it."""

    def __init__(self, status: int, fields: dict[str, str], body: bytes, head: bytes) -> None:
        self.status = status
        self.fields = fields
        self.body = body
        self.head = head


class Client:
    """A raw connection to a listener."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, method: str = "GET") -> Answered:
        """Read one final answer, its body framed as RFC 9112 6.3 says."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head[:-4].decode("latin-1").split("\r\n")
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            status = int(lines[0].split(" ")[1])
            return Answered(status, fields, await self._body(method, status, fields), head)

    async def _body(self, method: str, status: int, fields: dict[str, str]) -> bytes:
        if method == "HEAD" or status in (100, 204, 304):
            return b""
        if "content-length" in fields:
            return await self.reader.readexactly(int(fields["content-length"]))
        if "transfer-encoding" not in fields:
            return await self.reader.read()
        pieces = []
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            pieces.append((await self.reader.readexactly(size + 2))[:-2])
        await self.reader.readexactly(2)
        return b"".join(pieces)

    async def rest(self) -> bytes:
        """Everything until the server ends the connection; a reset counts as an end."""
        received = b""
        async with asyncio.timeout(PATIENCE):
            try:
                while data := await self.reader.read(65536):
                    received += data
            except (ConnectionError, ssl.SSLError):
                pass
        return received

    async def is_silent(self, seconds: float = 0.1) -> bool:
        """Whether the connection stays open and nothing comes for a while."""
        try:
            async with asyncio.timeout(seconds):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        self.writer.close()


class Gate:
    """A server with one listener, for as long as a test needs it."""

    def __init__(self, server: Server, address: str) -> None:
        self.server = server
        self.address = address
        self.clients: list[Client] = []

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def socket(self) -> socket.socket:
        """The listening socket."""
        (acceptor,) = self.server._acceptors.values()
        return acceptor._socket

    async def connect(self, **options: Any) -> Client:
        if self.address.startswith("unix:"):
            client = Client(*await asyncio.open_unix_connection(self.address[5:], **options))
        else:
            client = Client(*await asyncio.open_connection(self.address.rpartition(":")[0].strip("[]"), self.port, **options))
        self.clients.append(client)
        return client

    async def ask(self, raw: bytes) -> Client:
        client = await self.connect()
        await client.send(raw)
        return client

    async def until(self, question: Callable[[], bool]) -> None:
        """Wait, with a bound, until something has become true."""
        async with asyncio.timeout(PATIENCE):
            while not question():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(
    app: App,
    *,
    address: str = "127.0.0.1:0",
    limits: ListenerLimits | None = None,
    tls: ServerTls | None = None,
    metrics: Metrics | None = None,
    certificate_interval: float = 3600.0,
    **options: Any,
) -> AsyncIterator[Gate]:
    """A server with one listener named `main`; closed, with its clients, at the end."""
    listener = Listener("main", address, app, limits=limits or ListenerLimits(), tls=tls, **options)
    server = Server([listener], metrics=metrics, certificate_interval=certificate_interval)
    await server.start()
    gate = Gate(server, server.addresses["main"])
    try:
        yield gate
    finally:
        for client in gate.clients:
            client.close()
        await server.close()


def limits(**changes: Any) -> ListenerLimits:
    """Listener limits as numbers of seconds and bytes, whatever they are in configuration."""
    return ListenerLimits().model_copy(update=changes)
