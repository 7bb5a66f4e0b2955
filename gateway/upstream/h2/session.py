"""One HTTP/2 connection to an upstream, and the exchanges on it."""

import asyncio
from typing import Final, Protocol, cast

from gateway.core.errors import InternalError, UpstreamUnreachable
from gateway.core.message import Field, Outbound
from gateway.core.reason import Reason
from gateway.http2.frames import LARGEST, Code, ConnectionFault, StreamFault
from gateway.http2.link import Bounds, Link
from gateway.http2.stream import Stream
from gateway.upstream.alarm import Alarm
from gateway.upstream.endpoint import KEPT, Endpoint
from gateway.upstream.h2.conversation import WINDOW, Conversation
from gateway.upstream.h2.heads import asking
from gateway.upstream.head import HEAD_LIMIT
from gateway.upstream.lane import Lane
from gateway.upstream.stream import HIGH

H2: Final = "h2"


class NotAgreedError(OSError):
    """The other end does not speak HTTP/2."""

    def __str__(self) -> str:
        return "the upstream does not speak HTTP/2: leave `http2` out, or have it agree to h2"


class Talk(Protocol):
    """Whom a stream is about. `unprocessed` says that the upstream surely did nothing."""

    unprocessed: bool

    @property
    def id(self) -> int: ...
    def head(self, stream: Stream, fields: list[Field], end: bool) -> None: ...
    def body(self, stream: Stream, piece: bytes, end: bool) -> None: ...
    def broken(self, code: int) -> None: ...
    def fail(self, error: Exception) -> None: ...


class Sessions(Protocol):
    """Who is told by a session."""

    def freed(self, session: "Session") -> None:
        """An exchange is over, there may be room for others."""
        ...

    def gone(self, session: "Session") -> None: ...
    def answered(self, conversation: Conversation, status: int) -> None: ...
    def failed(self, conversation: Conversation, error: Exception) -> None: ...


