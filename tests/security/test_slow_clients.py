"""Clients that are slow on purpose: their requests must not take an upstream from everybody else (attacks.md rows 139, 140)."""

import asyncio
from pathlib import Path

import pytest

from tests.house import house, request_bytes

PLACES = 2
SLOW = {"address": "127.0.0.1:0", "limits": {"min_upload": 5000, "rate_grace": "500ms", "body_idle": "60s", "header_timeout": "1s"}}


@pytest.mark.parametrize("framing", ["Content-Length: 60000", "Content-Length: 900000", "Transfer-Encoding: chunked"])
async def test_slow_uploads_do_not_take_an_upstream_from_others(tmp_path: Path, framing: str) -> None:
    """As many as the upstream has places, each with a byte now and then."""
    piece = b"1\r\na\r\n" if "chunked" in framing else b"a"
    async with house(tmp_path, upstream={"connections": PLACES, "timeouts": {"connect": "8s"}}, listen=SLOW) as home:
        writers = [(await asyncio.open_connection(*home.address()))[1] for _ in range(PLACES)]
        for writer in writers:
            writer.write(f"POST /public/slow HTTP/1.1\r\nHost: gw.test\r\n{framing}\r\n\r\n".encode() + piece)
            await writer.drain()
        # In one segment with its first byte a request has begun by the time that another connection is taken.
        reply = await home.raw(request_bytes("/public/other"))
        assert reply.status == 200
        for writer in writers:
            writer.close()
