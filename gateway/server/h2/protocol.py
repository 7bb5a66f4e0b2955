"""A client's connection that speaks HTTP/2: many requests at once to the app, each on a stream of its own."""

import asyncio
from typing import Any, Final

from gateway.core.errors import Unavailable
from gateway.core.message import Field
from gateway.http2.frames import Code, ConnectionFault, StreamFault
from gateway.http2.link import Bounds, Link
from gateway.http2.stream import Stream
from gateway.server.h2.call import Call
from gateway.server.listener import Bound
from gateway.server.origin import Origin
from gateway.server.wire import Wire

WINDOW: Final = 64 * 1024
"""Bytes of one request's body that may be on their way, or held here."""
CONNECTION_WINDOW: Final = 512 * 1024
"""The same of all requests of a connection."""
FAREWELL: Final = 1.0
"""Seconds after which a client that was told of the end is told the last word, had it not answered before."""
FIELD: Final = 32
"""Bytes each field counts beside what it says, in the limit that is announced (RFC 9113 6.5.2)."""


class Several:
    """The requests in flight on one connection, as one; implements listener.InFlight."""

    def __init__(self, calls: list[Call]) -> None:
        self._runs = [call.run for call in calls if call.run is not None]

    @property
    def task(self) -> asyncio.Future[Any] | None:
        """Done when all their tasks are."""
        tasks = [run.task for run in self._runs if run.task is not None]
        return asyncio.gather(*tasks, return_exceptions=True) if tasks else None