class Session:
    """Implements asyncio.Protocol (for the transport) and http2.link.Owner. `load` counts exchanges, begun or promised a place.

    `retired` says that it takes no more; `served` counts the answers it has brought. `greeted` is done when the upstream has said
    hello in HTTP/2, with which it says how many exchanges it takes; else it has an OSError.
    """

    __slots__ = (
        "_alarm", "_heard", "_loop", "_most", "_sessions", "_transport", "address", "endpoint", "greeted", "lane", "link",
        "load", "retired", "served",
    )  # fmt: skip

    def __init__(self, sessions: Sessions, lane: Lane, endpoint: Endpoint, address: str, most: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._sessions = sessions
        self._most = most
        self._transport: asyncio.Transport | None = None
        self._alarm = Alarm(self._loop, self.leave)
        self._heard = self._loop.time()
        self.lane, self.endpoint, self.address = lane, endpoint, address
        self.greeted: asyncio.Future[None] = self._loop.create_future()
        self.load = self.served = 0
        self.retired = False
        bounds = Bounds(0, WINDOW, min(most * WINDOW, LARGEST), HEAD_LIMIT)
        self.link = Link(self, bounds, client=True, write=self._write, write_last=self._write, time=self._loop.time)

    @property
    def room(self) -> int:
        """How many more exchanges are to go here: none where its address is passed over."""
        return 0 if self.endpoint.resting else self.capacity

    @property
    def capacity(self) -> int:
        """How many more exchanges it could take."""
        if self._transport is None or self._transport.is_closing() or self.retired:
            return 0
        return min(self._most, self.link.peer_streams, self.link.unopened) - self.load

    @property
    def agreed(self) -> bool:
        """Whether the other end speaks HTTP/2, as far as it was asked (RFC 9113 3.3)."""
        session = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        return session is None or session.selected_alpn_protocol() == H2

    def promise(self) -> None:
        """Keep a place for somebody, who is to `begin` or to give it `back`."""
        self.load += 1
        self.lane.open += 1
        self.endpoint.open += 1
        self._alarm.never()

    def begin(self, outbound: Outbound, response: float, idle: float, authority: bytes | None) -> Conversation:
        """Send a request. Raises InternalError for one that must not leave; its place is free again then."""
        scheme = self.lane.target.scheme.encode("ascii")
        try:
            fields = asking(outbound, scheme, authority)
        except InternalError:
            self.left()
            raise
        conversation = Conversation(self, outbound, response, idle)
        if self._transport is None or self._transport.is_closing():
            conversation.unprocessed = True
            conversation.fail(UpstreamUnreachable("the connection was closed before the request went out"))
        else:
            conversation.begin(fields)
        return conversation

    def left(self) -> None:
        """An exchange is over."""
        self.load -= 1
        self.lane.open -= 1
        self.endpoint.open -= 1
        if not self.load:
            self._alarm.within(KEPT)
            if self.retired or self.endpoint.resting or not self.link.unopened:
                self._loop.call_soon(self.leave)
        self._sessions.freed(self)

    def leave(self) -> None:
        """Take no more, and end when nothing is under way."""
        self.retired = True
        if not self.load and self._transport is not None and not self._transport.is_closing():
            self.link.leave()
            self._transport.close()

    def abort(self) -> None:
        """End at once."""
        if self._transport is not None:
            self._transport.abort()

    # For the conversations

    def answered(self, conversation: Conversation, status: int) -> None:
        self.served += 1
        self.endpoint.kept_until = self._loop.time() + KEPT
        self._sessions.answered(conversation, status)

    def failed(self, conversation: Conversation, error: Exception) -> None:
        self._sessions.failed(conversation, error)

    def doubt(self, seconds: float) -> None:
        """Somebody waited so long in vain: where nothing at all came meanwhile, nobody else shall wait here."""
        if self._loop.time() - self._heard >= seconds:
            self.retired = True

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH)
        self.link.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._alarm.cancel()
        if not self.greeted.done():
            self.greeted.set_exception(NotAgreedError())
        self._end(UpstreamUnreachable("the upstream closed the connection before its answer was complete"))
        self.link.let_go()
        self._sessions.gone(self)

    def eof_received(self) -> None:
        """The transport closes next."""

    def pause_writing(self) -> None:
        self.link.outgoing.full = True

    def resume_writing(self) -> None:
        self.link.resume()

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if self._transport is None or self._transport.is_closing():
            return
        try:
            self.link.receive(data)
        except ConnectionFault as fault:
            self._end(UpstreamUnreachable(f"the answer is not HTTP/2: {fault.problem}", reason=Reason.UPSTREAM_PROTOCOL))
            self.abort()

    # What the link tells (http2.link.Owner)

    def head(self, stream: Stream, fields: list[Field], end: bool) -> None:
        if (conversation := self._talk(stream)) is None:
            raise StreamFault(stream.id, Code.CANCEL, "an answer nobody waits for")
        conversation.head(stream, fields, end)

    def body(self, stream: Stream, piece: bytes, end: bool) -> None:
        if (conversation := self._talk(stream)) is None:
            self.link.repay(len(piece))
        else:
            conversation.body(stream, piece, end)

    def broken(self, stream: Stream, code: int) -> None:
        if (conversation := self._talk(stream)) is not None:
            conversation.broken(code)

    def done(self, stream: Stream) -> None:
        """Whoever it was for has been told with its last piece."""

    def settled(self) -> None:
        if not self.greeted.done():
            self.greeted.set_result(None)
        self._sessions.freed(self)

    def leaving(self, last: int, code: int) -> None:
        """The upstream takes no streams above `last`, and did nothing about those (RFC 9113 6.8)."""
        self.retired = True
        for conversation in self._talks():
            if conversation.id > last:
                conversation.unprocessed = True
                conversation.fail(UpstreamUnreachable(f"the upstream goes away ({code})"))
        if not self.load:
            self._loop.call_soon(self.leave)

    # Inside

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _talk(self, stream: Stream) -> Talk | None:
        return cast("Talk | None", stream.user)

    def _talks(self) -> list[Talk]:
        return [stream.user for stream in self.link.streams.values() if stream.user is not None]

    def _end(self, error: UpstreamUnreachable) -> None:
        """Every exchange breaks."""
        self.retired = True
        for conversation in self._talks():
            conversation.fail(error)
