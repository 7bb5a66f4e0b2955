"""Clients that leave, and bytes behind a last request, at the worst moment: nothing stays held and nothing goes untold."""

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core.message import Inbound, Response
from gateway.core.ports import Writer
from tests.house import house, request_bytes
from tests.unit.server.test_protocol import connected

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LONG = b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\nabc"


def gone_while_a_kept_connection_closes(client: socket.socket, upstream: socket.socket) -> None:
    """The request was about to be sent once more on a new connection."""
    upstream.shutdown(socket.SHUT_RDWR)
    time.sleep(0.02)
    client.close()


def gone_while_a_long_answer_begins(client: socket.socket, upstream: socket.socket) -> None:
    """Its rest would have been waited for."""
    client.close()
    time.sleep(0.02)
    upstream.sendall(LONG)


@pytest.mark.parametrize("leave", [gone_while_a_kept_connection_closes, gone_while_a_long_answer_begins])
async def test_a_client_gone_within_one_turn_of_the_loop_frees_its_place_and_leaves_its_event(
    leave: Callable[[socket.socket, socket.socket], None], tmp_path: Path
) -> None:
    """What was left of the request became a task that was cancelled before its first turn, and was lost with all it held."""
    arrived: list[socket.socket] = []
    come = threading.Event()

    def serve(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            if b"/public/b" in data:
                arrived.append(connection)
                come.set()
                return
            connection.sendall(OK)

    def accept(listening: socket.socket) -> None:
        for _ in range(8):
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, args=(listening,), daemon=True).start()
        target = {"url": f"http://127.0.0.1:{listening.getsockname()[1]}", "allow_plaintext": True, "allow_private": True}
        upstreams = {"api": {**target, "credential": "bot"}, "plain": {**target, "connections": 1, "timeouts": {"connect": "2s"}}}
        async with house(tmp_path, upstreams=upstreams) as home:
            gc.disable()
            try:
                with socket.create_connection(home.address()) as client:
                    client.sendall(request_bytes("/public/a"))
                    await asyncio.to_thread(client.recv, 65536)
                    client.sendall(request_bytes("/public/b"))
                    await asyncio.to_thread(come.wait, 5)
                    leave(client, arrived[0])
                    time.sleep(0.05)
                await asyncio.sleep(0.3)
                events = [event for event in await home.requests() if event["path"] == "/public/b"]
                assert [(event["status"], event.get("error")) for event in events] in (
                    [(None, "client-gone")],
                    [(200, "client-gone")],
                )
                assert [(await home.get("/public/c")).status for _ in range(3)] == [200, 200, 200]
            finally:
                gc.enable()
                arrived[0].close()


async def test_what_comes_behind_a_last_request_does_not_reset_its_answer(tmp_path: Path) -> None:
    """RFC 9112 9.6: closing with bytes unread makes TCP reset the connection, and the answer may be lost with it."""

    def ask(address: tuple[str, int]) -> bytes:
        with socket.create_connection(address, 5) as client:
            client.sendall(b"GET /nowhere HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n" + b"y" * 200_000)
            got = b""
            while data := client.recv(65536):
                got += data
                time.sleep(0.05)
                client.sendall(b"z" * 1000)
                time.sleep(0.05)
            return got

    async with house(tmp_path) as home:
        for _ in range(3):
            assert (await asyncio.to_thread(ask, home.address())).startswith(b"HTTP/1.1 404 ")


async def test_one_message_has_one_answer_though_it_is_found_broken_after_its_head() -> None:
    """The app answers at once, and then the body turns out to be one that two readers end at different places."""
    seen: list[str] = []

    async def app(inbound: Inbound, writer: Writer) -> None:
        seen.append(inbound.method)
        await writer.start(Response(404, []), b"", False)

    protocol, transport = connected(app)
    protocol.data_received(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0000000000000000000\r\n\r\nX")
    for _ in range(5):
        await asyncio.sleep(0)
    assert seen == ["POST"]
    assert bytes(transport.written).count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in bytes(transport.written)
    protocol.connection_lost(None)
