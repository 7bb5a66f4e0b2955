"""What an upstream echoes over HTTP/2, in events and through a WebSocket, over real sockets."""

import asyncio
from pathlib import Path
from typing import Any

from tests.frames import RawUpstream, frame, handshake
from tests.house import UPSTREAM_TOKEN, config, house
from tests.http2peer import Heard, Http2Server, Peer, ask, peer

TOKEN = UPSTREAM_TOKEN.encode()


async def test_bodies_and_trailers_of_http_2_come_without_the_credential(tmp_path: Path) -> None:
    def answer(served: Peer, stream: int, heard: Heard) -> None:
        served.head(stream, [(":status", "200"), ("content-type", "application/grpc")], end=False)
        served.data(stream, b"\0\0\0\0\x1e<" + TOKEN[:9], end=False)
        served.data(stream, TOKEN[9:] + b">", end=False)
        served.head(stream, (("grpc-status", "13"), ("grpc-message", f"bad%20token%20{UPSTREAM_TOKEN}")))

    async with Http2Server(answer) as upstream:
        target = {"url": f"http://127.0.0.1:{upstream.port}", "http2": True, "timeouts": {"connect": "10s"}}
        listen: dict[str, Any] = {"address": "127.0.0.1:0", "http2": True}
        async with house(tmp_path, upstream=target, listen=listen) as home, peer(home.address()) as client:
            asked = [("authorization", f"Bearer {home.keys.token()}"), ("grpc-accept-encoding", "gzip")]
            reply = await client.ask(1, [*ask("/admin/x"), *asked])
            assert len(reply.body) == len(TOKEN) + 7
            assert b"<REDACTED" in reply.body
            assert TOKEN not in reply.body + repr(reply.heads).encode()
            event = await home.only_request()
    assert "grpc-accept-encoding" not in dict(upstream.seen[0].heads[0])
    assert (event["echoed"]["body"], event["echoed"]["head"]) == (1, 1)


async def test_fragments_from_a_websocket_come_without_the_credential_and_at_once_otherwise(tmp_path: Path) -> None:
    async with RawUpstream() as upstream, house(tmp_path) as gateway:
        document = config(upstream.port)
        document["routes"][1]["websocket"] = True
        gateway.write(document)
        assert await gateway.process.reload()
        token = gateway.keys.token()
        client = await upstream.asked(gateway.address(), handshake("/admin/x", f"Authorization: Bearer {token}"))
        assert b" 101 " in client.head
        server = await upstream.side()
        assert TOKEN in server.head
        async with asyncio.timeout(60):
            await server.send(frame(b"hello", kind=0x1, masked=False))
            assert (await client.frame()).payload == b"hello"
            await server.send(frame(b"a " + TOKEN[:7], kind=0x1, final=False, masked=False))
            await server.send(frame(TOKEN[7:] + b" z", kind=0x0, masked=False))
            message = (await client.frame()).payload + (await client.frame()).payload
        assert message == b"a " + b"REDACTED".ljust(len(TOKEN), b"*") + b" z"
        await server.send(frame(b"canary-up", kind=0x1, final=False, masked=False), frame(b"\x03\xe8", kind=0x8, masked=False))
        async with asyncio.timeout(60):
            assert [(await client.frame()).payload for _ in range(2)] == [b"canary-up", b"\x03\xe8"]
