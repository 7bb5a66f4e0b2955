"""The accept loop of one listener: who may connect, how many at once, and with which certificate, decided before TLS."""

import asyncio
import logging
import socket
import ssl
from typing import Final, cast

from gateway.core.ports import Metrics
from gateway.server.connect import connector
from gateway.server.listener import Asgi, Bound, Connection, Listener, peer_of
from gateway.server.proxied import ProxyHeaderError, conveyed
from gateway.server.sockets import Own, Sockets, bound_address

log = logging.getLogger(__name__)

BURST: Final = 64
"""Connections accepted before other work gets its turn."""
CROWD: Final = 64
"""Plaintext connections above the limit that are still told 503; beyond them the door just shuts."""
BACK_OFF: Final = 0.5
"""Seconds of rest when the process or the system is out of file descriptors or memory."""
SHUTDOWN: Final = 5.0
"""Seconds an operator's TLS connection gets to take what is left of the last answer, and to answer close_notify."""
NO_SHUTDOWN: Final = 86400.0
"""The same on the data path, where this never comes: what a client has taken ends its connection, see Wire.check."""
SLOWEST_TICK: Final = 1.0
FASTEST_TICK: Final = 0.02


class Acceptor:
    """A bound listener that takes connections. Made inside a running event loop; raises ListenError."""

    def __init__(self, listener: Listener, metrics: Metrics, sockets: Sockets | None = None) -> None:
        self._sockets = sockets or Own()
        self.bound = Bound(listener, metrics)
        self._socket = self._sockets.open(listener.key)
        self._lent: list[socket.socket] = []
        self._loop = asyncio.get_running_loop()
        self._connect = connector(self.bound)
        self._opening: set[asyncio.Task[None]] = set()
        self._greeting: set[asyncio.Task[None]] = set()  # of these, who still has to send a PROXY header or to shake hands
        self._timer: asyncio.TimerHandle | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._open = False
        self._listens = True

    @property
    def address(self) -> str:
        """Where it listens, the port as the system gave it."""
        return bound_address(self._socket)

    @property
    def connections(self) -> set[Connection]:
        """Those alive."""
        return self.bound.connections

    def start(self) -> None:
        """Take connections from now on."""
        self._open = True
        self._listen()
        self._tick()

    def lend(self, sock: socket.socket) -> None:
        """Take connections from another listening socket too: that of a process which is not there to do it."""
        self._lent.append(sock)
        if self._open and self._resting is None:
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    def give_back(self, sock: socket.socket) -> None:
        """Take no more from a lent socket, and close it here."""
        if sock in self._lent:
            self._lent.remove(sock)
            self._loop.remove_reader(sock.fileno())
            sock.close()

    def leave(self) -> None:
        """Take no more connections, while another process takes them from the same socket; those there are end with an answer.

        Idle ones are left open, for a request may be on its way: its answer says that it is the last.
        """
        self._hang_up()
        self.bound.leaving = self.bound.elsewhere = True

    async def emptied(self) -> None:
        """Wait until no connection is left, nor one that is being opened."""
        while self._opening:
            await asyncio.wait(self._opening)
        await self.bound.emptied()

    def adopt(self, listener: Listener) -> None:
        """Go on under new settings. Where the new ones trust other peers, connections end after the request in flight."""
        renew = not listener.trusts_like(self.bound.listener)
        self.bound.adopt(listener)
        self._connect = connector(self.bound)
        if renew:
            self.bound.shutdown()

    def stop(self) -> None:
        """Take no more connections; those there are end when they are done. Calling it twice is harmless."""
        if self.bound.draining:
            return
        self._hang_up()
        # Nobody else: uvloop, ended in the middle of the last step, never tells a connection that it is gone.
        for task in self._greeting:
            task.cancel()
        self.bound.draining = True
        self.bound.shutdown()

    def kill(self) -> None:
        """End every connection now, and the clock."""
        for connection in list(self.connections):
            connection.kill()
        if self._timer is not None:
            self._timer.cancel()

    def _listen(self) -> None:
        for sock in (self._socket, *self._lent):
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    def _deafen(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        for sock in (self._socket, *self._lent):
            self._loop.remove_reader(sock.fileno())

    def _hang_up(self) -> None:
        if not self._listens:
            return
        self._listens = False
        if self._open:
            self._open = False
            self._deafen()
        self._sockets.close(self._socket)
        while self._lent:
            self._lent.pop().close()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(BURST):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            self._admit(sock, peer_of(address))

    def _rest(self, error: OSError) -> None:
        """Out of descriptors or memory: the socket stays readable, so asking again at once would spin."""
        log.error("accept failed", extra={"listener": self.bound.listener.name, "error": error.strerror})
        self._deafen()
        self._resting = self._loop.call_later(BACK_OFF, self._resume)

    def _resume(self) -> None:
        self._resting = None
        if self._open:
            self._listen()

    def _admit(self, sock: socket.socket, peer: str) -> None:
        listener = self.bound.listener
        if not listener.admits(peer):
            self._refuse(sock, "address")
            return
        above = len(self.connections) + len(self._opening) - listener.limits.connections
        if above >= 0 and (listener.tls is not None or above >= CROWD):
            self._refuse(sock, "overloaded")
            return
        sock.setblocking(False)
        task = self._loop.create_task(self._open_connection(sock, peer, crowded=above >= 0))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        if listener.tls is not None or listener.proxies is not None:
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    def _refuse(self, sock: socket.socket, why: str) -> None:
        sock.close()
        self.bound.metrics.count("gateway.connections.refused", 1, listener=self.bound.listener.name, reason=why)

    async def _open_connection(self, sock: socket.socket, peer: str, *, crowded: bool) -> None:
        listener = self.bound.listener
        tls = listener.tls
        trust = None if tls is None else tls.trust
        try:
            if listener.proxies is not None:
                peer = await conveyed(self._loop, sock, listener.limits.header_timeout) or peer
                # Lists that a reload changed meanwhile have not judged whoever sent this header.
                if not (listener.serves(peer) and self.bound.listener.trusts_like(listener)):
                    self._refuse(sock, "address")
                    return
            if tls is None:
                self._greeting.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: self._connect(peer, crowded),
                sock,
                ssl=None if tls is None else tls.context,
                ssl_handshake_timeout=None if tls is None else max(listener.limits.header_timeout, FASTEST_TICK),
                ssl_shutdown_timeout=None if tls is None else shutdown_of(listener),
            )
        except asyncio.CancelledError:
            sock.close()
            raise
        except ProxyHeaderError:
            self._refuse(sock, "proxy-header")
        except OSError as error:
            sock.close()
            self.bound.metrics.count("gateway.tls.handshakes.failed", 1, listener=listener.name, reason=reason_of(error))
        else:
            # A handshake held open across a reload was judged by what was trusted before it.
            if trust != (None if tls is None else tls.trust) or not self.bound.listener.trusts_like(listener):
                transport.abort()

    def _tick(self) -> None:
        """About once a second: the date, and every connection's deadline. Goes on after `stop` until nobody is left."""
        if not (self._open or self.connections or self._opening):
            return
        limits = self.bound.listener.limits
        shortest = min(limits.header_timeout, limits.body_idle, limits.idle_timeout)
        self._timer = self._loop.call_later(min(SLOWEST_TICK, max(FASTEST_TICK, shortest / 4)), self._tick)
        self.bound.tick_date()
        now = self._loop.time()
        for connection in list(self.connections):
            try:
                connection.check(now)
            except Exception:  # a bug with one connection must not leave all others without deadlines
                log.exception("bug in a connection's deadlines", extra={"listener": self.bound.listener.name})
                connection.kill()


def shutdown_of(listener: Listener) -> float:
    """Seconds the event loop grants a TLS connection between its close and its end, whatever is still unsent."""
    return SHUTDOWN if isinstance(listener.app, Asgi) else NO_SHUTDOWN


def reason_of(error: OSError) -> str:
    """Why a handshake failed, as a metric label of few values."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate"
    if isinstance(error, ssl.SSLError):
        return "tls"
    return "timeout" if isinstance(error, TimeoutError) else "connection"
