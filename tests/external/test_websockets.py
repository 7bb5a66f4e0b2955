"""Python's `websockets`, client and server, with the gateway between them."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from gateway.core.outbox import outbox_of
from tests.house import House, house
from tests.pki import Pki
from tests.standalone import until

Play = Callable[[ServerConnection], Awaitable[None]]
MIB = 1024 * 1024


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


def routes(**websocket: Any) -> list[dict[str, Any]]:
    granted = websocket or True
    return [
        {"name": "open.socket", "match": {"path": "/public/**"}, "upstream": "plain", "anonymous": True, "websocket": granted},
        {"name": "socket", "match": {"path": "/socket"}, "upstream": "api", "authenticate": ["jwt.corp"], "websocket": granted},
        {"name": "open.http", "match": {"path": "/http"}, "upstream": "plain", "anonymous": True},
    ]


@asynccontextmanager
async def between(
    folder: Path, play: Play = echo, *, websocket: dict[str, Any] | None = None, server: dict[str, Any] | None = None, **over: Any
) -> AsyncIterator[House]:
    """A gateway in front of a server of `websockets` that plays `play` with each client."""
    async with serve(play, "127.0.0.1", 0, **(server or {})) as upstream:
        port = next(iter(upstream.sockets)).getsockname()[1]
        target = {"url": f"http://127.0.0.1:{port}", "allow_plaintext": True, "allow_private": True}
        upstreams = {"plain": target, "api": {**target, "credential": "bot"}}
        async with house(folder, **{"upstreams": upstreams, "routes": routes(**(websocket or {})), **over}) as gateway:
            yield gateway


def to(gateway: House, path: str, **options: Any) -> connect:
    host, port = gateway.address()
    return connect(f"ws://{host}:{port}{path}", proxy=None, open_timeout=10, **options)


def bearing(gateway: House, **claims: Any) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Bearer {gateway.keys.token(**claims)}"}}


async def code_of(socket: ClientConnection) -> int | None:
    """What the other side closed with."""
    async with asyncio.timeout(60):
        async for _ in drained(socket):
            pass
    return socket.close_code


async def drained(socket: ClientConnection) -> AsyncIterator[Any]:
    """Everything until the end, however it ends."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            yield await socket.recv()


async def test_messages_go_both_ways_and_the_trail_tells_how_it_ended(tmp_path: Path) -> None:
    async with between(tmp_path) as gateway:
        async with to(gateway, "/public/echo") as socket:
            for message in ("hello", b"\0\1\2", "", "ü" * 40_000, b"x" * MIB):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(["in ", "three ", "pieces"])
            assert await socket.recv() == "in three pieces"
            await (await socket.ping())
        event = await gateway.only_request()
        assert (event["status"], event["route"], event["detail"]) == (101, "open.socket", "websocket 1000 by the client")
        assert event["bytes_in"] > MIB
        assert event["bytes_out"] > MIB


