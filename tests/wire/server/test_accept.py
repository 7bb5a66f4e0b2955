"""Who is let in, before a byte is read: addresses, unix sockets, and a process out of file descriptors."""

import asyncio
import ipaddress
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.config.values import Network
from gateway.server.listener import Listener, peer_of
from gateway.server.sockets import ListenError, listen
from tests.fakes import CountingMetrics
from tests.rawhttp import FOLLOWER, Echo, limits, serving


def networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


@pytest.mark.parametrize(
    ("allow", "deny", "let_in"),
    [
        (None, (), True),
        (("127.0.0.0/8",), (), True),
        (("10.0.0.0/8", "::/0"), (), False),
        (None, ("127.0.0.1/32",), False),
        (("127.0.0.0/8",), ("127.0.0.1/32",), False),
        ((), (), False),
    ],
    ids=["anybody", "allowed", "not allowed", "denied", "denied though allowed", "nobody"],
)
async def test_peers_are_judged_at_accept(allow: tuple[str, ...] | None, deny: tuple[str, ...], let_in: bool) -> None:
    echo, metrics = Echo(), CountingMetrics()
    allowed = None if allow is None else networks(*allow)
    async with serving(echo, metrics=metrics, allow_from=allowed, deny_from=networks(*deny)) as gate:
        client = await gate.connect()
        if let_in:
            await client.send(FOLLOWER)
            assert (await client.answer()).status == 200
        else:
            assert await client.rest() == b""
            assert metrics.counted("gateway.connections.refused", listener="main", reason="address") == 1
    assert len(echo.seen) == let_in


async def test_an_ipv4_peer_on_a_dual_stack_listener_is_an_ipv4_peer() -> None:
    """CVE-2024-24790 (attacks.md row 41): ::ffff:127.0.0.1 must not slip past a list that names 127.0.0.1."""
    echo = Echo()
    async with serving(echo, address="[::]:0", deny_from=networks("127.0.0.1/32")) as gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        assert await reader.read() == b""
        writer.close()
        client = await gate.ask(FOLLOWER)
        assert (await client.answer()).status == 200
    assert [inbound.peer for inbound in echo.seen] == ["::1"]


@pytest.mark.parametrize(
    ("address", "peer"),
    [(("::ffff:10.0.0.1", 1, 0, 0), "10.0.0.1"), (("fe80::1%eth0", 1, 0, 2), "fe80::1"), (("10.0.0.1", 1), "10.0.0.1"), ("", "")],
    ids=["mapped", "zone", "plain", "unix"],
)
def test_a_peer_has_one_spelling(address: object, peer: str) -> None:
    assert peer_of(address) == peer


def test_a_unix_socket_has_no_address_to_judge() -> None:
    assert Listener("main", "unix:/x", Echo(), allow_from=()).admits("")


async def test_a_unix_socket_serves_its_group_and_is_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    echo = Echo()
    async with serving(echo, address=f"unix:{path}") as gate:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        client = await gate.ask(FOLLOWER)
        assert (await client.answer()).status == 200
        with pytest.raises(ListenError, match="another process listens there"):
            listen(f"unix:{path}")
    assert echo.seen[0].peer == ""
    assert not path.exists()


def test_a_stale_unix_socket_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listen(f"unix:{path}").close()


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ListenError, match="no socket"):
        listen(f"unix:{path}")
    assert path.read_text() == "data"


@pytest.mark.parametrize("address", ["", "8080", ":8080", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "[::1]"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ListenError, match="written like"):
        listen(address)


def test_an_address_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ListenError, match=r"[Aa]ddress"):
            listen(f"127.0.0.1:{taken.getsockname()[1]}")


def test_answers_are_not_delayed_to_fill_segments() -> None:
    with listen("127.0.0.1:0") as server, socket.create_connection(server.getsockname()):
        server.setblocking(True)
        accepted, _ = server.accept()
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        accepted.close()


STARVED = dedent("""
    import asyncio, os, resource, socket, sys, time
    from tests.rawhttp import FOLLOWER, Echo, serving

    async def main():
        async with serving(Echo()) as gate:
            clients = [socket.create_connection(("127.0.0.1", gate.port)) for _ in range(8)]
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), hard))
            before = time.process_time()
            await asyncio.sleep(1.2)
            spent = time.process_time() - before
            reached = gate.server.connections
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            last = clients[-1]
            last.sendall(FOLLOWER)
            last.setblocking(False)
            answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(last, 100), 10)
            print(reached < len(clients), spent < 0.6, answer.startswith(b"HTTP/1.1 200"))
            for client in clients:
                client.close()

    if sys.argv[1] == "uvloop":
        import uvloop
        uvloop.run(main())
    else:
        asyncio.run(main())
""")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_without_file_descriptors_accepting_rests_and_then_goes_on(loop: str) -> None:
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", STARVED, loop], capture_output=True, text=True, timeout=60, cwd=root, env=environment
    )
    assert done.stdout.split() == ["True", "True", "True"], done.stderr
    assert "accept failed" in done.stderr


class Broken:
    """A connection whose deadlines cannot be judged."""

    run = None

    def __init__(self, leave: Callable[["Broken"], None]) -> None:
        self._leave = leave

    def check(self, now: float) -> None:
        raise RuntimeError("a bug")

    def shutdown(self) -> None:
        """Nothing is in flight."""

    def kill(self) -> None:
        self._leave(self)


async def test_a_bug_with_one_connection_leaves_the_others_their_deadlines(caplog: pytest.LogCaptureFixture) -> None:
    """An exception among the checks once ended the clock of the listener: nobody had a deadline any more."""
    async with serving(Echo(), limits=limits(header_timeout=0.2)) as gate:
        (acceptor,) = gate.server._acceptors.values()
        acceptor.connections.add(Broken(acceptor.connections.discard))
        client = await gate.connect()
        await client.send(b"GET / HT")
        assert (await client.answer()).status == 408
        assert not [connection for connection in acceptor.connections if isinstance(connection, Broken)]
    assert "bug in a connection's deadlines" in caplog.text
