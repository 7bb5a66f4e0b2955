"""What ended is gone: connections, answers, tunnels and configurations leave nothing that waits for the garbage collector.

The collector is off while these tests make things end in every way they can; afterwards it must not find anything of ours.
"""

import asyncio
import contextlib
import gc
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.core.errors import UpstreamUnreachable
from gateway.store.redis_link import RedisLink
from gateway.store.resp import StoreError
from gateway.store.server import Server
from gateway.upstream.model import RouteTimeouts
from tests.frames import RawUpstream, closing, frame, handshake, status_of
from tests.house import House, config, house, request_bytes
from tests.http2peer import ask, peer
from tests.knots import emptied, knots
from tests.pki import Pki
from tests.scripted import CLOSE, OK, READ, Scripted, Step, body_of, outbound, upstream
from tests.wire.upstream.test_checks import QUICK, started

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n"
TIMES = 3


@asynccontextmanager
async def client(gateway: House) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the gateway, left in whatever state it is at the end."""
    reader, writer = await asyncio.open_connection(*gateway.address())
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def kept_alive(gateway: House) -> None:
    """Some requests alike, some of another principal, and an end of the client's choice."""
    token = gateway.keys.token()
    async with client(gateway) as (reader, writer):
        for target in ("/things/1", "/things/1", "/things/2", "/public/x"):
            writer.write(request_bytes(target, token=token))
            await reader.readuntil(b'{"ok":true}')


async def uploads(gateway: House) -> None:
    """A body that comes whole, and one whose client vanishes in the middle of it."""
    for sent in (b"a" * 10, b"a" * 3):
        async with client(gateway) as (reader, writer):
            writer.write(b"POST /public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 10\r\n\r\n" + sent)
            if len(sent) == 10:
                await reader.readuntil(b'{"ok":true}')


async def refusals(gateway: House) -> None:
    """What is no request, what nobody may ask for, and what is not there."""
    for sent in (
        b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /public/x HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"nonsense\r\n\r\n",
        request_bytes("/things/1"),
        request_bytes("/things/1", token="forged"),
        request_bytes("/nowhere"),
    ):
        async with client(gateway) as (reader, writer):
            writer.write(sent)
            await reader.readuntil(b"}")


async def leavers(gateway: House) -> None:
    """Clients that go away: before their answer, in the middle of it, in the middle of their head."""
    gateway.upstream.answer = LONG + b"a" * 3_000_000
    for sent, read in ((request_bytes("/public/x"), 0), (request_bytes("/public/x"), 100_000), (b"GET / HTTP/1.1\r\nHo", 0)):
        async with client(gateway) as (reader, writer):
            writer.write(sent)
            if read:
                await reader.readexactly(read)
            else:
                await asyncio.sleep(0.01)


async def streams(gateway: House) -> None:
    """Long answers, with a length and in chunks."""
    for answer in (LONG + b"a" * 3_000_000, CHUNKED + b"5\r\nhello\r\n" * 40_000 + b"0\r\n\r\n"):
        gateway.upstream.answer = answer
        assert (await gateway.get("/public/x")).status == 200


async def upstreams_that_end(gateway: House) -> None:
    """Answers that end with their connection, that are none, and connections nobody takes."""
    gateway.upstream.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    assert (await gateway.get("/public/x")).status == 200
    gateway.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, and more than that"
    assert (await gateway.get("/public/x")).status == 200
    gateway.upstream.answer = b"who knows\r\n\r\n"
    assert (await gateway.get("/public/x")).status == 502
    await gateway.upstream.__aexit__()
    assert (await gateway.get("/public/x")).status == 502
    assert (await gateway.get("/public/x", method="POST", body=b"a")).status == 502