class Http2Protocol:
    """Implements asyncio.Protocol (for the transport), listener.Connection (for the accept loop) and http2.link.Owner."""

    __slots__ = (
        "_bound", "_crowded", "_farewell", "_idle_since", "_link", "_loop", "_mark", "_marked", "_origin", "_over", "_peer",
        "_retiring", "_wire",
    )  # fmt: skip

    def __init__(self, bound: Bound, peer: str, crowded: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._bound, self._peer, self._crowded = bound, peer, crowded
        self._retiring = self._over = False
        self._idle_since = self._marked = self._loop.time()
        self._farewell: float | None = None
        self._mark: object = None

    # What the accept loop asks (listener.Connection)

    @property
    def run(self) -> Several | None:
        """The requests in flight."""
        calls = [call for call in self._calls() if call.run is not None]
        return Several(calls) if calls else None

    def check(self, now: float) -> None:
        """A tick of the clock."""
        self._wire.check(now)
        if self._over:
            return
        if self._bound.leaving and not self._retiring:
            self.shutdown()
        limits, link = self._bound.listener.limits, self._link
        for call in self._calls():
            if call.check(now):
                self._count("slow-reader")
        patience = limits.idle_timeout if link.settled else limits.header_timeout
        is_idle = not link.streams and now - self._idle_since >= patience
        if is_idle or (self._farewell is not None and self._farewell <= now):
            self._last_word()
        elif self._is_stuck(now, limits.header_timeout):
            self._fault(ConnectionFault(Code.PROTOCOL_ERROR, "a head that took too long"))

    def shutdown(self) -> None:
        """Take no more requests, and end when those in flight are answered."""
        if self._retiring:
            return
        self._retiring = True
        if not self._link.settled:
            self._last_word()
        else:
            self._farewell = self._loop.time() + FAREWELL
            self._link.announce()

    def kill(self) -> None:
        """End now, and the requests in flight with it."""
        self._over = True
        for call in self._calls():
            call.lost()
        self._wire.cut()

    # What the transport tells (asyncio.Protocol)

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._wire = Wire(transport, self._bound)
        self._bound.arrive(self)
        self._origin = Origin(self._bound.listener, self._peer, transport)
        limits = self._bound.listener.limits
        head = limits.headers + limits.request_line + FIELD * limits.header_count
        bounds = Bounds(limits.streams, WINDOW, CONNECTION_WINDOW, head)
        self._link = Link(self, bounds, client=False, write=self._send, write_last=self._send_soon, time=self._loop.time)
        self._link.begin()
        if self._bound.draining:
            self.shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._bound.leave(self)
        self._wire.free()
        for call in self._calls():
            call.lost()
        self._link.let_go()

    def data_received(self, data: bytes) -> None:
        if self._over:
            self._wire.discard(len(data), self._loop.time(), answering=False)
            return
        try:
            all_taken = self._link.receive(data)
        except ConnectionFault as fault:
            self._ended_by(fault)
            return
        if self._farewell is not None and self._link.pongs:
            self._last_word()
        elif not all_taken:
            self._wire.pause()
            if not self._link.outgoing.full:  # else the client has to read what there is before it may ask for more
                self._loop.call_soon(self._go_on)

    def eof_received(self) -> None:
        self._wire.last(self._loop.time())

    def pause_writing(self) -> None:
        self._link.outgoing.full = True
        self._wire.full(self._loop.time())

    def resume_writing(self) -> None:
        self._wire.free()
        self._link.resume()
        if self._wire.is_paused:
            self._loop.call_soon(self._go_on)

    # What the link tells (http2.link.Owner)

    def head(self, stream: Stream, fields: list[Field], end: bool) -> None:
        if stream.user is not None:
            if not end:
                raise StreamFault(stream.id, Code.PROTOCOL_ERROR, "a second head")
            stream.user.put(b"", True)  # trailers: dropped, as those of HTTP/1.1 are
            return
        fault = Unavailable("connections over the limit") if self._crowded else None
        call = stream.user = Call(self._loop, self._bound, self._link, stream, self._wire)
        call.begin(fields, self._origin, fault, end=end)
        if self._crowded:
            self.shutdown()

    def body(self, stream: Stream, piece: bytes, end: bool) -> None:
        stream.user.put(piece, end)

    def broken(self, stream: Stream, code: int) -> None:
        call, stream.user = stream.user, None
        if call is not None:
            call.lost()
        self._settle()

    def done(self, stream: Stream) -> None:
        call, stream.user = stream.user, None
        if call is not None:
            call.over()
        self._settle()

    def leaving(self, last: int, code: int) -> None:
        """The client opens no more streams; it will close the connection."""

    def settled(self) -> None:
        """Whoever has said hello may be idle for longer than who has not; saying it again buys no time."""

    # Inside

    def _send(self, data: bytes) -> None:
        if not self._over:
            self._wire.send(data)

    def _send_soon(self, data: bytes) -> None:
        if not self._over:
            self._wire.send_soon(data)

    def _calls(self) -> list[Call]:
        return [stream.user for stream in self._link.streams.values() if stream.user is not None]

    def _settle(self) -> None:
        """A stream is over: the connection may be idle now, or done."""
        self._idle_since = self._loop.time()
        if self._retiring and self._farewell is None and not self._link.streams and not self._over:
            self._loop.call_soon(self._finish)

    def _go_on(self) -> None:
        if not self._over and not self._wire.is_closing:
            self._wire.resume()
            self.data_received(b"")

    def _is_stuck(self, now: float, seconds: float) -> bool:
        """Whether one and the same head or frame has been arriving for so long."""
        link = self._link
        mark = (link.block or link.incoming.count) if link.is_partial else None
        if mark is None or mark != self._mark:
            self._mark, self._marked = mark, now
        return mark is not None and now - self._marked >= seconds

    def _last_word(self) -> None:
        """Streams that come from now on are not looked at."""
        self._retiring, self._farewell = True, None
        self._link.leave()
        if not self._link.streams:
            self._finish()

    def _fault(self, fault: ConnectionFault) -> None:
        self._link.leave(fault.code)
        self._ended_by(fault)

    def _ended_by(self, fault: ConnectionFault) -> None:
        """The client broke the protocol, or asked too much of it."""
        self._count("http2-flood" if fault.code is Code.ENHANCE_YOUR_CALM else "http2-fault")
        calls = self._calls()
        self._finish()
        for call in calls:
            call.lost()

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            self._wire.close_gently(self._loop.time())

    def _count(self, reason: str) -> None:
        self._bound.metrics.count("gateway.connections.cut", 1, listener=self._bound.listener.name, reason=reason)
