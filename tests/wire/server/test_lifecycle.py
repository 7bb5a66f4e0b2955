"""Start, reload, drain and signals."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.core.message import Inbound, Response
from gateway.core.ports import App, Writer
from gateway.server.lifecycle import Server, Signals
from gateway.server.listener import Listener
from gateway.server.sockets import Handed, ListenError, bound_address, share, unshare
from tests.rawhttp import FOLLOWER, PATIENCE, Echo, Gate, limits, scripted, serving

ROOT = Path(__file__).parents[3]


class Held:
    """An app that answers when it is told to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.release = asyncio.Event()
        self.finished = False

    async def __call__(self, inbound: Inbound, writer: Writer) -> None:
        self.begun.set()
        try:
            await self.release.wait()
            await writer.start(Response(200, []), b"held", False)
        finally:
            self.finished = True


def saying(text: bytes) -> App:
    async def app(inbound: Inbound, writer: Writer) -> None:
        await writer.start(Response(200, []), text, False)

    return scripted(app)


async def say(gate: Gate) -> bytes:
    return (await (await gate.ask(FOLLOWER)).answer()).body


async def test_a_drain_finishes_what_is_in_flight_and_takes_nothing_new() -> None:
    held = Held()
    async with serving(held) as gate:
        busy = await gate.ask(FOLLOWER + FOLLOWER)
        idle = await gate.connect()
        await held.begun.wait()
        drained = asyncio.create_task(gate.server.drain(0.0, PATIENCE))
        assert await idle.rest() == b""
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await gate.connect()
        assert gate.server.draining
        assert not gate.server.ready
        assert not drained.done()
        held.release.set()
        answer = await busy.answer()
        assert (answer.status, answer.fields["connection"]) == (200, "close")
        assert await busy.rest() == b""
        assert await drained


async def test_a_drain_waits_for_its_delay_while_serving_on() -> None:
    async with serving(Echo()) as gate:
        drained = asyncio.create_task(gate.server.drain(0.3, PATIENCE))
        await asyncio.sleep(0)
        assert not gate.server.ready
        assert await say(gate) == b"GET /follower 0\n"
        assert await drained


async def test_a_drain_lets_a_request_that_has_begun_to_arrive_in() -> None:
    async with serving(Echo()) as gate:
        client = await gate.ask(FOLLOWER[:10])
        await gate.until(lambda: gate.server.connections == 1)
        await asyncio.sleep(0.05)
        drained = asyncio.create_task(gate.server.drain(0.0, PATIENCE))
        assert await client.is_silent()
        await client.send(FOLLOWER[10:])
        assert (await client.answer()).fields["connection"] == "close"
        assert await drained


async def test_a_connection_that_is_being_opened_when_the_drain_begins_does_not_hold_it_up() -> None:
    for turns in range(8):
        async with serving(Echo()) as gate:
            with socket.create_connection(("127.0.0.1", gate.port)) as opening:
                for _ in range(turns):
                    await asyncio.sleep(0)
                assert await gate.server.drain(0.0, PATIENCE), turns
                assert gate.server.connections == 0
                opening.setblocking(False)
                with suppress(ConnectionResetError):  # one that was never taken
                    assert await asyncio.get_running_loop().sock_recv(opening, 1) == b""


async def test_what_outlasts_the_drain_is_cut_off_and_told() -> None:
    held = Held()
    async with serving(held) as gate:
        client = await gate.ask(FOLLOWER)
        await held.begun.wait()
        assert not await gate.server.drain(0.0, 0.05)
        assert await client.rest() == b""
        assert held.finished


async def test_one_that_retires_answers_what_still_comes_and_says_that_it_is_the_last() -> None:
    held = Held()
    async with serving(held) as gate:
        idle, busy = await gate.connect(), await gate.ask(FOLLOWER)
        await held.begun.wait()
        retired = asyncio.create_task(gate.server.retire(PATIENCE))
        assert await idle.is_silent()
        held.release.set()
        assert (await busy.answer()).fields["connection"] == "close"
        await idle.send(FOLLOWER)
        assert (await idle.answer()).fields["connection"] == "close"
        assert await idle.rest() == b""
        assert await retired
        assert not gate.server.ready


async def test_connections_to_one_that_retires_wait_for_whoever_shares_its_socket() -> None:
    async with serving(saying(b"old")) as gate:
        sharing = gate.socket().dup()
        retired = asyncio.create_task(gate.server.retire(0.2))
        await asyncio.sleep(0)
        late = await gate.ask(FOLLOWER)
        async with serving(saying(b"new")) as other:
            give_back = other.server.lend(("main", "127.0.0.1:0"), sharing)
            assert (await late.answer()).body == b"new"
            give_back()
            assert await say(other) == b"new"
        assert await retired


