"""One request to an upstream and its answer, on one stream: both may be on their way at the same time."""

import asyncio
from typing import TYPE_CHECKING, Final

from gateway.core.errors import BadRequest, GatewayError, UpstreamTimeout, UpstreamUnreachable
from gateway.core.message import Body, Field, Outbound, Response
from gateway.core.reason import Reason
from gateway.core.shape import split
from gateway.http2.frames import Code, StreamFault
from gateway.http2.stream import Stream
from gateway.upstream.alarm import Alarm
from gateway.upstream.h2.heads import MalformedError, length_of, status_of, trailing
from gateway.upstream.head import BODILESS
from gateway.upstream.interim import interim
from gateway.upstream.owner import Owner
from gateway.upstream.stream import BodyStream

if TYPE_CHECKING:
    from gateway.upstream.h2.session import Session

WINDOW: Final = 64 * 1024
"""Bytes of one answer's body that may be on their way, or held here."""


class Conversation:
    """`owner` brings the answer or its error. `unprocessed` says that the upstream surely did nothing, `seen` and `served` are what
    `Judge` wants to know: what came of the answer, and how much else the connection has answered."""

    __slots__ = (
        "_alarm", "_body", "_idle", "_left", "_loop", "_reply", "_response", "_session", "_stream", "_unpaid", "_upload", "asked",
        "endpoint", "is_over", "owner", "seen", "served", "unprocessed",
    )  # fmt: skip

    def __init__(self, session: "Session", outbound: Outbound, response: float, idle: float) -> None:
        """`response` and `idle` are seconds."""
        self._loop = asyncio.get_running_loop()
        self._session = session
        self._stream: Stream | None = None
        self._alarm = Alarm(self._loop, self._ring)
        self._response, self._idle = response, idle
        self._reply: Response | None = None
        self._body: BodyStream | None = None
        self._upload: asyncio.Task[None] | None = None
        self._left: int | None = None
        self._unpaid = 0
        self.asked = outbound
        self.owner = Owner(loop=self._loop)
        self.owner.wake, self.owner.asked = None, outbound
        self.endpoint = session.endpoint
        self.served = session.served
        self.seen = 0
        self.unprocessed = self.is_over = False

    @property
    def id(self) -> int:
        """Its stream, 0 where it has none (any more)."""
        return 0 if self._stream is None else self._stream.id

    def patience(self) -> float:
        """Seconds the upstream has for what comes next."""
        return self._response if self._reply is None else self._idle

    def begin(self, fields: list[Field]) -> None:
        """Send the request's head, and its body as it comes."""
        body = self.asked.body
        whole = b"" if body.length == 0 else body.whole
        stream = self._stream = self._session.link.open(fields, end=whole == b"")
        stream.user = self
        if whole is None:
            self._alarm.never()
            self._upload = self._loop.create_task(self._send(stream, body))
            self._upload.add_done_callback(self._uploaded)
            return
        if whole:
            self._session.link.send(stream, whole)
            self._session.link.end(stream)
        self._alarm.within(self._response)

    # What the session tells

    def head(self, stream: Stream, fields: list[Field], end: bool) -> None:
        """Raises StreamFault for what is none."""
        self.seen += 1
        try:
            self._head(fields, end)
        except MalformedError as error:
            self.fail(UpstreamUnreachable(str(error), reason=Reason.UPSTREAM_PROTOCOL))
            raise StreamFault(stream.id, Code.PROTOCOL_ERROR, str(error)) from None

    def body(self, stream: Stream, piece: bytes, end: bool) -> None:
        """A piece of the answer's body. Raises StreamFault where there may be none."""
        body = self._body
        self._unpaid += len(piece)
        if self._left is not None:
            self._left -= len(piece)
        if body is None or (self._left is not None and (self._left < 0 or (end and self._left))):
            problem = "the answer's body is not as announced"
            self.fail(UpstreamUnreachable(problem, reason=Reason.UPSTREAM_PROTOCOL))
            raise StreamFault(stream.id, Code.PROTOCOL_ERROR, problem)
        if piece:
            body.feed([piece])
        if end:
            self._finish()
        elif self._unpaid >= WINDOW // 2:
            self._alarm.never()  # it is the client who is waited for
        else:
            self._alarm.within(self._idle)

    def broken(self, code: int) -> None:
        """The upstream reset the stream."""
        self.unprocessed = self.unprocessed or (code == Code.REFUSED_STREAM and not self.seen)
        self.fail(UpstreamUnreachable(f"the upstream broke the stream off ({code})"))

    # What others ask (stream.Source, and whoever waits)

    def resume(self) -> None:
        """The reader has caught up."""
        unpaid, self._unpaid = self._unpaid, 0
        if self._stream is not None and not self.is_over:
            self._session.link.taken(self._stream, unpaid)
            self._alarm.within(self._idle)

    def disown(self, owner: Owner) -> None:
        """Nobody waits any more."""
        if not self.is_over:
            self._leave(Code.CANCEL)

    def fail(self, error: Exception) -> None:
        """End it with an error."""
        if self.is_over:
            return
        body, owner = self._body, self.owner
        self._leave(Code.CANCEL)
        if self.unprocessed:
            self.served = 1  # nobody's fault
        self._session.failed(self, error)
        if body is not None:
            body.fail(error)
        elif not owner.done():
            owner.set_exception(error)
        owner.told()

    # Inside

    def _head(self, fields: list[Field], end: bool) -> None:
        if self._reply is not None:
            self._trailers(self._reply, fields, end)
            return
        status = status_of(fields)
        shape, values = split(fields)
        if interim(self.owner, status, shape.names, values):
            if end:
                raise MalformedError("the answer ends before it begins")
            return
        length = length_of(fields)
        bodiless = self.asked.head or status in BODILESS
        self._left = 0 if bodiless else length
        if end and self._left:
            raise MalformedError("the answer's body is not as announced")
        reply = self._reply = Response.passed(status, shape, values)
        if not end:
            self._body = reply.stream = BodyStream(self, self.owner)
            reply.abandon = self._body.abandon
            self._alarm.within(self._idle)
        if not self.owner.done():
            self.owner.set_result(reply)
        owner = self.owner
        if end:
            self._finish()
        owner.told()

    def _trailers(self, reply: Response, fields: list[Field], end: bool) -> None:
        if not end or self._left:
            raise MalformedError("the answer's body is not as announced" if end else "two heads of one answer")
        reply.trailers = trailing(fields, self.asked)
        self._finish()

    def _finish(self) -> None:
        """The answer is complete. A request that is still being sent has had its answer."""
        body = self._body
        if body is not None:
            body.end()
        if self._reply is not None:
            self._session.answered(self, self._reply.status)
        self._leave(Code.NO_ERROR)

    def _leave(self, code: Code) -> None:
        self.is_over = True
        self._alarm.cancel()
        if self._upload is not None:
            upload, self._upload = self._upload, None
            upload.cancel()
        stream, self._stream, self._body = self._stream, None, None
        if stream is not None:
            stream.user = None
            self._session.link.repay(self._unpaid)
            if not (stream.heard and stream.said):
                self._session.link.reset(stream, code)
        self._session.left()

    async def _send(self, stream: Stream, body: Body) -> None:
        """The request's body, no faster than the upstream takes it. Raises BadRequest when it is not as long as announced."""
        link, left = self._session.link, body.length
        async for piece in body:
            if left is not None:
                left -= len(piece)
                if left < 0:
                    break
            link.send(stream, piece)
            self._waits(True)
            await stream.drained()
            self._waits(False)
        if left:
            raise BadRequest("the body is not as long as announced", close=True)
        link.end(stream)

    def _waits(self, waits: bool) -> None:
        """Whether the upstream has to take what was sent; once it answers, anything that moves shows that both are alive."""
        if self._reply is not None:
            self._alarm.within(self._idle)
        elif waits:
            self._alarm.within(self._response)
        else:
            self._alarm.never()

    def _uploaded(self, upload: "asyncio.Task[None]") -> None:
        error = None if upload.cancelled() else upload.exception()
        if self._upload is not upload:
            return
        self._upload = None
        if isinstance(error, GatewayError):
            self.fail(error)
        elif error is not None or upload.cancelled():
            self.fail(UpstreamUnreachable("the request was given up while its body went out"))
        else:
            self._alarm.within(self.patience())

    def _ring(self) -> None:
        self._session.doubt(self.patience())
        self.fail(UpstreamTimeout(f"the upstream took too long to {'answer' if self._reply is None else 'go on'}"))
