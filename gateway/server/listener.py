"""A listener as it is configured, and the same listener bound: what its connections share."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, Final, Protocol

from gateway.config.values import Network
from gateway.core.addresses import normalise
from gateway.core.outbox import outbox_of
from gateway.core.pace import Pace
from gateway.core.ports import App, Metrics
from gateway.edge.model import ListenerLimits
from gateway.server.tls import ServerTls

AsgiApp = Callable[..., Awaitable[None]]
LOCAL: Final = ""
"""The peer of a unix socket."""


class Silent:
    """Metrics for nobody."""

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Nobody counts."""

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        """Nobody looks."""


@dataclass(frozen=True, slots=True)
class Asgi:
    """A plain ASGI application: what operators are served, never the data path."""

    app: AsgiApp


@dataclass(frozen=True, slots=True)
class Listener:
    """One address and what is served there. `app` is the data path, or an ASGI application for operators.

    `address` is `host:port`, `[::1]:port` or `unix:/path`. `allow_from` None admits everybody that `deny_from` does not name.
    `proxies`, where it is not None, are the only peers: each begins with a PROXY header, and whom it names the lists judge.
    `http2` is spoken with whoever begins with it, beside HTTP/1.1.
    """

    name: str
    address: str
    app: App | Asgi
    limits: ListenerLimits = field(default_factory=ListenerLimits)
    tls: ServerTls | None = None
    allow_from: Sequence[Network] | None = None
    deny_from: Sequence[Network] = ()
    proxies: Sequence[Network] | None = None
    http2: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What makes two listeners the same one across a reload."""
        return self.name, self.address

    def admits(self, peer: str) -> bool:
        """Whether a peer may connect, before it has said anything. A unix socket's file mode is its list."""
        if self.proxies is None:
            return self.serves(peer)
        return peer == LOCAL or is_in(ipaddress.ip_address(peer), self.proxies)

    def serves(self, client: str) -> bool:
        """Whether the lists let a client in: the peer, or whom a load balancer connects for."""
        if client == LOCAL or (self.allow_from is None and not self.deny_from):
            return True
        address = ipaddress.ip_address(client)
        return not is_in(address, self.deny_from) and (self.allow_from is None or is_in(address, self.allow_from))

    def trusts_like(self, other: "Listener") -> bool:
        """Whether both let the same peers in, so that a connection made to one may go on under the other."""
        mine = (self.allow_from, self.deny_from, self.proxies, self.tls and self.tls.trust)
        return mine == (other.allow_from, other.deny_from, other.proxies, other.tls and other.tls.trust)


class InFlight(Protocol):
    """What a connection has in flight."""

    @property
    def task(self) -> asyncio.Future[Any] | None:
        """Done when it has ended; None where it needs no task."""
        ...


class Connection(Protocol):
    """A live connection, as the accept loop and the drain see it."""

    @property
    def run(self) -> InFlight | None:
        """The request in flight, where there is one and it can be told."""
        ...

    def check(self, now: float) -> None:
        """A tick of the clock: act on a deadline that has passed. `now` is the event loop's time."""
        ...

    def shutdown(self) -> None:
        """End when the request in flight is answered; at once when there is none."""
        ...

    def kill(self) -> None:
        """End now."""
        ...


class Bound:
    """A listener in service: its present settings and its live connections. Settings are replaced whole by a reload.

    `app` is there on the data path only.
    """

    __slots__ = ("_empty", "app", "connections", "date", "draining", "elsewhere", "leaving", "listener", "metrics", "outbox")

    def __init__(self, listener: Listener, metrics: Metrics) -> None:
        self.adopt(listener)
        self.metrics = metrics
        self.connections: set[Connection] = set()
        self.outbox = outbox_of(asyncio.get_running_loop())
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = False
        self.leaving = False  # whether connections end with their next answer
        self.elsewhere = False  # whether another process takes connections in place of this one
        self.date = b""
        self.tick_date()

    def adopt(self, listener: Listener) -> None:
        """Settings for what comes from now on, also on connections that are there."""
        self.listener = listener
        if not isinstance(listener.app, Asgi):
            self.app = listener.app

    def arrive(self, connection: Connection) -> None:
        """A connection was made."""
        self.connections.add(connection)
        self._empty.clear()

    def leave(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    async def emptied(self) -> None:
        """Wait until no connection is left."""
        await self._empty.wait()

    def patience(self) -> Pace:
        """How slowly what waits for a client may be taken: at the least rate it may take as long as it needs."""
        limits = self.listener.limits
        return Pace(limits.min_download, limits.body_idle, limits.body_idle)

    def tick_date(self) -> None:
        """Render the Date field anew (RFC 9110 6.6.1)."""
        self.date = b"date: %b" % formatdate(usegmt=True).encode("ascii")

    def shutdown(self) -> None:
        """Every connection ends when its request in flight is answered."""
        for connection in list(self.connections):
            connection.shutdown()


def is_in(address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Sequence[Network]) -> bool:
    """Whether one of the networks holds an address."""
    return any(address in network for network in networks)


def peer_of(address: Any) -> str:
    """The peer's IP address in its one spelling, from what `accept` returned; "" on a unix socket."""
    return normalise(address[0]) if isinstance(address, tuple) else LOCAL
