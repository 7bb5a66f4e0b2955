"""What ended is gone, over HTTP/2 as well: connections, streams, answers and bodies leave nothing to the garbage collector."""

import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.house import House, house
from tests.http2peer import DATA, INTERNAL_ERROR, PING, Heard, Http2Server, Peer, ask, framed, peer, saying
from tests.knots import emptied, knots

LISTEN: dict[str, Any] = {"address": "127.0.0.1:0", "http2": True}
TIMES = 3


async def answered(home: House) -> None:
    async with peer(home.address()) as client:
        for stream in (1, 3, 5):
            await client.ask(stream, ask("/public/x", method="POST"), b"body")
        await client.ask(7, ask("/nowhere"))
        await client.ask(9, ask("/public/x", ("connection", "close")))


async def broken_off(home: House) -> None:
    async with peer(home.address()) as client:
        client.head(1, ask("/public/held", method="POST"), end=False)
        client.data(1, b"begun", end=False)
        client.head(3, ask("/public/held"))
        client.reset(3)
        client.head(5, ask("/public/held", ("content-length", "3"), method="POST"), end=False)
        client.data(5, b"more than that")
        await client.answer(5)


async def cut_off(home: House) -> None:
    async with peer(home.address()) as client:
        client.head(1, ask("/public/held", method="POST"), end=False)
        client.write(framed(PING, 0, 0, bytes(8)) * 3000)
        await client.end()


WAYS: dict[str, Callable[[House], Awaitable[None]]] = {play.__name__: play for play in (answered, broken_off, cut_off)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("upstream", ["1.1", "2"])
async def test_a_connection_that_ended_is_freed_without_the_collector(tmp_path: Path, way: str, upstream: str) -> None:
    async with Http2Server(saying()) as server:
        over = {"url": f"http://127.0.0.1:{server.port}", "http2": True} if upstream == "2" else {}
        async with house(tmp_path, listen=LISTEN, upstream=over) as home:
            await home.get("/public/x")
            await WAYS[way](home)
            await emptied(home)
            with knots() as found:
                for _ in range(TIMES):
                    await WAYS[way](home)
                await emptied(home)
    assert not found


async def test_an_upstream_connection_that_ended_is_freed_without_the_collector(tmp_path: Path) -> None:
    def answer(served: Peer, stream: int, heard: Heard) -> None:
        path = dict(heard.heads[0])[":path"]
        served.head(stream, [(":status", "200")], end=False)
        served.data(stream, b"begun", end=False)
        if path == "/public/reset":
            served.reset(stream, INTERNAL_ERROR)
        elif path == "/public/broken":
            served.write(framed(DATA, 0, 0, b"x"))
        elif path == "/public/gone":
            served.writer.close()

    async with Http2Server(answer) as server:
        over = {"url": f"http://127.0.0.1:{server.port}", "http2": True}
        async with house(tmp_path, listen=LISTEN, upstream=over) as home:

            async def once() -> None:
                for what in ("reset", "broken", "gone"):
                    async with peer(home.address()) as client:
                        await client.ask(1, ask(f"/public/{what}"))

            await once()
            await emptied(home)
            with knots() as found:
                for _ in range(TIMES):
                    await once()
                await emptied(home)
    assert not found


def test_without_the_opt_in_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    script = f"""
import asyncio, sys
from pathlib import Path
from tests.house import house
async def main():
    async with house(Path({str(tmp_path)!r})) as home:
        assert (await home.get("/public/x")).status == 200
asyncio.run(main())
print([name for name in sys.modules if name.startswith(("hpack", "gateway.http2", "gateway.server.h2", "gateway.upstream.h2"))])
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "[]", ran.stderr
