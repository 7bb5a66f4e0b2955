"""Python's http.client and httpx, talking through a whole gateway to an upstream that plays a script."""

import asyncio
import gzip
import hashlib
import http.client
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.house import House, Upstream, house
from tests.scripted import HEAD, OK, READ, Script, Scripted
from tests.standalone import standalone

MIB = 1024 * 1024
PIECE = bytes(range(256)) * 256


def upstreams(port: int) -> dict[str, Any]:
    target = {"url": f"http://127.0.0.1:{port}", "allow_plaintext": True, "allow_private": True}
    return {"plain": target, "api": {**target, "credential": "bot"}}


@asynccontextmanager
async def before(folder: Path, *scripts: Script, **over: Any) -> AsyncIterator[tuple[House, Scripted]]:
    """A gateway in front of an upstream that plays `scripts`, one a connection."""
    async with Scripted(*scripts) as upstream, house(folder, upstreams=upstreams(upstream.port), **over) as gateway:
        yield gateway, upstream


def plain(gateway: House) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(*gateway.address(), timeout=20)


def client(gateway: House, **options: Any) -> httpx.AsyncClient:
    host, port = gateway.address()
    return httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=20, trust_env=False, **options)


# http.client


async def test_http_client_keeps_its_connection_and_so_does_the_pool(tmp_path: Path) -> None:
    def play(connection: http.client.HTTPConnection) -> list[tuple[int, bytes]]:
        found = []
        connection.connect()
        sock = connection.sock
        for number in range(5):
            connection.request("GET", f"/public/{number}")
            answer = connection.getresponse()
            found.append((answer.status, answer.read()))
            assert connection.sock is sock, "the connection was given up"
        connection.close()
        return found

    async with before(tmp_path, [READ, OK] * 5) as (gateway, upstream):
        assert await asyncio.to_thread(play, plain(gateway)) == [(200, b"ok")] * 5
        assert upstream.opened == 1
        assert [seen.line for seen in upstream.seen] == [b"GET /public/%d HTTP/1.1" % number for number in range(5)]


async def test_http_client_uploads_in_chunks_of_unknown_length(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(32):
            yield PIECE

    def play(connection: http.client.HTTPConnection) -> int:
        connection.request("POST", "/public/x", body=pieces(), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    async with before(tmp_path, [READ, OK]) as (gateway, upstream):
        assert await asyncio.to_thread(play, plain(gateway)) == 200
        [seen] = upstream.seen
        assert seen.all(b"transfer-encoding") == [b"chunked"]
        assert seen.body == PIECE * 32
        assert (await gateway.only_request())["bytes_in"] == len(PIECE) * 32


async def test_http_client_reads_a_head_and_a_not_modified_without_a_body_and_goes_on(tmp_path: Path) -> None:
    head = b'HTTP/1.1 200 OK\r\ncontent-length: 5000\r\netag: "a"\r\n\r\n'
    unchanged = b'HTTP/1.1 304 Not Modified\r\netag: "a"\r\ncontent-length: 5000\r\n\r\n'

    def play(connection: http.client.HTTPConnection) -> list[tuple[int, str | None, bytes]]:
        found = []
        for method, headers in (("HEAD", {}), ("GET", {"If-None-Match": '"a"'}), ("GET", {})):
            connection.request(method, "/public/x", headers=headers)
            answer = connection.getresponse()
            found.append((answer.status, answer.getheader("ETag"), answer.read()))
        connection.close()
        return found

    async with before(tmp_path, [READ, head, READ, unchanged, READ, OK]) as (gateway, upstream):
        assert await asyncio.to_thread(play, plain(gateway)) == [(200, '"a"', b""), (304, '"a"', b""), (200, None, b"ok")]
        assert upstream.seen[1].all(b"if-none-match") == [b'"a"']
        assert upstream.opened == 1


def expecting(connection: http.client.HTTPConnection, target: str) -> bytes:
    """Announce an upload and give what comes back before a byte of it was sent."""
    connection.putrequest("POST", target)
    connection.putheader("Content-Length", "4")
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    return bytes(connection.sock.recv(4096))


async def test_who_expects_a_100_is_told_to_go_on_before_the_body(tmp_path: Path) -> None:
    def play(connection: http.client.HTTPConnection) -> tuple[bytes, int]:
        told = expecting(connection, "/public/x")
        connection.send(b"body")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return told, answer.status

    async with before(tmp_path, [READ, OK]) as (gateway, upstream):
        assert await asyncio.to_thread(play, plain(gateway)) == (b"HTTP/1.1 100 Continue\r\n\r\n", 200)
        assert upstream.seen[0].body == b"body"


async def test_who_expects_a_100_is_refused_before_the_body(tmp_path: Path) -> None:
    def play(connection: http.client.HTTPConnection) -> bytes:
        told = expecting(connection, "/admin/x")
        connection.close()
        return told

    async with before(tmp_path, [READ, OK]) as (gateway, upstream):
        assert (await asyncio.to_thread(play, plain(gateway))).startswith(b"HTTP/1.1 401 ")
        assert upstream.opened == 0


# httpx


async def test_httpx_runs_many_requests_at_once(tmp_path: Path) -> None:
    async with before(tmp_path, [READ, OK] * 50) as (gateway, upstream), client(gateway) as session:
        answers = await asyncio.gather(*[session.get(f"/public/{number}") for number in range(50)])
        assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"ok")] * 50
        assert sorted(seen.line for seen in upstream.seen) == sorted(b"GET /public/%d HTTP/1.1" % number for number in range(50))


