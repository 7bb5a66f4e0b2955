"""Neither side can make the gateway hold more than a little, or work for nobody."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.core.errors import GatewayError
from gateway.core.message import Inbound, Response
from gateway.core.ports import Writer
from gateway.server.tls import ServerTls
from tests.pki import Pki
from tests.rawhttp import FOLLOWER, Echo, limits, scripted, serving
from tests.wire.server.test_tls import client_context

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PIECE = b"x" * 65536
PLENTY = 32 * 1024 * 1024


async def test_a_body_nobody_reads_is_not_taken_in() -> None:
    reading = asyncio.Event()
    taken = 0

    async def app(inbound: Inbound, writer: Writer) -> None:
        nonlocal taken
        await reading.wait()
        async for piece in inbound.body:
            taken += len(piece)
        await writer.start(Response(200, []), b"", False)

    async with serving(scripted(app), limits=limits(body=PLENTY)) as gate:
        client = await gate.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % PLENTY)
        sent = await write_until_stuck(client.writer)
        assert sent < PLENTY / 2
        reading.set()
        client.writer.write(b"x" * (PLENTY - sent))
        await client.writer.drain()
        assert (await client.answer()).status == 200
    assert taken == PLENTY


async def write_until_stuck(writer: asyncio.StreamWriter) -> int:
    """Write until the other side takes no more; gives the bytes written."""
    sent = 0
    while sent < PLENTY:
        writer.write(PIECE)
        sent += len(PIECE)
        try:
            async with asyncio.timeout(0.3):
                await writer.drain()
        except TimeoutError:
            break
    return sent


async def test_a_client_that_does_not_read_stops_the_app_from_writing() -> None:
    written = 0

    async def app(inbound: Inbound, writer: Writer) -> None:
        nonlocal written
        await writer.start(Response(200, []), b"", True)
        for _ in range(PLENTY // len(PIECE)):
            await writer.write(PIECE)
            written += len(PIECE)
        writer.end()

    async with serving(scripted(app)) as gate:
        client = await gate.ask(GET)
        before = -1
        while before != written:
            before = written
            await asyncio.sleep(0.2)
        assert written < PLENTY / 2
        assert len((await client.answer()).body) == PLENTY


async def test_a_client_that_never_reads_is_cut_off() -> None:
    ended = asyncio.Event()

    async def app(inbound: Inbound, writer: Writer) -> None:
        try:
            await writer.start(Response(200, []), b"", True)
            while True:
                await writer.write(PIECE)
        finally:
            ended.set()

    async with serving(scripted(app), limits=limits(body_idle=0.2)) as gate:
        with socket.create_connection(("127.0.0.1", gate.port)) as client:
            client.sendall(GET)
            async with asyncio.timeout(60):
                await ended.wait()
            await gate.until(lambda: gate.server.connections == 0)


async def test_a_slow_reader_of_the_last_answer_gets_all_of_it() -> None:
    """What counts is that the client reads at all, not that it is done within `body_idle`."""
    body = b"x" * PLENTY

    async def app(inbound: Inbound, writer: Writer) -> None:
        await writer.start(Response(200, [], close=True), body, False)

    async with serving(scripted(app), limits=limits(body_idle=1.5)) as gate:
        client = await gate.connect(limit=1024)
        await client.send(GET)
        received = 0
        async with asyncio.timeout(60):
            while data := await client.reader.read(1 << 18):
                received += len(data)
                await asyncio.sleep(0.02)
    assert received > PLENTY


@pytest.mark.parametrize("when", ["waiting", "reading", "writing"])
async def test_a_client_that_leaves_cancels_its_request(when: str) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def app(inbound: Inbound, writer: Writer) -> None:
        begun.set()
        try:
            if when == "reading":
                await inbound.body.read(100)
            if when == "writing":
                await writer.start(Response(200, []), b"", True)
            while when == "writing":
                await writer.write(PIECE)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with serving(scripted(app)) as gate:
        client = await gate.ask(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n" + (b"" if when == "reading" else b"data")
        )
        async with asyncio.timeout(60):
            await begun.wait()
            client.writer.transport.abort()
            await cancelled.wait()
        await gate.until(lambda: gate.server.connections == 0)


async def test_a_body_broken_in_the_middle_surfaces_where_it_is_read() -> None:
    seen = b""
    reasons: list[str] = []

    async def app(inbound: Inbound, writer: Writer) -> None:
        nonlocal seen
        try:
            async for piece in inbound.body:
                seen += piece
        except GatewayError as error:
            reasons.append(error.reason)
            await writer.start(Response(error.status, []), b"", False)

    async with serving(scripted(app)) as gate:
        client = await gate.ask(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ndata\r\n")
        await gate.until(lambda: seen == b"data")
        await client.send(b"4\ndata\r\n0\r\n\r\n" + FOLLOWER)
        answer = await client.answer()
        assert (answer.status, answer.fields["connection"]) == (400, "close")
        assert await client.rest() == b""
    assert reasons == ["malformed-request"]


async def test_an_answer_may_come_while_the_body_still_does() -> None:
    async def echoing(inbound: Inbound) -> AsyncIterator[bytes]:
        async for piece in inbound.body:
            yield piece

    async def app(inbound: Inbound, writer: Writer) -> None:
        await writer.start(Response(200, []), b"", True)
        async for piece in echoing(inbound):
            await writer.write(piece)
        writer.end()

    async with serving(scripted(app)) as gate:
        client = await gate.ask(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        await client.send(b"4\r\nping\r\n")
        assert await client.reader.readexactly(9) == b"4\r\nping\r\n"
        await client.send(b"0\r\n\r\n")
        assert await client.reader.readexactly(5) == b"0\r\n\r\n"
        assert await client.rest() == b""


async def test_many_connections_each_get_their_own_answers() -> None:
    async with serving(Echo()) as gate:

        async def talk(number: int) -> None:
            client = await gate.connect()
            for turn in range(20):
                await client.send(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (number, turn, b"x" * turn))
                assert (await client.answer()).body == b"POST /%d %d\n" % (number, turn)

        await asyncio.gather(*(talk(number) for number in range(50)))


def last_words(port: int, context: ssl.SSLContext) -> bytes:
    """Send a request and close_notify in one segment; what comes back."""
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(received, to_send, server_hostname="localhost")
    answer = b""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        while True:
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
            connection.sendall(to_send.read())
            received.write(connection.recv(65536))
        connection.sendall(to_send.read())
        tls.write(b"GET /fast HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with suppress(ssl.SSLWantReadError):
            tls.unwrap()
        connection.sendall(to_send.read())
        with suppress(ConnectionError):
            while data := connection.recv(65536):
                received.write(data)
        with suppress(ssl.SSLError):
            while data := tls.read(65536):
                answer += data
    return answer


@pytest.mark.parametrize("others", [0, 1])
async def test_who_asks_and_leaves_in_one_breath_is_answered(tmp_path: Path, others: int) -> None:
    """While others are served too, the answer waits for the end of the turn; the connection ends before that."""
    release = asyncio.Event()

    async def answer(inbound: Inbound, writer: Writer) -> None:
        if inbound.target == b"/slow":
            await release.wait()
        writer.whole(Response(200, [], b"hello"))

    pki = Pki(tmp_path)
    async with serving(scripted(answer), tls=ServerTls(pki.model())) as gate:
        for _ in range(others):
            other = await gate.connect(ssl=client_context(pki), server_hostname="localhost")
            await other.send(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await asyncio.sleep(0.05)
        assert b"hello" in await asyncio.to_thread(last_words, gate.port, client_context(pki))
        release.set()
