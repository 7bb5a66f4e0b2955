"""A whole gateway without a network: clients and upstreams in memory, so that thousands of conversations fit in a minute.

Everything of the gateway is the real thing, from the client's protocol to the upstream's connection; only the sockets are not.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.app import GatewayApp, RequestIds
from gateway.core.exchange import Exchange
from gateway.core.message import Inbound, Request
from gateway.process import Process
from gateway.server.connect import connector
from gateway.server.listener import Bound, Listener, Silent
from tests.house import House, house

CALM_TURNS = 12
"""Turns of the loop without anything happening, after which nothing will."""
MOST_TURNS = 3000


class Link(asyncio.Transport):
    """The gateway's end of a connection. What it writes goes to `told`; what `give` brings is read unless reading is paused."""

    def __init__(self, loop: "WirelessLoop", told: Callable[[bytes], None]) -> None:
        super().__init__()
        self._socket = loop.quiet
        self._loop = loop
        self._told = told
        self._held: list[bytes] = []
        self._paused = False
        self._closing = False
        self._ended = False
        self.protocol: Any = None
        self.steps = 0

    @property
    def ended(self) -> bool:
        """Whether the gateway has ended the connection, or its own half of it."""
        return self._closing

    def give(self, data: bytes) -> None:
        """Bytes arrive."""
        self._held.append(data)
        self._loop.call_soon(self._read)

    def hang_up(self) -> None:
        """The other end closes."""
        self._loop.call_soon(self._hung_up)

    def _hung_up(self) -> None:
        if self._held and not self._closing:
            self._loop.call_soon(self._hung_up)
            self._read()
        elif not self._ended:
            if not self._closing:
                self.protocol.eof_received()
            self.abort()

    def _read(self) -> None:
        while self._held and not (self._paused or self._ended):
            self.steps += 1
            data = self._held.pop(0)
            if not self._closing:
                self.protocol.data_received(data)

    def _lose(self) -> None:
        if not self._ended:
            self._ended = True
            self.protocol.connection_lost(None)

    # What the gateway calls (asyncio.Transport).

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing:
            self.steps += 1
            self._told(bytes(data))

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self._loop.call_soon(self._read)

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        self._closing = True
        self._held.clear()
        self._loop.call_soon(self._lose)

    close = abort
    write_eof = abort

    def can_write_eof(self) -> bool:
        return True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket if name == "socket" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Everything is taken at once."""


class Far:
    """The upstream's end of one connection: what arrived, and a hand to answer with."""

    def __init__(self, upstream: "Upstream", loop: "WirelessLoop") -> None:
        self.upstream = upstream
        self.link = Link(loop, self._arrived)
        self.received = b""
        self.sent = b""
        self.answered = 0

    def _arrived(self, data: bytes) -> None:
        self.received += data
        self.upstream.answer(self)

    def send(self, data: bytes) -> None:
        self.sent += data
        self.link.give(data)


class Upstream:
    """All connections to upstreams; `answer` is called whenever more of a request has come."""

    def __init__(self) -> None:
        self.connections: list[Far] = []
        self.answer: Callable[[Far], None] = lambda far: None


class WirelessLoop(asyncio.SelectorEventLoop):
    """An event loop whose outgoing connections lead to `upstream`."""

    def __init__(self) -> None:
        super().__init__()
        self.upstream = Upstream()
        self.quiet, self._other = socket.socketpair()
        """What there is to look at where the system is asked whether something has come: nothing ever has."""

    def close(self) -> None:
        super().close()
        self.quiet.close()
        self._other.close()

    async def create_connection(self, *arguments: Any, **_: Any) -> Any:
        """A connection to the upstream, whatever its address."""
        far = Far(self.upstream, self)
        far.link.protocol = protocol = arguments[0]()
        self.upstream.connections.append(far)
        protocol.connection_made(far.link)
        return far.link, protocol


class Witness:
    """What the gateway said of each exchange, in order: `inbound` as it came, `request` as it was authorised where it was."""

    def __init__(self) -> None:
        self.begun: list[tuple[Exchange, Inbound]] = []
        self.ended: list[tuple[Exchange, Inbound, Request | None]] = []

    def begin(self, exchange: Exchange, inbound: Inbound) -> None:
        self.begun.append((exchange, inbound))

    def opened(self, exchange: Exchange) -> None:
        raise AssertionError("no tunnel is opened here")

    def end(self, exchange: Exchange) -> None:
        inbound = next(inbound for begun, inbound in self.begun if begun is exchange)
        self.ended.append((exchange, inbound, None if inbound.claim is None else inbound.claim.request))


class Caller:
    """One client's connection."""

    def __init__(self, wireless: "Wireless") -> None:
        self.received = b""
        self.link = Link(wireless.loop, self._told)
        self.link.protocol = self.protocol = wireless.protocol()
        self.protocol.connection_made(self.link)

    def _told(self, data: bytes) -> None:
        self.received += data


class Wireless:
    """The gateway, its witness, and its upstream."""

    def __init__(self, process: Process, house: House, loop: WirelessLoop) -> None:
        self.house = house
        self.loop = loop
        self.upstream = loop.upstream
        self.witness = Witness()
        app = GatewayApp(process.current, "listen", self.witness, new_id=RequestIds().next)
        self._bound = Bound(Listener("listen", "127.0.0.1:0", app.serve), Silent())
        self._connector = connector(self._bound)
        self._callers: list[Caller] = []

    def protocol(self) -> asyncio.BaseProtocol:
        return self._connector("192.0.2.1", False)

    def call(self) -> Caller:
        caller = Caller(self)
        self._callers.append(caller)
        return caller

    async def settled(self) -> None:
        """Let everything happen that can."""
        calm, last = 0, -1
        for _ in range(MOST_TURNS):
            await asyncio.sleep(0)
            steps = self._steps()
            calm = calm + 1 if steps == last else 0
            last = steps
            if calm > CALM_TURNS:
                return
        raise AssertionError("it does not come to rest")

    def _steps(self) -> int:
        links = [caller.link for caller in self._callers] + [far.link for far in self.upstream.connections]
        return sum(link.steps for link in links) + len(self.witness.begun) + len(self.witness.ended) + len(links)

    async def over(self) -> None:
        """Everybody leaves."""
        for link in [caller.link for caller in self._callers] + [far.link for far in self.upstream.connections]:
            link.hang_up()
        await self.settled()
        assert len(self.witness.begun) == len(self.witness.ended), "an exchange that never ended"
        self._callers.clear()
        self.upstream.connections.clear()
        self.witness.begun.clear()
        self.witness.ended.clear()


@asynccontextmanager
async def wireless(folder: Path, **over: Any) -> AsyncIterator[Wireless]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, WirelessLoop)
    async with house(folder, **over) as home:
        yield Wireless(home.process, home, loop)
