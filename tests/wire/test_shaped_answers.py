"""Shaped answers over sockets: every framing and version a client may want, slow ones, and every way they may end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.house import House, config, house, read_reply, request_bytes, written
from tests.http2peer import Heard, Http2Server, Peer, ask, peer
from tests.knots import emptied, knots
from tests.shaped import MAIL, answer, asked, chunked, redacting, told

POLICY = redacting("$..email")
HTTP2 = {"address": "127.0.0.1:0", "http2": True}
ITEM = b'{"email": "alice@example.com", "text": "%b"}' % (b"x" * 1000)
LEFT = b'{ "text": "%b"}' % (b"x" * 1000)
MANY = b"[" + b",".join([ITEM] * 3000) + b"]"


@asynccontextmanager
async def client(
    gateway: House, target: str = "/public/x", version: str = "1.1"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which something was asked."""
    reader, writer = await asyncio.open_connection(*gateway.address())
    writer.write(request_bytes(target, headers={"Connection": "close"}).replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    "raw", [answer(MANY), chunked(*[MANY[at : at + 5000] for at in range(0, len(MANY), 5000)])], ids=["length", "chunks"]
)
async def test_a_long_answer_comes_whole_to_clients_of_every_version(tmp_path: Path, raw: bytes) -> None:
    expected = b"[" + b",".join([LEFT] * 3000) + b"]"
    async with house(tmp_path, policy=POLICY, listen=HTTP2) as gateway:
        gateway.upstream.answer = raw
        modern = await asked(gateway)
        assert (modern["transfer-encoding"], modern.get("content-length"), modern.body) == ("chunked", None, expected)
        async with client(gateway, version="1.0") as (reader, _):
            old = await reader.read()
        head, _, body = old.partition(b"\r\n\r\n")
        assert (b"transfer-encoding" in head, b"content-length" in head, body) == (False, False, expected)
        async with peer(gateway.address()) as stream:
            heard = await stream.ask(1, ask("/public/x"))
        assert (heard.status, heard.ended, heard.body, "content-length" in dict(heard.final)) == (200, True, expected, False)
        assert await told(gateway) == {"outcome": "shaped", "redacted": 3000}
        assert gateway.upstream.opened == 1, "the upstream's connection is used again"


async def test_a_short_answer_has_the_length_of_what_is_left(tmp_path: Path) -> None:
    async with house(tmp_path, policy=POLICY, listen=HTTP2) as gateway:
        gateway.upstream.answer = answer(MAIL)
        assert (await asked(gateway))["content-length"] == "9"
        async with peer(gateway.address()) as stream:
            heard = await stream.ask(1, ask("/public/x"))
            assert (heard["content-length"], heard.body) == ("9", b'{"id": 1}')
            head = await stream.ask(3, ask("/public/x", method="HEAD"))
            assert (head.status, head.ended, "content-length" in dict(head.final)) == (200, True, False)


async def test_a_stream_of_http2_is_reset_where_the_answer_becomes_unreadable(tmp_path: Path) -> None:
    async with house(tmp_path, policy=POLICY, listen=HTTP2) as gateway:
        gateway.upstream.answer = answer(MANY[:-1] + b'} {"email": "alice@example.com"}')
        async with peer(gateway.address()) as stream:
            heard = await stream.ask(1, ask("/public/x"))
            assert (heard.status, heard.ended, heard.reset is not None) == (200, False, True)
            assert b"alice@example.com" not in heard.body
            gateway.upstream.answer = answer(MAIL)
            assert (await stream.ask(3, ask("/public/x"))).body == b'{"id": 1}'