async def test_an_idle_connection_is_closed_when_the_time_of_one_that_retires_is_over() -> None:
    async with serving(Echo()) as gate:
        idle = await gate.connect()
        await gate.until(lambda: gate.server.connections == 1)
        assert await gate.server.retire(0.05)
        assert await idle.rest() == b""


async def test_what_outlasts_one_that_retires_is_cut_off_and_told() -> None:
    held = Held()
    async with serving(held) as gate:
        client = await gate.ask(FOLLOWER)
        await held.begun.wait()
        assert not await gate.server.retire(0.05)
        assert await client.rest() == b""


async def test_sockets_that_share_an_address_are_all_listened_on_and_a_stranger_is_not_let_in() -> None:
    made = share("127.0.0.1:0", 3)
    address = bound_address(made[0])
    with pytest.raises(ListenError, match="in use"):
        share(address, 2)
    with pytest.raises(ListenError, match="in use"):
        share(address, 1)
    taken = 0
    for _ in range(30):
        socket.create_connection(made[0].getsockname()).close()
    for sock in made:
        with suppress(BlockingIOError):
            while True:
                sock.accept()[0].close()
                taken += 1
    assert taken == 30
    unshare(made)
    unshare(share(address, 2))


async def test_a_shared_unix_socket_is_one_and_goes_with_its_owner(tmp_path: Path) -> None:
    made = share(f"unix:{tmp_path / 's'}", 2)
    assert {sock.getsockname() for sock in made} == {str(tmp_path / "s")}
    unshare(made)
    assert not (tmp_path / "s").exists()


async def test_a_handed_socket_listens_on_when_it_is_closed_here(tmp_path: Path) -> None:
    owner = share(f"unix:{tmp_path / 's'}", 1)[0]
    handed = Handed()
    for _ in range(2):
        handed.put(("main", "unix:s"), owner.dup())
    server = Server([Listener("main", "unix:s", saying(b"x"))], sockets=handed)
    await server.start()
    await server.close()
    assert (tmp_path / "s").is_socket()
    with pytest.raises(ListenError, match="not handed over"):
        Server([Listener("main", "unix:s", saying(b"x"))], sockets=handed)._bind([Listener("main", "unix:s", saying(b"x"))])
    handed.put(("other", "unix:s"), owner.dup())
    handed.forget()
    unshare([owner])


async def test_new_settings_hold_for_the_next_request_of_a_live_connection() -> None:
    async with serving(saying(b"old")) as gate:
        client = await gate.ask(FOLLOWER)
        assert (await client.answer()).body == b"old"
        gate.server.apply([Listener("main", "127.0.0.1:0", saying(b"new"), limits=limits(request_line=50))])
        await client.send(FOLLOWER)
        assert (await client.answer()).body == b"new"
        assert await say(gate) == b"new"
        assert (await (await gate.ask(b"GET /" + b"a" * 60)).answer()).body == b"new"


async def test_a_tightened_list_ends_live_connections() -> None:
    import ipaddress

    async with serving(saying(b"x")) as gate:
        client = await gate.ask(FOLLOWER)
        await client.answer()
        denied = (ipaddress.ip_network("127.0.0.0/8"),)
        gate.server.apply([Listener("main", "127.0.0.1:0", saying(b"x"), deny_from=denied)])
        assert await client.rest() == b""
        assert await (await gate.connect()).rest() == b""


async def test_listeners_come_and_go_with_a_reload() -> None:
    held = Held()
    async with serving(held) as gate:
        client = await gate.ask(FOLLOWER)
        await held.begun.wait()
        gate.server.apply([Listener("other", "127.0.0.1:0", saying(b"other"))])
        assert list(gate.server.addresses) == ["other"]
        other = Gate(gate.server, gate.server.addresses["other"])
        assert await say(other) == b"other"
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await gate.connect()
        held.release.set()
        assert (await client.answer()).body == b"held"
        assert await client.rest() == b""
        for one in other.clients:
            one.close()


async def test_a_reload_that_cannot_bind_changes_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with serving(saying(b"old")) as gate:
            with pytest.raises(ListenError) as refused:
                gate.server.apply([Listener("main", "127.0.0.1:0", saying(b"new")), Listener("more", address, saying(b"more"))])
            assert refused.value.address == address
            assert await say(gate) == b"old"


