"""Interim answers: an upstream's early hints reach the client at once, and nothing else of what comes before an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.house import UPSTREAM_TOKEN, House, house, request_bytes
from tests.rawhttp import Client
from tests.scripted import HEAD, OK, READ, Script, Scripted

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nSet-Cookie: a=b\r\nX-Powered-By: y\r\n\r\n"
TOLD = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"


@asynccontextmanager
async def before(folder: Path, *scripts: Script) -> AsyncIterator[tuple[House, Scripted]]:
    async with Scripted(*scripts) as upstream:
        target = {"url": f"http://127.0.0.1:{upstream.port}", "allow_plaintext": True, "allow_private": True}
        async with house(folder, upstreams={"plain": target, "api": {**target, "credential": "bot"}}) as gateway:
            yield gateway, upstream


async def connected(gateway: House) -> Client:
    return Client(*await asyncio.open_connection(*gateway.address()))


async def head(client: Client) -> bytes:
    async with asyncio.timeout(60):
        return await client.reader.readuntil(b"\r\n\r\n")


async def test_early_hints_arrive_while_the_upstream_still_thinks(tmp_path: Path) -> None:
    seen = asyncio.Event()
    async with before(tmp_path, [READ, HINT, seen, OK]) as (gateway, _):
        client = await connected(gateway)
        await client.send(request_bytes("/public/x"))
        assert await head(client) == TOLD
        seen.set()
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"ok")
        assert "link" not in answer.fields
        [event] = await gateway.requests()
        assert event["status"] == 200
        client.close()


async def test_several_hints_and_the_answer_in_one_piece_keep_their_order_and_the_connection(tmp_path: Path) -> None:
    script: Script = [READ, HINT + b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 102 Processing\r\n\r\n" + HINT + OK]
    async with before(tmp_path, [*script, *script]) as (gateway, upstream):
        client = await connected(gateway)
        for _ in range(2):
            await client.send(request_bytes("/public/x"))
            assert [await head(client) for _ in range(3)] == [TOLD, b"HTTP/1.1 102 Processing\r\n\r\n", TOLD]
            assert (await client.answer()).body == b"ok"
        assert upstream.opened == 1
        client.close()


async def test_a_client_of_http_1_0_hears_of_the_final_answer_only(tmp_path: Path) -> None:
    async with before(tmp_path, [READ, HINT + OK]) as (gateway, _):
        client = await connected(gateway)
        await client.send(b"GET /public/x HTTP/1.0\r\nHost: gw.test\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 200 OK\r\n")
        client.close()


async def test_an_injected_secret_does_not_come_back_in_a_hint(tmp_path: Path) -> None:
    echo = b"HTTP/1.1 103 Early Hints\r\nLink: </%b>; rel=preload\r\n\r\n" % UPSTREAM_TOKEN.encode()
    async with before(tmp_path, [READ, echo + OK]) as (gateway, _):
        client = await connected(gateway)
        await client.send(request_bytes("/admin/x", token=gateway.keys.token()))
        told = await head(client)
        assert told.startswith(b"HTTP/1.1 103 ")
        assert UPSTREAM_TOKEN.encode() not in told
        client.close()


async def test_hints_of_an_upload_that_is_still_on_its_way_arrive_before_the_100_of_nobody(tmp_path: Path) -> None:
    """The 100 is the gateway's own, once the upstream has the head and the body is wanted."""
    script: Script = [HEAD, b"HTTP/1.1 100 Continue\r\n\r\n" + HINT, READ, OK]
    async with before(tmp_path, script) as (gateway, _):
        client = await connected(gateway)
        fields = b"Host: gw.test\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.send(b"POST /public/x HTTP/1.1\r\n" + fields)
        assert sorted([await head(client), await head(client)]) == [b"HTTP/1.1 100 Continue\r\n\r\n", TOLD]
        await client.send(b"12\r\nGET / HTTP/1.1\r\n\r\n\r\n0\r\n\r\n")  # what the script reads as another request is this body
        assert (await client.answer()).body == b"ok"
        client.close()


async def test_hints_without_an_end_are_a_502(tmp_path: Path) -> None:
    async with before(tmp_path, [READ, HINT * 2000]) as (gateway, _):
        client = await connected(gateway)
        await client.send(request_bytes("/public/x"))
        told = await head(client)
        while told == TOLD:
            told = await head(client)
        assert told.startswith(b"HTTP/1.1 502 ")
        client.close()


async def test_nothing_is_told_once_the_answer_has_begun(tmp_path: Path) -> None:
    """Bytes behind an answer are poison, whatever they look like."""
    async with before(tmp_path, [READ, OK + HINT], [READ, OK]) as (gateway, upstream):
        client = await connected(gateway)
        for _ in range(2):
            await client.send(request_bytes("/public/x"))
            assert (await client.answer()).head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert upstream.opened == 2
        client.close()
