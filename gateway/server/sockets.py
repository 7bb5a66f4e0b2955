"""Listening sockets: an address as configured, bound; a unix socket's file made, guarded and removed.

A process binds its own, or is handed them by the one that starts it: `Sockets`.
"""

import errno
import os
import socket
import stat
from pathlib import Path
from typing import Final, Protocol

BACKLOG: Final = 4096
UNIX_MODE: Final = 0o660


class ListenError(Exception):
    """An address cannot be listened on."""

    def __init__(self, address: str, problem: str) -> None:
        super().__init__(f"{address}: {problem}")
        self.address = address
        self.problem = problem


def listen(address: str) -> socket.socket:
    """A non-blocking listening socket on `host:port`, `[::1]:port` or `unix:/path`. Port 0 takes a free one. Raises ListenError."""
    try:
        sock = _bind_unix(address, Path(address[5:])) if address.startswith("unix:") else _bind_tcp(address)
    except OSError as error:
        raise ListenError(address, error.strerror or type(error).__name__) from error
    sock.setblocking(False)
    return sock


def share(address: str, count: int) -> list[socket.socket]:
    """`count` listening sockets on one address, for as many processes. Raises ListenError, also where another gateway listens.

    The kernel spreads TCP connections over them (SO_REUSEPORT, socket(7)); a unix socket is one, taken from by all.
    """
    first = listen(address)
    made = [first]
    try:
        while len(made) < count:
            made.append(first.dup() if address.startswith("unix:") else _beside(first))
    except OSError as error:
        for sock in made:
            sock.close()
        raise ListenError(address, error.strerror or type(error).__name__) from error
    return made


def unshare(found: list[socket.socket]) -> None:
    """Stop listening on what `share` gave, in this process."""
    for copy in found[1:]:
        copy.close()
    close(found[0])


def _beside(first: socket.socket) -> socket.socket:
    """Another socket on the address of one that was bound alone, which is how a conflict with a stranger shows."""
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock = socket.socket(first.family, first.type, first.proto)
    try:
        _prepare(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(first.getsockname())
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


class Sockets(Protocol):
    """Where a server's listening sockets come from. A listener's key is its name and its address."""

    def open(self, key: tuple[str, str]) -> socket.socket:
        """A non-blocking listening socket. Raises ListenError."""
        ...

    def close(self, sock: socket.socket) -> None:
        """This process listens there no longer."""
        ...


class Own:
    """Sockets that the process binds by itself."""

    def open(self, key: tuple[str, str]) -> socket.socket:
        return listen(key[1])

    def close(self, sock: socket.socket) -> None:
        close(sock)


class Handed:
    """Sockets that another process bound and handed over: closed here, they go on listening there."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], socket.socket] = {}

    def put(self, key: tuple[str, str], sock: socket.socket) -> None:
        """Keep a socket until its listener is made."""
        sock.setblocking(False)
        if (unused := self._waiting.pop(key, None)) is not None:
            unused.close()
        self._waiting[key] = sock

    def open(self, key: tuple[str, str]) -> socket.socket:
        sock = self._waiting.pop(key, None)
        if sock is None:
            raise ListenError(key[1], "was not handed over")
        return sock

    def close(self, sock: socket.socket) -> None:
        sock.close()

    def forget(self) -> None:
        """Close what no listener was made for."""
        while self._waiting:
            self._waiting.popitem()[1].close()


def bound_address(sock: socket.socket) -> str:
    """The address a socket is bound to, written as in the configuration."""
    name = sock.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if sock.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def close(sock: socket.socket) -> None:
    """Stop listening; a unix socket's file goes with it."""
    name = sock.getsockname()
    sock.close()
    if isinstance(name, str) and name:
        Path(name).unlink(missing_ok=True)


def split(address: str) -> tuple[str, int]:
    """(host, port). Raises ListenError."""
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ListenError(address, "an address is written like 127.0.0.1:8080, [::1]:8080 or unix:/run/gateway.sock")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _bind_tcp(address: str) -> socket.socket:
    host, port = split(address)
    family, kind, protocol, _, name = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        _prepare(sock)
        sock.bind(name)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _prepare(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted sockets inherit it: answers are written whole, so there is nothing to wait for.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sock.family == socket.AF_INET6:
        # [::] serves IPv4 too, on every system alike; the peers' mapped addresses are normalised at accept.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)


def _bind_unix(address: str, path: Path) -> socket.socket:
    _remove_stale(address, path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        # Between bind and listen nobody can connect, so the mode holds from the first connection on.
        os.chmod(path, UNIX_MODE)  # noqa: PTH101  Path.chmod follows links on some systems
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_stale(address: str, path: Path) -> None:
    """Remove what a dead process left. A living listener's socket, or a file that is no socket, is refused."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(address, "exists and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise ListenError(address, "another process listens there")
    path.unlink()