async def test_a_slow_client_slows_the_upstream_down(tmp_path: Path) -> None:
    most, piece = 64 * 1024 * 1024, b",".join([ITEM] * 64) + b","
    sent = 0
    stuck = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(chunked(b"[", last=b""))
        while sent < most and not stuck.is_set():
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            sent += len(piece)
            try:
                async with asyncio.timeout(0.3):
                    await writer.drain()
            except TimeoutError:
                stuck.set()
        writer.write(b"2\r\n1]\r\n0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with other_upstream(tmp_path, serve) as gateway, client(gateway) as (reader, _):
        async with asyncio.timeout(60):
            await stuck.wait()
            assert sent < most / 2
            reply = await read_reply(reader, "GET")
        items, addresses = reply.body.count(LEFT), reply.body.count(b"alice")
        assert (items, addresses) == (sent // len(piece) * 64, 0)


@asynccontextmanager
async def other_upstream(folder: Path, serve: Any, **over: Any) -> AsyncIterator[House]:
    """A gateway whose upstream is this."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    document = config(server.sockets[0].getsockname()[1], **over)
    async with house(folder, policy=POLICY) as gateway:
        (folder / "config.yaml").write_text(written(document))
        assert await gateway.process.reload()
        yield gateway
    server.close()


async def test_what_an_http2_upstream_says_behind_its_body_stays_behind(tmp_path: Path) -> None:
    def serve(stream: Peer, number: int, heard: Heard) -> None:
        stream.head(number, [(":status", "200"), ("content-type", "application/json"), ("etag", "x")], end=False)
        for at in range(0, len(MAIL), 7):
            stream.data(number, MAIL[at : at + 7], end=False)
        stream.head(number, [("x-copy", "alice@example.com")])

    async with Http2Server(serve) as server:
        target = {"url": f"http://127.0.0.1:{server.port}", "http2": True, "allow_plaintext": True, "allow_private": True}
        async with house(
            tmp_path, policy=POLICY, listen=HTTP2, upstreams={"api": target, "plain": target}, credentials={}
        ) as gateway:
            async with peer(gateway.address()) as stream:
                heard = await stream.ask(1, ask("/public/x", ("te", "trailers")))
            assert (heard.body, heard.trailers, heard.ended) == (b'{"id": 1}', [], True)
            assert (await asked(gateway)).body == b'{"id": 1}'


async def readers(gateway: House) -> None:
    """Whole answers, short and long."""
    for raw in (answer(MAIL), answer(MANY), chunked(MAIL)):
        gateway.upstream.answer = raw
        assert (await asked(gateway)).status == 200
        assert (await asked(gateway, method="HEAD")).status == 200


async def refusals(gateway: House) -> None:
    """Answers that cannot be inspected, at once and in the middle."""
    for raw in (
        answer(MAIL, kind="text/html"),
        answer(b"[" + MANY, kind="text/html"),
        answer(MAIL + b"x"),
        answer(MAIL, status="206 OK"),
    ):
        gateway.upstream.answer = raw
        assert (await asked(gateway)).status == 403
    gateway.upstream.answer = answer(b"<p>" * 100_000, kind="text/html", status="500 Oops")
    assert (await asked(gateway)).status == 500
    gateway.upstream.answer = answer(MANY[:-1] + b"}")
    async with client(gateway) as (reader, _):
        await reader.read()


async def leavers(gateway: House) -> None:
    """Clients that go away before their answer and in the middle of it."""
    gateway.upstream.answer = answer(MANY)
    for read in (0, 100_000):
        async with client(gateway) as (reader, _):
            if read:
                await reader.readexactly(read)
            else:
                await asyncio.sleep(0.01)


async def breakers(gateway: House) -> None:
    """Upstreams that end in the middle of an answer."""
    for size in (10, 100_000):
        gateway.upstream.answer = answer(MANY)[:size] if size > 1000 else chunked(MAIL[:size], last=b"zz\r\n")
        async with client(gateway) as (reader, _):
            asking = asyncio.create_task(reader.read())
            if size > 1000:
                await asyncio.sleep(0.01)
                for side in list(gateway.upstream._writers):
                    side.close()
            await asking


@pytest.mark.parametrize("way", [readers, refusals, leavers, breakers])
async def test_a_shaped_answer_that_ended_is_freed_with_its_upstreams_connection(tmp_path: Path, way: Any) -> None:
    async with house(tmp_path, policy=POLICY) as gateway:
        await readers(gateway)
        with knots() as found:
            for _ in range(3):
                await way(gateway)
            await emptied(gateway)
        assert not found
        status = gateway.process.resources.status()["upstreams"]["plain"]
        assert status["connections"] == sum(target["idle"] for target in status["targets"]), "none is taken"
        gateway.upstream.answer = answer(MAIL)
        assert (await asked(gateway)).body == b'{"id": 1}'
