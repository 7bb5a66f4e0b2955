"""One HTTP/1.1 connection to an upstream: a request at a time, its answer parsed by httptools (only here).

What an upstream may send is bounded and judged before anybody sees it (RFC 9112); whatever is ambiguous ends the connection,
so that no byte of one answer can become part of another.
"""

import asyncio
from typing import TYPE_CHECKING, cast

import httptools

from gateway.core.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.core.message import Response
from gateway.core.outbox import Outlet, outbox_of
from gateway.core.reason import Reason
from gateway.core.shape import shape_as_sent
from gateway.upstream.alarm import Alarm
from gateway.upstream.endpoint import CALM, KEPT, Endpoint
from gateway.upstream.head import BODILESS, HEAD_LIMIT, VERSIONS, binds_identity, fault_of, framing_of
from gateway.upstream.interim import interim
from gateway.upstream.owner import Owner, Pool
from gateway.upstream.quiet import Peek, peek_of
from gateway.upstream.stream import HIGH, BodyStream, Flow

if TYPE_CHECKING:
    from gateway.upstream.lane import Lane


class Connection:
    """A connection and the one exchange on it. Between exchanges `_owner` is None and any byte received is poison."""

    __slots__ = (
        "_alarm", "_bodiless", "_complete", "_fault", "_flow", "_idle_timeout", "_keep", "_loop", "_names", "_outlet", "_owner",
        "_parser", "_paused", "_peek", "_pieces", "_poisoned", "_pool", "_quiet", "_replies", "_reply", "_response_timeout",
        "_stream", "_until_close", "_upload", "_values", "address", "endpoint", "lane", "seen", "served", "transport", "unsent",
    )  # fmt: skip

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop, lane: "Lane", endpoint: Endpoint, address: str) -> None:
        self._pool, self._loop, self._replies = pool, loop, lane.replies
        self.lane, self.endpoint, self.address = lane, endpoint, address
        self.served = self.seen = self._quiet = 0
        self._peek: Peek | None = None
        self.transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._owner: Owner | None = None
        self._stream: BodyStream | None = None
        self._upload: asyncio.Task[None] | None = None
        self._alarm, self._flow = Alarm(loop, self._ring), Flow()
        # Of the answer that is arriving. What ends the connection (poison, a fault) needs no clearing for the next one.
        self._reply: Response | None = None
        self._names, self._values, self._pieces = list[bytes](), list[bytes](), list[bytes]()
        self.unsent = self._paused = self._complete = self._keep = self._until_close = self._poisoned = False
        self._fault: str | None = None

    def is_calm(self) -> bool:
        """Whether it served so lately that the upstream cannot have closed it for idleness, and has not closed it either."""
        self._peek = self._peek or peek_of(cast("asyncio.Transport", self.transport))
        return self._alarm.left() > KEPT - CALM and not self._peek(0)

    def is_usable(self) -> bool:
        """Whether the next request may go out here."""
        return self.transport is not None and self._owner is None and not self.transport.is_closing()

    def patience(self) -> float:
        """Seconds the upstream has for what comes next."""
        return self._response_timeout if self._reply is None else self._idle_timeout

    def begin(self, head: bytes, response: float, idle: float, bodiless: bool = False) -> Owner:
        """Send a request's head (and body, where it is whole); the future brings the answer or its error.

        `response` and `idle` are seconds; `bodiless` says that the answer to this method has no body whatever its fields say.
        """
        self.seen, self._quiet, self._reply, self._complete = 0, 0, None, False
        owner = self._owner = Owner(loop=self._loop)
        owner.wake, self._bodiless = None, bodiless
        self._response_timeout, self._idle_timeout = response, idle
        self._alarm.within(response)
        if self.transport is None or self.transport.is_closing():
            self._outlet.waiting = head
            self.fail(UpstreamUnreachable("the connection was closed before the request went out"))
        else:
            self._outlet.send_soon(head)
        return owner

    def carry(self, upload: "asyncio.Task[None]") -> None:
        """The rest of the request comes from this task; the upstream's time to answer starts when it is through."""
        self._upload = upload
        self._alarm.never()
        upload.add_done_callback(self._uploaded)

    async def write(self, data: bytes) -> None:
        """Send more of the request's body; waits while the upstream reads slowly, as long as it may take to answer."""
        if self.transport is None or self.transport.is_closing():
            raise UpstreamUnreachable("the connection was closed while the request's body went out")
        self._outlet.send(data)
        if self._flow.full:
            self._alarm.within(self._response_timeout)
            await self._flow.resumed(self._loop)
            self._alarm.never()

    def disown(self, owner: Owner) -> None:
        """The exchange of `owner` is given up. Another one that runs here by now is not touched."""
        if self._owner is owner:
            self._leave()
            self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """End the connection when what was written is out."""
        if self.transport is not None:
            self.transport.close()

    def detach(self) -> None:
        """Leave the pool: the transport is somebody else's from now on."""
        self._owner = None
        self.connection_lost(None)

    def resume(self) -> None:
        """The reader has caught up."""
        if self._paused and self.transport is not None:
            self._paused = False
            self._alarm.within(self._idle_timeout)
            self.transport.resume_reading()

    def fail(self, error: Exception) -> None:
        """End exchange and connection with an error."""
        owner, stream = self._owner, self._stream
        self._leave()
        if owner is not None:
            self._pool.failed(self, error)
        if stream is not None:
            stream.fail(error)
        elif owner is not None and not owner.done():
            owner.set_exception(error)
        self.abort()
        if owner is not None:
            owner.told()

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH)
        self._outlet = Outlet(self.transport, outbox_of(self._loop))

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._alarm.cancel()
        self._flow.wake()
        self._pool.gone(self)
        if self._owner is not None:
            if self._reply is not None and self._until_close and exc is None:
                self._keep = False
                self._finish()
            else:
                self.fail(UpstreamUnreachable("the upstream closed the connection before its answer was complete"))

    def eof_received(self) -> None:
        """The upstream sends no more: the transport closes next. Some event loops ask for this method."""

    def pause_writing(self) -> None:
        self._flow.full = True

    def resume_writing(self) -> None:
        self._flow.wake()

    def data_received(self, data: bytes) -> None:
        if self._owner is None or self._outlet.waiting:
            # Bytes nobody asked for, or not yet, would be taken for the next request's answer (response queue poisoning).
            self._pool.poisoned()
            self.fail(UpstreamUnreachable("the upstream answered before it was asked"))
            return
        if not (self.seen or self._bodiless) and (reply := self._replies.again(data)) is not None:
            self.seen, self._keep, self._reply = len(data), True, reply
            self._finish()
            return
        self.seen += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self._complete:
                self._poisoned = True
            else:
                self._fault = f"the answer is not HTTP/1.1: {error}"
        if self._fault is not None:
            self.fail(UpstreamUnreachable(self._fault, reason=Reason.UPSTREAM_PROTOCOL))
        elif self._complete:
            if self._keep and self.seen == len(data) and self._reply is not None and not (self._bodiless or self._poisoned):
                self._replies.note(data, self._reply)
            self._finish()
        elif self._reply is not None:
            self._continue(len(data), self._reply)
        elif self.seen > HEAD_LIMIT:
            self.fail(UpstreamUnreachable("the answer's head is too large", reason=Reason.UPSTREAM_PROTOCOL))

    def on_message_begin(self) -> None:
        if self._complete:
            self._poisoned = True
        self._names, self._values = [], []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._names.append(name)
        self._values.append(value)

    def on_headers_complete(self) -> None:
        # What arrives after the head is a trailer, and dropped: nobody behind us could tell it from a header.
        names, values, self._names, self._values = tuple(self._names), tuple(self._values), [], []
        status = self._parser.get_status_code()
        if self._complete or (status < 200 and interim(self._owner, status, names, values)):
            return
        shape = shape_as_sent(names)
        framing = framing_of(shape)
        self._reply = Response.passed(status, shape, values)
        keep = self._parser.should_keep_alive()
        version = "1.1" if keep and not framing.persistence else self._parser.get_http_version()
        if not framing.plain or status > 599 or status < 200 or self.seen > HEAD_LIMIT or version not in VERSIONS:
            self._fault = fault_of(status, shape, values, version=version, seen=self.seen)
        bodiless = self._bodiless or status in BODILESS
        self._until_close = not (bodiless or framing.coded or framing.sized)
        self._keep = keep and not (framing.coded and bodiless) and not (framing.challenged and binds_identity(shape, values))
        # llhttp cannot be told that the answer to HEAD ends with its head; it gets a successor in `_finish`.
        self._complete = self._bodiless

    def on_body(self, body: bytes) -> None:
        if self._complete:
            self._poisoned = True
        else:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        self._complete = self._reply is not None

    def _continue(self, size: int, reply: Response) -> None:
        """The head is in, the body is not: hand over what there is."""
        owner, stream = cast("Owner", self._owner), self._stream or self._opened(reply)
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            stream.feed(pieces)
            self._quiet = 0
        else:
            self._quiet += size
        if self._quiet > HEAD_LIMIT:
            self.fail(UpstreamUnreachable("the answer's trailers are too large", reason=Reason.UPSTREAM_PROTOCOL))
        elif stream.size > HIGH and self.transport is not None:
            self._paused = True
            self._alarm.never()
            self.transport.pause_reading()
        else:
            self._alarm.within(self._idle_timeout)
        owner.told()

    def _opened(self, reply: Response) -> BodyStream:
        owner = cast("Owner", self._owner)
        stream = self._stream = reply.stream = BodyStream(self, owner)
        reply.abandon = stream.abandon
        self._stop_upload()
        if not owner.done():
            owner.set_result(reply)
        return stream

    def _finish(self) -> None:
        """The answer is complete: hand over the rest, and the connection back."""
        if self._upload is not None:
            self._stop_upload()
        owner, self._owner = cast("Owner", self._owner), None
        reply, self._reply = self._reply, None
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.feed(self._pieces)
            stream.end()
        elif reply is not None and not owner.done():
            reply.body = reply.body or b"".join(self._pieces)
            owner.set_result(reply)
        self._pieces.clear()
        if self.lane.doubted and reply is not None:
            self._pool.answered(self, reply.status)
        transport = self.transport
        unsent = transport is not None and transport.get_write_buffer_size() > 0
        if self._keep and transport is not None and not (self._poisoned or unsent):
            self.served += 1
            if self._bodiless:
                self._parser = httptools.HttpResponseParser(self)
            if self._paused:
                self._paused = False
                transport.resume_reading()
            self._alarm.within(KEPT)
            self.endpoint.kept_until = self._alarm.deadline
            self._pool.release(self)
        else:
            self._pool.spent(self, poisoned=self._poisoned)
            # What the upstream has not read by its answer it may never read: waiting for that would hold the place forever.
            (self.abort if unsent else self.close)()
        owner.told()

    def _leave(self) -> None:
        self._stop_upload()
        self._owner = self._stream = None
        self.unsent, self._outlet.waiting = bool(self._outlet.waiting), b""

    def _stop_upload(self) -> None:
        """An answer before the end of the request: stop sending, and never use the connection again (RFC 9112 9.3)."""
        if self._upload is not None:
            upload, self._upload = self._upload, None
            upload.cancel()
            self._keep = False

    def _uploaded(self, upload: "asyncio.Task[None]") -> None:
        error = None if upload.cancelled() else upload.exception()
        if self._upload is not upload:
            return
        self._upload = None
        if upload.cancelled():
            self.fail(UpstreamUnreachable("the request was given up while its body went out"))
        elif isinstance(error, Exception):
            self.fail(error)
        else:
            self._alarm.within(self._response_timeout)

    def _ring(self) -> None:
        if self._owner is None:
            self.close()
        else:
            self.fail(UpstreamTimeout(f"the upstream took too long to {'answer' if self._reply is None else 'go on'}"))
