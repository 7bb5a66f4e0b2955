"""Messages that never end, and a process without assertions (attacks.md rows 138 to 140)."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.house import house, read_reply

GIGABYTE = 1 << 30
PIECE = b"x" * 65536
ENOUGH = 32 * 1024 * 1024
"""More than the gateway's limit for a body and what two systems keep between them."""
POST = b"POST /public/a HTTP/1.1\r\nHost: gw.test\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

ENDLESS = {
    "a request line": (b"GET /", PIECE, 414),
    "a field": (POST + b"X: ", PIECE, 431),
    "fields": (POST, b"X: y\r\n" * 8192, 431),
    "a body that says so": (POST + b"Content-Length: %d\r\n\r\n" % GIGABYTE, PIECE, 413),
    "a chunk": (CHUNKED + b"%x\r\n" % GIGABYTE, PIECE, 413),
    "chunks": (CHUNKED, b"10000\r\n" + PIECE + b"\r\n", 413),
    "a chunk extension": (CHUNKED + b"5;", PIECE, 400),
    "a trailer": (CHUNKED + b"0\r\nX: ", PIECE, 400),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 8192, 400),
}


@pytest.mark.parametrize(("start", "piece", "status"), ENDLESS.values(), ids=ENDLESS.keys())
async def test_cve_2026_54273_what_never_ends_is_refused_long_before_a_gigabyte(
    tmp_path: Path, start: bytes, piece: bytes, status: int
) -> None:
    async with house(tmp_path) as home:
        reader, writer = await asyncio.open_connection(*home.address())
        writer.write(start)
        reply = asyncio.create_task(read_reply(reader, "POST"))
        sent = 0
        try:
            while not reply.done() and sent < ENOUGH:
                writer.write(piece)
                sent += len(piece)
                await writer.drain()
        except ConnectionError:
            pass  # refused, and more was sent than it would read before it left
        async with asyncio.timeout(60):
            assert (await reply).status == status
        writer.close()
        assert [seen.target for seen in home.upstream.seen] == []


async def test_cve_2026_54274_a_long_pipeline_is_answered_in_order(tmp_path: Path) -> None:
    """Through the whole gateway, each with its own answer, while others are served; ten thousand at the server alone: tests/wire/server."""
    number = 2_000
    async with house(tmp_path, log={"level": "error"}) as home:
        home.upstream.answer = lambda seen: (
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
            % (
                len(seen.target),
                seen.target.encode(),
            )
        )
        reader, writer = await asyncio.open_connection(*home.address())
        requests = b"".join(b"GET /public/%d HTTP/1.1\r\nHost: gw.test\r\n\r\n" % place for place in range(number))
        writer.write(requests)
        for place in range(number):
            assert (await read_reply(reader, "GET")).body == b"/public/%d" % place
            if place == number // 2:
                assert (await home.get("/public/other")).body == b"/public/other"
        writer.close()


async def test_cve_2025_69227_without_assertions_everything_is_refused_all_the_same() -> None:
    """The demo's own requests, each with the answer it must get, in a process that skips every `assert`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "demo", "--check", "--port", "0",
        env={**os.environ, "PYTHONOPTIMIZE": "1"}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(90):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
