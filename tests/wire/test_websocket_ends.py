"""How a tunnel's connections end: who still takes what was sent to it gets all of it, and nobody holds a place by not taking it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.websocket.tunnel import CLOSE_WITHIN
from tests.frames import Side, closing, frame, handshake, status_of
from tests.house import House
from tests.pki import Pki
from tests.security.test_websockets import before, ended
from tests.wire.server.test_last_answer import SOME, Bare, small_buffers
from tests.wire.server.test_slow import SMALL

LAST = frame(b"x" * SOME, masked=False) + closing(1000, masked=False)
MORE = 4 * 1024 * 1024


@asynccontextmanager
async def tunnelled(folder: Path, **limits: Any) -> AsyncIterator[tuple[House, Bare, Side]]:
    """A tunnel over TLS whose client's system takes in little, through a gateway whose system holds little."""
    pki = Pki(folder)
    tls = {"certificate": str(pki.certificate), "key": {"file": str(pki.key)}}
    listen = {"address": "127.0.0.1:0", "limits": limits, "tls": tls}
    async with before(folder, listen=listen) as (gateway, upstream):
        for acceptor in gateway.process.server._acceptors.values():
            acceptor._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        with await small_buffers(gateway.address()[1]) as sock:
            client = Bare(pki, sock)
            await client.ask(handshake("/public/x", "Host: localhost"), leaving=False)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += await client.read(1)
            assert status_of(head) == 101
            yield gateway, client, await upstream.side()


async def test_a_client_that_is_slow_gets_the_last_frames_and_the_close(tmp_path: Path) -> None:
    """It pauses for longer than an end is granted that has taken everything."""
    async with tunnelled(tmp_path) as (gateway, client, server):
        await server.send(LAST)
        await asyncio.sleep(CLOSE_WITHIN + 3.0)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MORE)
        async with asyncio.timeout(60):
            assert await client.read(len(LAST)) == LAST
        await client.ask(closing(1000), leaving=True)
        client.sock.close()
        assert (await ended(gateway))["detail"] == "websocket 1000 by the upstream"


async def test_a_client_that_takes_nothing_of_the_last_frames_holds_no_place(tmp_path: Path) -> None:
    async with tunnelled(tmp_path, body_idle="300ms") as (gateway, _, server):
        await server.send(LAST)
        assert (await ended(gateway))["detail"] == "websocket 1000 by the upstream"
        assert gateway.process.server.connections == 0