WAYS: dict[str, Callable[[House], Awaitable[None]]] = {
    play.__name__: play for play in (kept_alive, uploads, refusals, leavers, streams)
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_connection_that_ended_is_freed_without_the_collector(tmp_path: Path, way: str) -> None:
    async with house(tmp_path) as gateway:
        await gateway.get("/public/x")
        with knots() as found:
            for _ in range(TIMES):
                await WAYS[way](gateway)
            await emptied(gateway)
    assert not found


async def test_an_upstream_connection_that_ended_is_freed_without_the_collector(tmp_path: Path) -> None:
    async with house(tmp_path) as gateway:
        await gateway.get("/public/x")
        with knots() as found:
            await upstreams_that_end(gateway)
            await emptied(gateway)
    assert not found


async def test_http2_leaves_nothing_to_the_collector(tmp_path: Path) -> None:
    async with house(tmp_path, listen={"address": "127.0.0.1:0", "http2": True}) as gateway:
        await gateway.get("/public/x")
        with knots() as found:
            await several_streams(gateway)
            await streams_that_break(gateway)
            await emptied(gateway)
    assert not found


async def several_streams(gateway: House) -> None:
    """Requests alike, one with a body, one that is refused, a long answer; then a farewell."""
    async with peer(gateway.address()) as client:
        await asyncio.gather(*(client.ask(stream, ask("/public/x")) for stream in (1, 3, 5)))
        assert (await client.ask(7, ask("/public/x", ("content-length", "4"), method="POST"), b"body")).status == 200
        assert (await client.ask(9, ask("/things/1"))).status == 401
        gateway.upstream.answer = LONG + b"a" * 3_000_000
        assert (await client.ask(11, ask("/public/x"))).status == 200


async def streams_that_break(gateway: House) -> None:
    """A stream reset by the client in the midst of its answer, one of its body, a client that vanishes, and one that is wrong."""
    async with peer(gateway.address(), polite=False) as client:
        client.head(1, ask("/public/x"))
        await client.until(lambda: 1 in client.streams and client.streams[1].body)
        client.reset(1)
        client.head(3, ask("/public/x", method="POST"), end=False)
        client.data(3, b"half", end=False)
        client.reset(3)
        client.head(5, ask("/public/x", ("content-length", "1"), method="POST"), end=False)
        client.data(5, b"more than that")
        await client.until(lambda: 5 in client.streams and client.streams[5].over)
        client.head(7, ask("/public/x", method="POST"), end=False)
        client.data(7, b"half", end=False)
        await asyncio.sleep(0.01)
        client.writer.transport.abort()
    async with peer(gateway.address()) as client:
        client.data(1, b"of no stream")
        await client.end()


@pytest.mark.parametrize("last", [CLOSE, Step.RESET])
async def test_an_answer_that_was_cut_is_freed_without_the_collector(last: Step) -> None:
    async with Scripted([READ, LONG + b"a" * 1000, last]) as server:
        service = upstream(server.port)
        with knots() as found:
            for _ in range(TIMES):
                response = await service.transport(RouteTimeouts(), drop_cookies=True).send(outbound())
                with pytest.raises(UpstreamUnreachable) as caught:
                    await body_of(response)
                caught.value.__traceback__ = None  # as whoever answers it does
                del caught, response
            await server.until_closed(TIMES)
            await asyncio.sleep(0.01)
        await service.close()
    assert not found


async def test_a_target_that_takes_no_connection_leaves_nothing_behind() -> None:
    async with Scripted([READ, OK, CLOSE]) as dead:
        pass
    async with Scripted([READ, OK, CLOSE]) as server:
        service = upstream(targets=[f"http://127.0.0.1:{dead.port}", f"http://127.0.0.1:{server.port}"])
        sent = service.transport(RouteTimeouts(), drop_cookies=True)
        with knots() as found:
            for _ in range(TIMES):
                assert (await sent.send(outbound())).status == 200
            await server.until_closed(TIMES)
            await asyncio.sleep(0.01)
        await service.close()
    assert not found


async def test_a_health_check_leaves_nothing_behind() -> None:
    async with Scripted([READ, OK]) as server, Scripted([READ, b"nonsense\r\n\r\n"]) as broken:
        service = upstream(targets=[f"http://127.0.0.1:{each.port}" for each in (server, broken)], health_check=QUICK)
        with knots() as found:
            async with started(service):
                await server.until_closed(TIMES)
                await broken.until_closed(TIMES)
            await asyncio.sleep(0.01)
    assert not found


async def test_a_tunnel_that_ended_is_freed_without_the_collector(tmp_path: Path) -> None:
    async with RawUpstream() as raw:
        document = config(raw.port)
        document["routes"][0]["websocket"] = True
        async with house(tmp_path, **document) as gateway:
            with knots() as found:
                for polite in (True, False, True):
                    client = await raw.asked(gateway.address(), handshake("/public/x"))
                    assert status_of(client.head) == 101
                    upstream = await raw.side()
                    await client.send(frame(b"hello"))
                    await upstream.frame()
                    if polite:
                        await client.send(closing())
                        await upstream.frame()
                        await upstream.send(closing(masked=False))
                    client.close()
                    upstream.close()
                await emptied(gateway)
    assert not found


async def test_a_limit_store_that_is_away_leaves_nothing_behind(tmp_path: Path) -> None:
    store = RedisLink("limits", Server(f"unix://{tmp_path}/nobody"))
    with knots() as found:
        for _ in range(TIMES):
            await asyncio.gather(*(asked(store) for _ in range(3)))
            await asyncio.sleep(0.06)
        await store.close()
    assert not found


async def asked(store: RedisLink) -> None:
    with contextlib.suppress(StoreError):
        await store._connected()


async def test_a_configuration_that_was_replaced_is_freed_without_the_collector(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = ssl.create_default_context(cadata=pki.ca.cert_pem.bytes().decode())
    async with house(tmp_path, apart=True, listen=secure()) as gateway:
        await replaced(gateway, context)
        with knots() as found:
            await replaced(gateway, context)
            await emptied(gateway)
    assert not found


async def test_many_reloads_with_requests_leave_as_many_objects_as_there_were(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = ssl.create_default_context(cadata=pki.ca.cert_pem.bytes().decode())
    async with house(tmp_path, apart=True, listen=secure()) as gateway:
        await replaced(gateway, context)
        await emptied(gateway)
        gc.collect()
        gc.disable()
        try:
            gateway.upstream.seen.clear()
            before = len(gc.get_objects())
            for _ in range(2):
                await replaced(gateway, context)
            await emptied(gateway)
            gateway.upstream.seen.clear()
            grown = len(gc.get_objects()) - before
        finally:
            gc.enable()
    # One reload of this small configuration makes several thousand.
    assert grown < 1000


def secure() -> dict[str, Any]:
    return {"address": "127.0.0.1:0", "tls": {"certificate": "server.crt", "key": {"file": "server.key"}}}


async def replaced(gateway: House, context: ssl.SSLContext) -> None:
    """A reload to another configuration, requests before and after it over one connection, and operators who look."""
    document = config(gateway.upstream.port, listen=secure())
    turn = gateway.process.current.snapshot.generation
    document["routes"].append({"name": f"open.{turn[:8]}", "match": {"path": f"/{turn}"}, "upstream": "plain", "anonymous": True})
    reader, writer = await asyncio.open_connection(*gateway.address(), ssl=context, server_hostname="localhost")
    try:
        for _ in range(2):
            writer.write(request_bytes("/things/1", token=gateway.keys.token()))
            await reader.readuntil(b'{"ok":true}')
            assert (await gateway.get("/readyz?verbose", listener="admin", host="localhost")).status == 200
            gateway.write(document)
            assert await gateway.process.reload()
        (gateway.folder / "config.yaml").write_text("version: 1\nrouts: []\n")
        assert not await gateway.process.reload()
    finally:
        writer.transport.abort()