async def test_httpx_presents_a_token_and_the_upstream_sees_the_injected_one(tmp_path: Path) -> None:
    async with before(tmp_path, [READ, OK]) as (gateway, upstream):
        async with client(gateway, headers={"Authorization": f"Bearer {gateway.keys.token()}"}) as session:
            assert (await session.get("/admin/x")).status_code == 200
        assert upstream.seen[0].all(b"authorization") == [b"Bearer canary-upstream-token-7f3a"]


async def test_httpx_gets_a_compressed_body_as_the_upstream_made_it(tmp_path: Path) -> None:
    packed = gzip.compress(PIECE)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    async with before(tmp_path, [READ, head + packed, READ, head + packed]) as (gateway, _), client(gateway) as session:
        assert (await session.get("/public/x")).content == PIECE
        async with session.stream("GET", "/public/x") as answer:
            assert b"".join([piece async for piece in answer.aiter_raw()]) == packed


async def test_httpx_uploads_a_stream(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield PIECE

    async with before(tmp_path, [READ, OK]) as (gateway, upstream), client(gateway) as session:
        assert (await session.post("/public/x", content=pieces())).status_code == 200
        assert hashlib.sha256(upstream.seen[0].body).digest() == hashlib.sha256(PIECE * 64).digest()


async def test_server_sent_events_arrive_one_by_one(tmp_path: Path) -> None:
    """The second event is produced only after the client has seen the first."""
    start = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    second, last = asyncio.Event(), asyncio.Event()
    script: Script = [READ, start, b"9\r\ndata: 1\n\n\r\n", second, b"9\r\ndata: 2\n\n\r\n", last, b"0\r\n\r\n"]
    async with before(tmp_path, script) as (gateway, _), client(gateway) as session:
        async with session.stream("GET", "/public/events") as answer:
            lines = answer.aiter_lines()
            assert answer.headers["content-type"] == "text/event-stream"
            assert await anext(lines) == "data: 1"
            second.set()
            assert [await anext(lines), await anext(lines)] == ["", "data: 2"]
            last.set()
            assert [line async for line in lines] == [""]


async def test_an_interrupted_upload_never_looks_complete_to_the_upstream(tmp_path: Path) -> None:
    async with before(tmp_path, [HEAD]) as (gateway, upstream):
        _, writer = await asyncio.open_connection(*gateway.address())
        writer.write(b"POST /public/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 100000\r\n\r\nonly a part")
        await upstream.until_seen(1)
        writer.close()
        await upstream.until_closed(1)
        event = await gateway.only_request()
        assert (event["route"], event["bytes_in"]) == ("open.public", 11)
        assert event["status"] != 200


async def test_httpx_giving_up_cancels_the_upstreams_call(tmp_path: Path) -> None:
    never = asyncio.Event()
    async with before(tmp_path, [READ, never]) as (gateway, upstream), client(gateway) as session:
        request = asyncio.create_task(session.get("/public/x"))
        await upstream.until_seen(1)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        event = await gateway.only_request()
        assert event["status"] is None
        never.set()
        await upstream.until_closed(1)


async def test_leaving_a_stream_ends_it_at_the_upstream(tmp_path: Path) -> None:
    start = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n"
    async with before(tmp_path, [READ, start, PIECE]) as (gateway, upstream), client(gateway) as session:
        async with session.stream("GET", "/public/x") as answer:
            assert (await anext(answer.aiter_raw()))[:2] == PIECE[:2]
        await upstream.until_closed(1)
        event = await gateway.only_request()
        assert event["status"] == 200
        assert 0 < event["bytes_out"] <= len(PIECE)


async def test_an_answer_cut_short_is_seen_as_cut_short(tmp_path: Path) -> None:
    start = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nnot all"
    async with Scripted([READ, start]) as upstream, house(tmp_path, upstreams=upstreams(upstream.port)) as gateway:
        async with client(gateway) as session, session.stream("GET", "/public/x") as answer:
            pieces = answer.aiter_raw()
            assert await anext(pieces) == b"not all"
            await upstream.__aexit__()
            try:
                rest = [piece async for piece in pieces]
            except httpx.RemoteProtocolError:
                rest = None
        assert rest is None, "a part passed for the whole"


def peak(pid: int) -> int:
    """The most memory a process ever had resident, in bytes."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


async def test_32_mib_are_carried_through_without_being_kept(tmp_path: Path) -> None:
    whole = PIECE * (32 * MIB // len(PIECE))
    start = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(whole)
    async with Scripted([READ, start, whole]) as upstream:
        fake = Upstream(port=upstream.port)
        async with standalone(tmp_path, fake, listen={"limits": {"body": "64MiB"}}) as running:
            transport = httpx.AsyncHTTPTransport(uds=running.socket())
            await running.get("/nowhere")
            resident = peak(running.process.pid)
            digest, pieces = hashlib.sha256(), 0
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as session:
                async with session.stream("GET", "/public/big") as answer:
                    async for piece in answer.aiter_raw():
                        digest.update(piece)
                        pieces += 1
                        await asyncio.sleep(0)  # the upstream is always ahead of this client
            assert digest.digest() == hashlib.sha256(whole).digest()
            assert pieces > 1
            assert peak(running.process.pid) - resident < 8 * MIB


async def test_32_mib_are_taken_in_without_being_kept(tmp_path: Path) -> None:
    count = 32 * MIB // len(PIECE)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield PIECE

    async with Scripted([READ, OK]) as upstream:
        fake = Upstream(port=upstream.port)
        async with standalone(tmp_path, fake, listen={"limits": {"body": "64MiB"}}) as running:
            transport = httpx.AsyncHTTPTransport(uds=running.socket())
            await running.get("/nowhere")
            resident = peak(running.process.pid)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as session:
                assert (await session.post("/public/big", content=pieces())).status_code == 200
            assert len(upstream.seen[0].body) == 32 * MIB
            assert peak(running.process.pid) - resident < 8 * MIB
