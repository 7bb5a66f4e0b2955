"""One stream as a request in flight: its body on the way in, its answer on the way out, and how slow either may be."""

import asyncio

from gateway.core.errors import BadRequest, GatewayError
from gateway.core.message import NO_BODY, Body, Field
from gateway.core.pace import Pace
from gateway.edge.model import ListenerLimits
from gateway.http2.frames import Code, StreamFault
from gateway.http2.link import Link
from gateway.http2.stream import Stream
from gateway.server.body import StreamBody
from gateway.server.h2.answer import Dated, StreamAnswer
from gateway.server.h2.asked import asked, known
from gateway.server.head import too_slow
from gateway.server.listener import Bound
from gateway.server.origin import Origin
from gateway.server.run import Run


class Call:
    """Implements body.Source. `run` is the request, while it is in flight."""

    __slots__ = (
        "_answer", "_body", "_bound", "_dated", "_length", "_limits", "_link", "_loop", "_pace", "_received", "_seen", "_slow",
        "_stream", "_unpaid", "run",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, bound: Bound, link: Link, stream: Stream, dated: Dated) -> None:
        self._loop = loop
        self._bound = bound
        self._link = link
        self._stream = stream
        self._dated = dated
        self._limits: ListenerLimits = bound.listener.limits
        self._pace = Pace(self._limits.min_upload, self._limits.rate_grace, self._limits.body_idle)
        self._body: StreamBody | None = None
        self._length: int | None = None
        self._received = self._unpaid = self._seen = 0
        self._slow: Pace | None = None
        self._answer: StreamAnswer | None = None
        self.run: Run | None = None

    def begin(self, fields: list[Field], origin: Origin, fault: GatewayError | None, *, end: bool) -> None:
        """The request's head is here; `fault` is what it is refused for whatever it says."""
        try:
            request = asked(fields, self._limits, end=end)
        except BadRequest as error:
            inbound = origin.inbound(*known(fields), "2", [], NO_BODY, fault or error)
        else:
            body: Body = NO_BODY
            self._length = request.length
            if not end:
                self._body = body = StreamBody(self, request.length, self._limits.body, expects=request.expects)
            inbound = origin.inbound(request.method, request.target, "2", request.headers, body, fault)
        self._answer = StreamAnswer(self._link, self._stream, inbound, self._dated)
        self._bound.outbox.busy += 1
        self.run = run = Run(self._loop, self._bound.app(inbound, self._answer), self._ended)
        run.step()

    def put(self, piece: bytes, end: bool) -> None:
        """A piece of the body. Raises StreamFault where it is not as long as announced (RFC 9113 8.1.1)."""
        size = len(piece)
        self._unpaid += size
        self._received += size
        length = self._length
        if length is not None and (self._received > length or (end and self._received < length)):
            raise StreamFault(self._stream.id, Code.PROTOCOL_ERROR, "the body is not as long as announced")
        body = self._body
        if body is None or self.run is None:
            self._pay()
            return
        self._pace.gave(size, self._loop.time())
        try:
            if piece:
                body.put(piece)
            if end:
                body.finish()
        except GatewayError as error:
            body.fail(error)

    def lost(self) -> None:
        """The client broke it off: whoever waits for its body, or for room, is cancelled with the request."""
        self.over()
        if self.run is not None:
            self.run.cancel()

    def over(self) -> None:
        """The stream is no more: what nobody took of it is paid back to the connection."""
        unpaid, self._unpaid = self._unpaid, 0
        self._link.repay(unpaid)

    def check(self, now: float) -> bool:
        """Act on a client that is too slow; whether it was cut off for that."""
        body, answer, stream = self._body, self._answer, self._stream
        # Once the answer has begun both may talk when they like: whoever is silent then is the upstream's to wait for.
        if body is not None and body.waited_for and answer is not None and not answer.started and self._pace.wait(now) <= now:
            body.fail(too_slow("the body"))
        if self.run is None and stream.said:
            self._unread()
        if not stream.waiting or stream.closed or self._link.outgoing.full:
            self._slow = None  # where the connection itself takes no more, that is what is watched: see Wire
            return False
        return self._is_slow(now)

    # What the body asks of its source (body.Source)

    def want(self) -> None:
        """The app waits for a piece of the body."""
        body, answer = self._body, self._answer
        if body is not None and body.expects and answer is not None:
            body.expects = False
            answer.go_on()
        self._pace.wait(self._loop.time())

    def hold(self) -> None:
        """The body's buffer is full: the window sees to it that little more comes."""

    def relieve(self) -> None:
        """The body's buffer is empty."""
        self._pay()

    # Inside

    def _pay(self) -> None:
        if self._unpaid and not self._stream.closed:
            unpaid, self._unpaid = self._unpaid, 0
            self._link.taken(self._stream, unpaid)

    def _ended(self) -> None:
        """The app is done with the request; the client may still be sending it, or reading the answer."""
        self._bound.outbox.busy -= 1
        self.run = None
        if self._answer is None or not self._answer.complete:
            self._link.reset(self._stream, Code.INTERNAL_ERROR)
        elif self._stream.said:
            self._unread()
        self._body = self._answer = None  # which refer to this
        self.over()

    def _unread(self) -> None:
        """RFC 9113 8.1: after a complete answer the rest of a request may be refused without harm."""
        if not self._stream.heard:
            self._link.reset(self._stream, Code.NO_ERROR)

    def _is_slow(self, now: float) -> bool:
        """The client takes what waits for it too slowly, or not at all: it gives no window, or tiny ones."""
        if self._slow is None:
            self._slow = self._bound.patience()
        elif self._stream.sent > self._seen:
            self._slow.gave(self._stream.sent - self._seen, now)
        self._seen = self._stream.sent
        if self._slow.wait(now) > now:
            return False
        self._link.reset(self._stream, Code.CANCEL)
        self.lost()
        return True
