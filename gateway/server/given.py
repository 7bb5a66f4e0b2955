"""A client's connection given away after a 101: the listener still counts it, ticks it and ends it."""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.core.message import Response, lines
from gateway.core.pace import Pace
from gateway.core.ports import Tunnel
from gateway.server.listener import Bound
from gateway.server.run import Run

START: Final = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
OURS: Final = frozenset((b"connection", b"upgrade", b"date", b"content-length", b"transfer-encoding", b"keep-alive"))


def switching_head(response: Response, date: bytes) -> bytes:
    """A 101 in wire form. Raises InternalError where a field is not one line."""
    kept = lines(field for field in response.headers if field[0] not in OURS)
    return b"%b%b\r\n%b\r\n" % (START, date, kept)


class GivenAway:
    """Implements listener.Connection for the accept loop and core.ports.Given for whoever carries the tunnel.

    `run` is the request that asked for it, which lasts as long. `retiring` says that the listener had begun to take no more.
    """

    __slots__ = ("_bound", "_retiring", "_tunnel", "run", "transport")

    def __init__(self, bound: Bound, transport: asyncio.Transport, run: Run | None, *, retiring: bool) -> None:
        self._bound = bound
        self.transport = transport
        self.run = run
        self._retiring = retiring
        self._tunnel: Tunnel | None = None
        bound.arrive(self)
        bound.outbox.busy -= 1  # nothing of a tunnel waits for its turn, and nobody has to wait because it is open

    def patience(self) -> Pace:
        """How slowly the client may take what waits for it when nothing more will be written."""
        return self._bound.patience()

    def carry(self, tunnel: Tunnel) -> None:
        """Tell the tunnel what the listener decides, from now on."""
        self._tunnel = tunnel
        if self._retiring:
            tunnel.leave()

    def done(self) -> None:
        """The tunnel is no more."""
        self._bound.outbox.busy += 1
        self._tunnel = None
        self.transport.abort()
        self._bound.leave(self)

    # What the accept loop asks (listener.Connection).

    def check(self, now: float) -> None:
        if self._bound.elsewhere and not self._retiring:
            self.shutdown()  # a tunnel has no next answer to end with
        self._ask(lambda tunnel: tunnel.check(now))

    def shutdown(self) -> None:
        self._retiring = True
        self._ask(lambda tunnel: tunnel.leave())

    def kill(self) -> None:
        self._ask(lambda tunnel: tunnel.cut())

    def _ask(self, what: Callable[[Tunnel], None]) -> None:
        if self._tunnel is not None:
            what(self._tunnel)
