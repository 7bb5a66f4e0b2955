"""The answer a connection ends with: a slow client gets all of it, and nobody holds a place by not taking it or not leaving."""

import asyncio
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.core.message import Inbound, Response
from gateway.core.ports import Writer
from gateway.server.accept import SHUTDOWN
from gateway.server.tls import ServerTls
from tests.fakes import CountingMetrics
from tests.pki import Pki
from tests.rawhttp import Client, Gate, limits, scripted, serving
from tests.wire.server.test_slow import CUT, SMALL
from tests.wire.server.test_tls import client_context

SIZE = 8 * 1024 * 1024
SOME = 400_000
"""Less than what makes a TLS connection's writers wait, more than what two systems hold that were told to hold little."""
MODERN = b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
OLD = b"GET /%d HTTP/1.0\r\n\r\n"
REFUSED = b"POST /%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n"


async def sized(inbound: Inbound, writer: Writer) -> None:
    """As many bytes as the target says; what has a body is refused."""
    status = 200 if inbound.method == "GET" else 413
    body = b"x" * int(inbound.target[1:])
    await writer.start(Response(status, [(b"content-length", b"%d" % len(body))], close=status == 413), body, False)


async def small_buffers(port: int) -> socket.socket:
    """Connected, and its system takes in little for it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return sock


async def asked(gate: Gate, pki: Pki, request: bytes, *, secure: bool) -> Client:
    sock, context = await small_buffers(gate.port), client_context(pki) if secure else None
    streams = await asyncio.open_connection(sock=sock, ssl=context, server_hostname="localhost" if secure else None, limit=1024)
    client = Client(*streams)
    gate.clients.append(client)
    await client.send(request)
    return client


async def taken_late(client: Client, pause: float) -> int:
    """How much of the body comes to a client that pauses behind the head."""
    await client.reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(pause)
    received = 0
    with suppress(ConnectionError, ssl.SSLError):
        while data := await client.reader.read(65536):
            received += len(data)
    return received


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_a_client_that_is_slow_gets_all_of_the_last_answer(tmp_path: Path, secure: bool) -> None:
    """The pause is longer than a TLS connection is granted to close itself by the event loop, and than it takes to leave."""
    pki, metrics = Pki(tmp_path), CountingMetrics()
    tls = ServerTls(pki.model()) if secure else None
    async with serving(scripted(sized), tls=tls, metrics=metrics) as gate:
        requests = [request % SIZE for request in (LAST, OLD, REFUSED, MODERN)]
        clients = [await asked(gate, pki, request, secure=secure) for request in requests]
        leaving = asyncio.create_task(gate.server.drain(0.0, 60.0))
        received = await asyncio.gather(*(taken_late(client, SHUTDOWN + 1.0) for client in clients))
        assert received == [SIZE] * len(clients)
        assert await leaving
        assert metrics.counted("gateway.connections.cut", **CUT) == 0


class Bare:
    """TLS by hand, so that a client can do what no library does: say that it leaves and read on, or read and never leave."""

    def __init__(self, pki: Pki, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = client_context(pki).wrap_bio(self._received, self._to_send, server_hostname="localhost")
        self.sock = sock

    async def ask(self, request: bytes, *, leaving: bool) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._loop.sock_sendall(self.sock, self._to_send.read())
                self._received.write(await self._loop.sock_recv(self.sock, 65536))
            else:
                break
        self._tls.write(request)
        if leaving:
            with suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
        await self._loop.sock_sendall(self.sock, self._to_send.read())

    async def read(self, size: int) -> bytes:
        """So many bytes in the clear, or as many as come; the system is read only for what is missing."""
        clear = b""
        while len(clear) < size:
            try:
                clear += self._tls.read(size - len(clear))
            except ssl.SSLWantReadError:
                data = await self._loop.sock_recv(self.sock, 65536)
                if not data:
                    break
                self._received.write(data)
        return clear

    async def rest(self) -> int:
        """How many bytes come until the other end closes; none of them is answered."""
        received = 0
        with suppress(ConnectionError):
            while data := await self._loop.sock_recv(self.sock, 65536):
                received += len(data)
        return received


@pytest.mark.parametrize("request_line", [LAST, OLD, MODERN], ids=["close", "1.0", "leaving"])
async def test_who_takes_nothing_of_the_last_answer_holds_no_place_over_tls(tmp_path: Path, request_line: bytes) -> None:
    """Neither do those who say goodbye with their request."""
    pki, metrics = Pki(tmp_path), CountingMetrics()
    tls, hasty = ServerTls(pki.model()), limits(body_idle=0.5, idle_timeout=0.5)
    async with serving(scripted(sized), tls=tls, limits=hasty, metrics=metrics) as gate:
        gate.socket().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        with await small_buffers(gate.port) as sock:
            await Bare(pki, sock).ask(request_line % SOME, leaving=request_line is MODERN)
            await gate.until(lambda: metrics.counted("gateway.connections.cut", **CUT) == 1)
            await gate.until(lambda: gate.server.connections == 0)


async def test_who_has_taken_the_last_answer_and_never_says_goodbye_holds_no_place(tmp_path: Path) -> None:
    pki, metrics = Pki(tmp_path), CountingMetrics()
    async with serving(scripted(sized), tls=ServerTls(pki.model()), metrics=metrics) as gate:
        with await small_buffers(gate.port) as sock:
            client = Bare(pki, sock)
            await client.ask(LAST % SOME, leaving=False)
            async with asyncio.timeout(60):
                assert await client.rest() > SOME
            await gate.until(lambda: gate.server.connections == 0)
        assert metrics.counted("gateway.connections.cut", **CUT) == 0


async def test_the_end_of_a_drain_waits_for_no_slow_reader(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    async with serving(scripted(sized), tls=ServerTls(pki.model())) as gate:
        with await small_buffers(gate.port) as sock:
            await Bare(pki, sock).ask(LAST % SIZE, leaving=False)
            await gate.until(lambda: gate.server.connections == 1)
            await gate.server.drain(0.0, 0.2)
            await gate.until(lambda: gate.server.connections == 0)
