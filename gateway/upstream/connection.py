"""One HTTP/1.1 connection to an upstream: a request at a time, its answer read and judged by `reading`.

Whatever is ambiguous ends the connection, so that no byte of one answer can become part of another. A connection that ended lets
go of what refers to it: it is freed when the last who used it lets go, and never waits for the garbage collector.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from gateway.core.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.core.message import Response
from gateway.core.outbox import Outlet, outbox_of
from gateway.core.reason import Reason
from gateway.upstream.alarm import Alarm
from gateway.upstream.endpoint import CALM, KEPT, Endpoint
from gateway.upstream.head import HEAD_LIMIT
from gateway.upstream.owner import Owner, Pool
from gateway.upstream.quiet import Peek, peek_of
from gateway.upstream.reading import Reading
from gateway.upstream.stream import HIGH, BodyStream, Flow

if TYPE_CHECKING:
    from gateway.upstream.lane import Lane


class Connection:
    """A connection and the one exchange on it. Between exchanges `_owner` is None and any byte received is poison."""

    __slots__ = (
        "_alarm", "_flow", "_idle_timeout", "_loop", "_outlet", "_paused", "_peek", "_pool", "_quiet", "_reading", "_replies",
        "_response_timeout", "_stream", "_upload", "address", "endpoint", "lane", "served", "transport", "unsent",
    )  # fmt: skip

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop, lane: "Lane", endpoint: Endpoint, address: str) -> None:
        self._pool, self._loop, self._replies = pool, loop, lane.replies
        self.lane, self.endpoint, self.address = lane, endpoint, address
        self.served = self._quiet = 0
        self._peek: Peek | None = None
        self.transport: asyncio.Transport | None = None
        self._stream: BodyStream | None = None
        self._upload: asyncio.Task[None] | None = None
        self._flow = Flow()
        self.unsent = self._paused = False

    @property
    def seen(self) -> int:
        """Bytes of the present answer."""
        return self._reading.seen

    def is_calm(self) -> bool:
        """Whether it served so lately that the upstream cannot have closed it for idleness, and has not closed it either."""
        self._peek = self._peek or peek_of(cast("asyncio.Transport", self.transport))
        return self._alarm.left() > KEPT - CALM and not self._peek(0)

    def is_usable(self) -> bool:
        """Whether the next request may go out here."""
        return self.transport is not None and self._reading.owner is None and not self.transport.is_closing()

    def patience(self) -> float:
        """Seconds the upstream has for what comes next."""
        return self._response_timeout if self._reading.reply is None else self._idle_timeout

    def begin(self, head: bytes, response: float, idle: float, bodiless: bool = False) -> Owner:
        """Send a request's head (and body, where it is whole); the future brings the answer or its error.

        `response` and `idle` are seconds; `bodiless` says that the answer to this method has no body whatever its fields say.
        """
        reading = self._reading
        reading.seen, reading.reply, reading.complete, reading.bodiless = 0, None, False, bodiless
        owner = reading.owner = Owner(loop=self._loop)
        owner.wake, self._quiet = None, 0
        self._response_timeout, self._idle_timeout = response, idle
        if self.transport is None or self.transport.is_closing():
            self._outlet.waiting = head
            self.fail(UpstreamUnreachable("the connection was closed before the request went out"))
        else:
            self._alarm.within(response)
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
        if self._reading.owner is owner:
            stream = self._stream
            self._leave()
            if stream is not None:
                stream.abandon()  # nobody was told of it, and it refers to this
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
        self._reading.owner = None
        self.connection_lost(None)

    def forsake(self) -> None:
        """Whoever dialled it left when it was just made: uvloop closes it then, and tells nobody that it is lost."""
        if self.transport is not None:
            self.transport.set_protocol(asyncio.Protocol())
            self.connection_lost(None)

    def resume(self) -> None:
        """The reader has caught up."""
        if self._paused and self.transport is not None:
            self._paused = False
            self._alarm.within(self._idle_timeout)
            self.transport.resume_reading()

    def fail(self, error: Exception) -> None:
        """End exchange and connection with an error."""
        owner, stream = self._reading.owner, self._stream
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
        self._reading, self._alarm = Reading(), Alarm(self._loop, self._ring)

    def connection_lost(self, exc: Exception | None) -> None:
        reading, self.transport = self._reading, None
        self._alarm.cancel()
        reading.end()
        self._flow.wake()
        self._pool.gone(self)
        if reading.owner is not None:
            if reading.reply is not None and reading.until_close and exc is None:
                reading.keep = False
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
        reading = self._reading
        if reading.owner is None or self._outlet.waiting:
            # Bytes nobody asked for, or not yet, would be taken for the next request's answer (response queue poisoning).
            self._pool.poisoned()
            self.fail(UpstreamUnreachable("the upstream answered before it was asked"))
            return
        if not (reading.seen or reading.bodiless) and (reply := self._replies.again(data)) is not None:
            reading.seen, reading.keep, reading.reply = len(data), True, reply
            self._finish()
            return
        reading.feed(data)
        if reading.fault is not None:
            self.fail(UpstreamUnreachable(reading.fault, reason=Reason.UPSTREAM_PROTOCOL))
        elif reading.complete:
            whole = reading.keep and reading.seen == len(data) and not (reading.bodiless or reading.poisoned)
            if whole and reading.reply is not None:
                self._replies.note(data, reading.reply)
            self._finish()
        elif reading.reply is not None:
            self._continue(len(data), reading.reply)
        elif reading.seen > HEAD_LIMIT:
            self.fail(UpstreamUnreachable("the answer's head is too large", reason=Reason.UPSTREAM_PROTOCOL))

    # Inside

    def _continue(self, size: int, reply: Response) -> None:
        """The head is in, the body is not: hand over what there is."""
        reading, stream = self._reading, self._stream or self._opened(reply)
        owner = cast("Owner", reading.owner)
        if reading.pieces:
            pieces, reading.pieces = reading.pieces, []
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
        owner = cast("Owner", self._reading.owner)
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
        reading = self._reading
        owner, reading.owner = cast("Owner", reading.owner), None
        reply, reading.reply = reading.reply, None
        if self._stream is not None:
            stream, self._stream = self._stream, None
            stream.feed(reading.pieces)
            stream.end()
        elif reply is not None and not owner.done():
            reply.body = reply.body or b"".join(reading.pieces)
            owner.set_result(reply)
        reading.pieces.clear()
        if self.lane.doubted and reply is not None:
            self._pool.answered(self, reply.status)
        transport = self.transport
        unsent = transport is not None and transport.get_write_buffer_size() > 0
        if reading.keep and transport is not None and not (reading.poisoned or unsent):
            self.served += 1
            if reading.bodiless:
                reading.renew()
            if self._paused:
                self._paused = False
                transport.resume_reading()
            self._alarm.within(KEPT)
            self.endpoint.kept_until = self._alarm.deadline
            self._pool.release(self)
        else:
            self._pool.spent(self, poisoned=reading.poisoned)
            # What the upstream has not read by its answer it may never read: waiting for that would hold the place forever.
            (self.abort if unsent else self.close)()
        owner.told()

    def _leave(self) -> None:
        self._stop_upload()
        self._reading.owner = self._reading.reply = self._stream = None
        self.unsent, self._outlet.waiting = bool(self._outlet.waiting), b""

    def _stop_upload(self) -> None:
        """An answer before the end of the request: stop sending, and never use the connection again (RFC 9112 9.3)."""
        if self._upload is not None:
            upload, self._upload = self._upload, None
            upload.cancel()
            self._reading.keep = False

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
        if self._reading.owner is None:
            self.close()
        else:
            self.fail(UpstreamTimeout(f"the upstream took too long to {'answer' if self._reading.reply is None else 'go on'}"))
