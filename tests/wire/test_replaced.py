"""A configuration that was replaced goes, whoever came with it and stays."""

import asyncio
import gc
from pathlib import Path

from gateway.snapshot import Route
from tests.frames import RawUpstream, handshake, status_of
from tests.house import config, house, request_bytes
from tests.scripted import OK
from tests.wire.test_endings import client


async def test_who_came_before_a_reload_keeps_one_route_and_not_the_configuration(tmp_path: Path) -> None:
    """An idle connection, a request on its way and an open tunnel: the last of them to end would free ten thousand rules at once."""
    going, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        going.set()
        await goes_on.wait()
        writer.write(OK)
        writer.close()

    async with (
        await asyncio.start_server(slow, "127.0.0.1", 0) as upstream,
        RawUpstream() as tunnelled,
        house(tmp_path) as gateway,
    ):
        document = config(gateway.upstream.port)
        at = {"allow_plaintext": True, "allow_private": True}
        document["upstreams"]["slow"] = {"url": f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}", **at}
        document["upstreams"]["raw"] = {"url": f"http://127.0.0.1:{tunnelled.port}", **at}
        document["routes"] += [
            {"name": "open.slow", "match": {"path": "/slow"}, "upstream": "slow", "anonymous": True},
            {"name": "open.ws", "match": {"path": "/ws"}, "upstream": "raw", "anonymous": True, "websocket": True},
        ]
        document["routes"] += [
            {"name": f"open.fleeting{number}", "match": {"path": f"/r{number}"}, "upstream": "plain", "anonymous": True}
            for number in range(40)
        ]
        gateway.write(document)
        assert await gateway.process.reload()
        async with client(gateway) as (idle, asks), client(gateway) as (_, waits):
            asks.write(request_bytes("/public/x"))
            await idle.readuntil(b'{"ok":true}')
            waits.write(request_bytes("/slow"))
            await going.wait()
            assert status_of((await tunnelled.asked(gateway.address(), handshake("/ws"))).head) == 101
            document["routes"].pop()
            gateway.write(document)
            assert await gateway.process.reload()
            alive = sum(type(each) is Route and (each.name or "").startswith("open.fleeting") for each in gc.get_objects())
            goes_on.set()
        assert alive == 39
