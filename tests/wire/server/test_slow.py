"""Clients that give or take a byte now and then: attacks.md row 139. A place is not held for them; silence with nothing to take is fine."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from gateway.core.message import Inbound, Response
from gateway.core.ports import Writer
from gateway.server.tls import ServerTls
from tests.fakes import CountingMetrics
from tests.pki import Pki
from tests.rawhttp import Client, Echo, Gate, limits, scripted, serving
from tests.wire.server.test_tls import client_context

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
PIECE = b"x" * 65536
SMALL = 32 * 1024
CUT = {"listener": "main", "reason": "slow-reader"}


@asynccontextmanager
async def dripping(client: Client, piece: bytes) -> AsyncIterator[None]:
    """A client that sends a piece every now and then."""

    async def drip() -> None:
        with suppress(ConnectionError):
            while True:
                await client.send(piece)
                await asyncio.sleep(0.02)

    task = asyncio.create_task(drip())
    try:
        yield
    finally:
        task.cancel()


@pytest.mark.parametrize(
    ("framing", "piece"),
    [(b"Content-Length: 1000000\r\n", b"a"), (b"Transfer-Encoding: chunked\r\n", b"1\r\na\r\n")],
    ids=["length", "chunked"],
)
async def test_a_body_that_comes_below_the_least_rate_is_answered_408(framing: bytes, piece: bytes) -> None:
    """However long a pause may be: what counts is how much comes."""
    async with serving(Echo(), limits=limits(min_upload=10_000, rate_grace=0.2, body_idle=60.0, header_timeout=0.4)) as gate:
        client = await gate.ask(POST + framing + b"\r\n")
        async with dripping(client, piece):
            answer = await client.answer()
        assert (answer.status, answer.fields["x-reason"], answer.fields["connection"]) == (408, "request-timeout", "close")


async def test_a_body_nobody_waits_for_may_take_its_time() -> None:
    """An app that is busy is not the client's fault."""
    release = asyncio.Event()

    async def app(inbound: Inbound, writer: Writer) -> None:
        await release.wait()
        body = await inbound.body.read(100)
        await writer.start(Response(200, []), body, False)

    async with serving(scripted(app), limits=limits(min_upload=1000, rate_grace=0.2, header_timeout=0.2)) as gate:
        client = await gate.ask(POST + b"Content-Length: 4\r\n\r\nd")
        assert await client.is_silent(0.6)
        await client.send(b"ata")
        release.set()
        assert (await client.answer()).body == b"data"


async def test_the_rest_of_a_body_nobody_reads_has_to_come_in_time_too() -> None:
    async def app(inbound: Inbound, writer: Writer) -> None:
        await writer.start(Response(200, []), b"", False)

    async with serving(scripted(app), limits=limits(min_upload=10_000, rate_grace=0.2, header_timeout=0.4)) as gate:
        client = await gate.ask(POST + b"Content-Length: 1000\r\n\r\n")
        assert (await client.answer()).status == 200
        async with dripping(client, b"a"):
            assert await client.rest() == b""


async def endless(inbound: Inbound, writer: Writer) -> None:
    await writer.start(Response(200, []), b"", True)
    while True:
        await writer.write(PIECE)


async def modest(gate: Gate, pki: Pki, *, secure: bool) -> Client:
    """A client whose system takes in little for it, and who has asked."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    sock.connect(("127.0.0.1", gate.port))
    sock.setblocking(False)
    context = client_context(pki) if secure else None
    streams = await asyncio.open_connection(sock=sock, ssl=context, server_hostname="localhost" if secure else None, limit=1024)
    client = Client(*streams)
    gate.clients.append(client)
    await client.send(GET)
    return client


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_an_answer_that_is_taken_below_the_least_rate_is_cut_off(tmp_path: Path, secure: bool) -> None:
    pki, metrics = Pki(tmp_path), CountingMetrics()
    tls = ServerTls(pki.model()) if secure else None
    slowly = limits(min_download=50 * 1024 * 1024, body_idle=0.4)
    async with serving(scripted(endless), tls=tls, limits=slowly, metrics=metrics) as gate:
        client = await modest(gate, pki, secure=secure)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while metrics.counted("gateway.connections.cut", **CUT) == 0:
                await client.reader.readexactly(1024)
                await asyncio.sleep(0.01)
        await gate.until(lambda: gate.server.connections == 0)
        assert metrics.counted("gateway.connections.cut", **CUT) == 1


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_who_reads_slowly_but_fast_enough_gets_all_of_it(tmp_path: Path, secure: bool) -> None:
    """Over TLS too, where what waits is counted by what the client's system has acknowledged."""
    size = 6 * 1024 * 1024

    async def app(inbound: Inbound, writer: Writer) -> None:
        await writer.start(Response(200, [(b"content-length", b"%d" % size)]), b"", True)
        for _ in range(size // len(PIECE)):
            await writer.write(PIECE)
        writer.end()

    pki, metrics = Pki(tmp_path), CountingMetrics()
    tls = ServerTls(pki.model()) if secure else None
    async with serving(scripted(app), tls=tls, limits=limits(min_download=240, body_idle=2.0), metrics=metrics) as gate:
        client = await modest(gate, pki, secure=secure)
        await client.reader.readuntil(b"\r\n\r\n")
        received = 0
        while received < size:
            received += len(await client.reader.read(65536))
            await asyncio.sleep(0.005)
        assert metrics.counted("gateway.connections.cut", **CUT) == 0


async def test_a_stream_with_nothing_to_say_is_no_slow_reader() -> None:
    """Server-sent events: the client has taken all there is."""
    speak = asyncio.Event()

    async def app(inbound: Inbound, writer: Writer) -> None:
        await writer.start(Response(200, []), b"data: one\n\n", True)
        await speak.wait()
        await writer.write(b"data: two\n\n")
        writer.end()

    async with serving(scripted(app), limits=limits(body_idle=0.1, header_timeout=0.1, idle_timeout=0.1)) as gate:
        client = await gate.ask(GET)
        await client.reader.readuntil(b"one\n\n\r\n")
        assert await client.is_silent(0.8)
        speak.set()
        assert b"data: two" in await client.reader.readuntil(b"0\r\n\r\n")