async def test_the_upstream_sees_the_injected_credential_and_never_the_clients(tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    async def play(socket: ServerConnection) -> None:
        assert socket.request is not None
        seen.append({name.lower(): value for name, value in socket.request.headers.raw_items()})
        await socket.send("hi")

    async with between(tmp_path, play) as gateway:
        key = []
        async with to(gateway, "/socket?a=1", **bearing(gateway)) as socket:
            key.append(socket.request.headers["Sec-WebSocket-Key"] if socket.request else "")
            assert await socket.recv() == "hi"
        event = await gateway.only_request()
    [headers] = seen
    assert headers["authorization"] == "Bearer canary-upstream-token-7f3a"
    assert headers["sec-websocket-key"] not in key
    assert "sec-websocket-extensions" not in headers, "the client offers permessage-deflate, the gateway must not"
    assert (event["subject"], event["decision"], event["credential"], event["detail"]) == (
        "alice",
        "allow",
        "bot",
        "websocket 1000 by the upstream",
    )


@pytest.mark.parametrize(
    ("path", "claims", "status", "reason"),
    [
        ("/socket", None, 401, "credential-missing"),
        ("/socket", {"exp": 1}, 401, "credential-expired"),
        ("/socket", {"roles": []}, 403, "policy-denied"),
        ("/nowhere", {}, 404, "no-route"),
    ],
)
async def test_a_handshake_is_refused_as_any_request_is(
    tmp_path: Path, path: str, claims: dict[str, Any] | None, status: int, reason: str
) -> None:
    reached: list[ServerConnection] = []

    async def play(socket: ServerConnection) -> None:
        reached.append(socket)

    async with between(tmp_path, play) as gateway:
        with pytest.raises(InvalidStatus) as refused:
            async with to(gateway, path, **({} if claims is None else bearing(gateway, **claims))):
                pass
        assert refused.value.response.status_code == status
        assert (await gateway.only_request())["reason"] == reason
    assert reached == []


async def test_the_subprotocol_is_the_one_the_upstream_chose_of_those_that_may_be(tmp_path: Path) -> None:
    offered: list[str] = []

    async def play(socket: ServerConnection) -> None:
        assert socket.request is not None
        offered.extend(socket.request.headers.get_all("Sec-WebSocket-Protocol"))
        await socket.wait_closed()

    protocols = [Subprotocol(name) for name in ("secret", "chat.v2", "chat.v1")]
    server = {"subprotocols": [Subprotocol("chat.v1"), Subprotocol("secret")]}
    async with between(tmp_path, play, websocket={"subprotocols": ["chat.v1", "chat.v2"]}, server=server) as gateway:
        async with to(gateway, "/public/x", subprotocols=protocols) as socket:
            assert socket.subprotocol == "chat.v1"
    assert offered == ["chat.v2, chat.v1"]


async def test_a_close_keeps_its_code_and_reason_both_ways(tmp_path: Path) -> None:
    codes: list[tuple[int | None, str | None]] = []

    async def play(socket: ServerConnection) -> None:
        if await socket.recv() == "you":
            await socket.close(4321, "enough")
        await socket.wait_closed()
        codes.append((socket.close_code, socket.close_reason))

    async with between(tmp_path, play) as gateway:
        async with to(gateway, "/public/x") as socket:
            await socket.send("you")
            await code_of(socket)
            assert (socket.close_code, socket.close_reason) == (4321, "enough")
        async with to(gateway, "/public/x") as socket:
            await socket.send("I")
            await socket.close(3999, "done")
        await until(lambda: _have(codes, 2), "the upstream was not told")
        assert codes[1] == (3999, "done")
        await until(lambda: _at_least(gateway, 2), "the trail is short")
        assert [event["detail"] for event in await gateway.requests()] == [
            "websocket 4321 by the upstream",
            "websocket 3999 by the client",
        ]


async def _have(found: list[Any], count: int) -> bool:
    return len(found) >= count


async def _at_least(gateway: House, count: int) -> bool:
    return len(await gateway.requests()) >= count


async def test_a_message_over_the_limit_closes_both_with_1009(tmp_path: Path) -> None:
    codes: list[int | None] = []

    async def play(socket: ServerConnection) -> None:
        await socket.wait_closed()
        codes.append(socket.close_code)

    async with between(tmp_path, play, websocket={"max_message": "1KiB"}) as gateway:
        async with to(gateway, "/public/x") as socket:
            await socket.send("x" * 1024)
            await socket.send("x" * 1025)
            assert await code_of(socket) == 1009
        assert (await gateway.only_request())["detail"] == "websocket 1009 by the gateway: the client: a message over the limit"
        await until(lambda: _have(codes, 1), "the upstream was not told")
    assert codes == [1009]


async def test_an_upstream_that_vanishes_is_told_as_1011(tmp_path: Path) -> None:
    async def play(socket: ServerConnection) -> None:
        socket.transport.abort()

    async with between(tmp_path, play) as gateway:
        async with to(gateway, "/public/x") as socket:
            assert await code_of(socket) == 1011
        assert (await gateway.only_request())["detail"] == "websocket 1011 by the upstream: the connection was lost"


async def test_a_client_that_vanishes_is_told_to_the_upstream_as_1001(tmp_path: Path) -> None:
    codes: list[int | None] = []

    async def play(socket: ServerConnection) -> None:
        await socket.wait_closed()
        codes.append(socket.close_code)

    async with between(tmp_path, play) as gateway:
        async with to(gateway, "/public/x") as socket:
            socket.transport.abort()
        await until(lambda: _have(codes, 1), "the upstream was not told")
        assert (await gateway.only_request())["detail"] == "websocket 1001 by the client: the connection was lost"
    assert codes == [1001]


async def test_a_silent_tunnel_is_closed_and_pings_keep_one_open(tmp_path: Path) -> None:
    quick = {"limits": {"body_idle": "200ms"}, "address": "127.0.0.1:0"}
    async with between(tmp_path, websocket={"idle_timeout": "1s"}, listen=quick) as gateway:
        async with to(gateway, "/public/x", ping_interval=0.2) as kept, to(gateway, "/public/x", ping_interval=None) as silent:
            assert await code_of(silent) == 1001
            await kept.send("still here")
            assert await kept.recv() == "still here"


async def test_a_stop_closes_tunnels_with_1001_and_is_a_clean_one(tmp_path: Path) -> None:
    async with between(tmp_path) as gateway:
        async with to(gateway, "/public/x") as socket:
            drained = asyncio.create_task(gateway.process.server.drain(0, 10))
            assert await code_of(socket) == 1001
            assert await drained, "the tunnel was cut off"
        assert (await gateway.only_request())["detail"] == "websocket 1001 by the gateway: going away"


async def test_a_process_that_hands_over_to_another_closes_its_tunnels_with_1001(tmp_path: Path) -> None:
    async with between(tmp_path) as gateway:
        async with to(gateway, "/public/x") as socket:
            retired = asyncio.create_task(gateway.process.server.retire(10))
            assert await code_of(socket) == 1001
            assert await retired, "the tunnel was cut off"


async def test_a_reader_that_is_slow_slows_the_writer_down(tmp_path: Path) -> None:
    """Nothing piles up in between: the upstream can send no more than sockets and buffers hold."""
    sent: list[int] = []

    async def play(socket: ServerConnection) -> None:
        for number in range(4096):
            await socket.send(b"x" * 65536)
            sent.append(number)
        await socket.close()

    async with between(tmp_path, play, server={"compression": None}) as gateway:
        async with to(gateway, "/public/x", max_queue=1, compression=None) as socket:

            async def settled() -> bool:
                before = len(sent)
                await asyncio.sleep(0.3)
                return 0 < before == len(sent)

            await until(settled, "the writer was never held")
            assert len(sent) < 4096
            assert sum([len(message) async for message in drained(socket)]) == 4096 * 65536
            assert socket.close_code == 1000


async def test_a_browsers_websocket_as_nodejs_has_it(tmp_path: Path, node: str) -> None:
    async with between(tmp_path, server={"subprotocols": [Subprotocol("chat.v2")]}) as gateway:
        host, port = gateway.address()
        pipe = asyncio.subprocess.PIPE
        script = str(Path(__file__).parent / "node" / "socket.mjs")
        command = (
            node,
            "--experimental-websocket",
            "--no-warnings",
            script,
            f"ws://{host}:{port}/public/x",
            "one",
            "zwei",
            "x" * 70_000,
        )
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        assert json.loads(out) == {
            "heard": ["one", "zwei", "x" * 70_000],
            "code": 4001,
            "reason": "done",
            "clean": True,
            "protocol": "chat.v2",
        }
        assert (await gateway.only_request())["detail"] == "websocket 4001 by the client"


async def test_tls_on_both_sides(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.certificate, pki.key)
    pki.ca.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    async with serve(echo, "localhost", 0, ssl=context) as upstream:
        port = next(iter(upstream.sockets)).getsockname()[1]
        target = {"url": f"https://localhost:{port}", "allow_private": True, "tls": {"ca": str(tmp_path / "ca.crt")}}
        listen = {"address": "127.0.0.1:0", "tls": {"certificate": str(pki.certificate), "key": {"file": str(pki.key)}}}
        upstreams = {"plain": target, "api": {**target, "credential": "bot"}}
        async with house(tmp_path, upstreams=upstreams, listen=listen, routes=routes()) as gateway:
            trusting = ssl.create_default_context(cadata=pki.ca.cert_pem.bytes().decode())
            url = f"wss://localhost:{gateway.address()[1]}/public/x"
            async with connect(url, ssl=trusting, proxy=None) as socket:
                for message in ("hello", b"x" * MIB):
                    await socket.send(message)
                    assert await socket.recv() == message
            assert (await gateway.only_request())["detail"] == "websocket 1000 by the client"


async def test_a_client_that_leaves_while_the_upstream_thinks_leaves_nothing_behind(tmp_path: Path) -> None:
    asked, thinking = asyncio.Event(), asyncio.Event()

    async def ponder(_: ServerConnection, __: Any) -> None:
        asked.set()
        await thinking.wait()

    async with between(tmp_path, server={"process_request": ponder}) as gateway:
        attempt = asyncio.create_task(to(gateway, "/public/x").__aenter__())
        await asked.wait()
        assert gateway.process.resources.status()["websockets"] == {"open.socket": 1}
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        event = await gateway.only_request()
        assert (event["status"], event["error"]) == (None, "client-gone")
        assert gateway.process.resources.status()["websockets"] == {}
        assert gateway.process.resources.status()["upstreams"]["plain"]["connections"] == 0
        thinking.set()


async def test_a_stop_in_the_middle_of_a_handshake_ends_the_tunnel_as_soon_as_it_is_one(tmp_path: Path) -> None:
    asked, thinking = asyncio.Event(), asyncio.Event()

    async def ponder(_: ServerConnection, __: Any) -> None:
        asked.set()
        await thinking.wait()

    async with between(tmp_path, server={"process_request": ponder}) as gateway:
        attempt = asyncio.create_task(to(gateway, "/public/x").__aenter__())
        await asked.wait()
        drained = asyncio.create_task(gateway.process.server.drain(0, 10))
        thinking.set()
        assert await code_of(await attempt) == 1001
        assert await drained


async def test_a_forced_end_cuts_tunnels_off_and_writes_their_events(tmp_path: Path) -> None:
    async with between(tmp_path) as gateway:
        async with to(gateway, "/public/x") as socket:
            assert not await gateway.process.server.close(), "what was cut off is told"
            assert await code_of(socket) == 1001
        assert (await gateway.only_request())["detail"] == "websocket 1001 by the gateway: going away"


async def test_tunnels_hold_up_nobody_elses_writes(tmp_path: Path) -> None:
    """Writes wait for the end of a turn while several requests are in flight; an open tunnel is none of these."""
    async with between(tmp_path) as gateway:
        async with to(gateway, "/public/a") as first, to(gateway, "/public/b") as second:
            await first.send("x")
            await first.recv()
            await second.send("x")
            await second.recv()
            assert outbox_of(asyncio.get_running_loop()).busy == 0
        await until(lambda: _at_least(gateway, 2), "the trail is short")
        assert outbox_of(asyncio.get_running_loop()).busy == 0