async def test_a_start_that_cannot_bind_everything_binds_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listeners = [Listener("a", f"127.0.0.1:{port}", Echo()), Listener("b", f"127.0.0.1:{taken.getsockname()[1]}", Echo())]
        with pytest.raises(ListenError):
            await Server(listeners).start()
    socket.create_server(("127.0.0.1", port)).close()


SCRIPT = dedent("""
    import asyncio, sys
    from gateway.core.message import Response
    from gateway.edge.model import Drain
    from gateway.server.lifecycle import Server, run_until_signal
    from gateway.server.listener import Listener

    async def app(inbound, writer):
        print("request", flush=True)
        try:
            await asyncio.sleep(float(inbound.target[1:]))
            await writer.start(Response(200, []), b"done", False)
        finally:
            print("finished", flush=True)

    async def reload():
        print("reloaded", flush=True)

    def drain():
        print("draining", flush=True)
        return Drain().model_copy(update={"delay": float(sys.argv[2]), "timeout": float(sys.argv[3])})

    async def main():
        server = Server([Listener("main", "127.0.0.1:0", app)])
        serving = asyncio.create_task(run_until_signal(server, on_reload=reload, drain=drain))
        while not server.ready:
            await asyncio.sleep(0)
        print(server.addresses["main"], flush=True)
        return await serving

    if sys.argv[1] == "uvloop":
        import uvloop
        sys.exit(uvloop.run(main()))
    sys.exit(asyncio.run(main()))
""")


class Process:
    """The server in a process of its own."""

    def __init__(self, loop: str, delay: float, timeout: float) -> None:
        command = [sys.executable, "-c", SCRIPT, loop, str(delay), str(timeout)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.inner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
        self.port = int(self.line().rpartition(":")[2])

    def line(self) -> str:
        assert self.inner.stdout is not None
        return self.inner.stdout.readline().strip()

    def connect(self, raw: bytes = b"") -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        sock.sendall(raw)
        return sock

    def tell(self, number: signal.Signals) -> None:
        self.inner.send_signal(number)

    def exit_code(self) -> int:
        return self.inner.wait(PATIENCE)

    def stop(self) -> None:
        self.inner.kill()
        self.inner.communicate()


LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


def get(seconds: float) -> bytes:
    return b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % str(seconds).encode()


@LOOPS
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stop_signal_drains_and_exits_0(loop: str, number: signal.Signals) -> None:
    process = Process(loop, 0.0, PATIENCE)
    try:
        with process.connect(get(0.3)) as busy:
            assert process.line() == "request"
            process.tell(number)
            assert process.line() == "draining"
            received = b""
            while data := busy.recv(1000):
                received += data
        assert b"connection: close" in received
        assert received.endswith(b"done")
        assert process.exit_code() == 0
    finally:
        process.stop()


@LOOPS
def test_requests_cut_off_by_the_bound_make_it_exit_1_after_their_own_end(loop: str) -> None:
    process = Process(loop, 0.0, 0.1)
    try:
        with process.connect(get(60)):
            assert process.line() == "request"
            process.tell(signal.SIGTERM)
            assert process.line() == "draining"
            assert process.line() == "finished"
            assert process.exit_code() == 1
    finally:
        process.stop()


@LOOPS
@pytest.mark.parametrize(("delay", "busy", "code"), [(60.0, False, 0), (0.0, True, 1)], ids=["idle, in the delay", "busy"])
def test_a_second_signal_forces_the_end(loop: str, delay: float, busy: bool, code: int) -> None:
    process = Process(loop, delay, 60.0)
    try:
        with process.connect(get(60) if busy else b""):
            if busy:
                assert process.line() == "request"
            process.tell(signal.SIGTERM)
            assert process.line() == "draining"
            process.tell(signal.SIGTERM)
            assert process.exit_code() == code
    finally:
        process.stop()


@LOOPS
def test_sighup_reloads_and_serves_on(loop: str) -> None:
    process = Process(loop, 0.0, PATIENCE)
    try:
        for _ in range(2):
            process.tell(signal.SIGHUP)
            assert process.line() == "reloaded"
        with process.connect(get(0)) as client:
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
        process.tell(signal.SIGTERM)
        assert process.exit_code() == 0
    finally:
        process.stop()


async def test_a_stop_overtakes_reloads_that_wait() -> None:
    signals = Signals()
    try:
        for number in (*[signal.SIGHUP] * 20, signal.SIGTERM):
            os.kill(os.getpid(), number)
        seen: list[signal.Signals] = []
        async with asyncio.timeout(60):
            while not seen or seen[-1] == signal.SIGHUP:
                seen.append(await signals.next())
        assert len(seen) <= 2
    finally:
        signals.close()
