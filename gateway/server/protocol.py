"""One client connection speaking HTTP/1.1. The one file that knows llhttp's manners.

Bytes are handed to llhttp a head or a body at a time, never past the end of a message: what follows waits until the answer
is out, so pipelining is bounded and nothing behind a broken, upgraded or closing request is ever read as another request.
"""

import asyncio
from typing import Final

import httptools

from gateway.core.errors import BadRequest, GatewayError, Unavailable
from gateway.core.message import Field, Inbound
from gateway.core.pace import NEVER
from gateway.server.answer import Answer
from gateway.server.arrival import FRAMING, Arrival, fault_of
from gateway.server.given import GivenAway
from gateway.server.head import BLANK_LINE, head_fault, too_large, too_slow
from gateway.server.listener import Bound
from gateway.server.origin import Origin
from gateway.server.repeat import BEGINNING, Repeat, Repeats
from gateway.server.run import Run
from gateway.server.wire import CONTINUE, Wire

# Where a connection is: reading a head, reading a body, waiting for the answer, or reading no more.
HEAD: Final = 0
BODY: Final = 1
ANSWER: Final = 2
OVER: Final = 3


class GatewayProtocol:
    """A client's connection: parser callbacks in, one request at a time to the app, one answer at a time out.

    Implements asyncio.Protocol (for the transport, which asks for no base class), listener.Connection (for the accept loop),
    body.Source and answer.Turn (for the request in flight).
    """

    __slots__ = ("_answer", "_arrival", "_behind", "_bound", "_crowded", "_deadline", "_limits", "_origin", "_peer", "_phase",
                 "_ready", "_repeats", "_retiring", "_waiting", "_wire", "headers", "loop", "parser", "run", "transport", "url",
                 )  # fmt: skip

    def __init__(self, bound: Bound, peer: str, crowded: bool) -> None:
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self._bound, self._peer, self._crowded = bound, peer, crowded
        self._limits = bound.listener.limits
        self._phase, self._deadline, self._waiting = HEAD, NEVER, b""
        self._behind = self._retiring = False  # whether bytes are held that come behind the request; whether it ends soon
        self.run: Run | None = None  # the request in flight
        self._ready: tuple[Inbound, bool] | None = None
        self._answer: Answer | None = None
        self._arrival = Arrival()
        self._repeats = Repeats()
        self.url = b""
        self.headers: list[Field] = []

    # What the accept loop asks (listener.Connection).

    def check(self, now: float) -> None:
        """Act on a deadline that has passed."""
        # A client's fields are not kept while it is away: they hold its credential.
        if self.run is None:
            self._repeats.forget()
        self._wire.check(now)
        if self._deadline <= now:
            self._expired(now)

    def shutdown(self) -> None:
        """End after the request that is in flight or has begun to arrive; at once when there is none."""
        self._retiring = True
        if self._phase == HEAD and not self._arrival.head:
            self._finish()
        elif self._answer is not None:
            self._answer.close = True

    def kill(self) -> None:
        """End now, and the request in flight with it."""
        if self.run is not None:
            self.run.cancel()
        self._wire.cut()

    # What the transport tells (asyncio.Protocol).

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._wire = Wire(transport, self._bound)
        self._bound.arrive(self)
        self._origin = Origin(self._bound.listener, self._peer, transport)
        self._deadline = self.loop.time() + self._limits.header_timeout
        if self._bound.draining:
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self._bound.leave(self)
        self._phase = OVER
        self._wire.free()
        if self.run is not None:
            self.run.cancel()
        # All of these refer to this, or to themselves: what ended must not need the garbage collector to be freed (memory.py).
        self._repeats.forget()
        self._answer, self._arrival = None, Arrival()
        self.parser = None  # type: ignore[assignment]  # through its callbacks

    def data_received(self, data: bytes) -> None:
        if self._waiting:
            data, self._waiting = self._waiting + data, b""
        elif self._phase == HEAD and not self._arrival.head:
            repeat = self._repeats.last.get(data[:BEGINNING])
            inbound = None if repeat is None else repeat.inbound(data, self._limits, self._origin)
            if inbound is not None:  # as the last one was, and nothing behind it: llhttp need not be asked
                self._phase = ANSWER
                self._begin(inbound, False)
                return
        while data:
            if self._phase == HEAD:
                data = self._read_head(data)
                if data and self._phase == HEAD:  # answered already: others have their turn before the next of a pipeline
                    self._waiting = data
                    self._wire.pause()
                    self.loop.call_soon(self._go_on)
                    return
            elif self._phase == BODY:
                data = self._read_body(data)
            elif self._phase == ANSWER:
                self._waiting = data
                self._wire.pause()
                return
            else:
                self._wire.discard(len(data), self.loop.time(), answering=self.run is not None)
                return
        self._start()

    def eof_received(self) -> None:
        self._wire.last(self.loop.time())  # the transport closes next, and what waits is an answer

    def pause_writing(self) -> None:
        self._wire.full(self.loop.time())

    def resume_writing(self) -> None:
        self._wire.free()

    # Heads and bodies, cut at message boundaries.

    def _read_head(self, data: bytes) -> bytes:
        """Feed one head as far as it is here; gives what lies behind it."""
        arrival = self._arrival
        fed = len(arrival.head)
        if not fed and data[0] in b"\r\n":
            # RFC 9112 2.2: empty lines before a request line are skipped.
            data = data.lstrip(b"\r\n")
            if not data:
                return b""
        head = arrival.head + data if fed else data
        end, rest = head.find(BLANK_LINE, max(0, fed - 3)), b""
        if end >= 0:
            data, rest = data[: end + 4 - fed], data[end + 4 - fed :]
            head = head[: end + 4]
        elif not fed:
            self._deadline = self.loop.time() + self._limits.header_timeout
        arrival.head = head
        fault = head_fault(head, self._limits)
        if fault is not None:
            self._fault(fault)
            return rest
        self._parse(data)
        if end >= 0 and self._phase == HEAD:
            self._fault(BadRequest("head", close=True))
        self._behind = bool(rest)
        if self._phase == ANSWER:
            self._start()
        return rest

    def _read_body(self, data: bytes) -> bytes:
        """Feed the body as far as it is here; gives what lies behind it."""
        arrival = self._arrival
        data, rest = arrival.cut(data)
        self._parse(data)
        if self._phase == BODY and (arrival.remaining == 0 or arrival.is_bloated(self._limits)):
            self._fault(BadRequest("framing of the body", close=True))
        self._behind = bool(rest)
        self._start()
        if self._phase == ANSWER and self.run is None:
            self._next()
        return rest

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._phase == BODY:
                self.parser = self._arrival.reframed(self.on_body, self.on_message_complete)
        except httptools.HttpParserError as error:
            self._fault(fault_of(error))

    def on_message_begin(self) -> None:
        if self._phase != HEAD:
            raise BadRequest("bytes behind a chunked body", close=True)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase != HEAD:
            return  # A trailer: dropped (RFC 9110 6.5.1); its bytes count as overhead of the body.
        name = name.lower()
        value = value.rstrip()
        if name in FRAMING:
            self._arrival.note(name, value)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        modern = self.parser.get_http_version() == "1.1"
        method = self.parser.get_method().decode("ascii")
        if len(self.headers) > self._limits.header_count:
            raise too_large("header count")
        arrival = self._arrival
        body = arrival.open(self, method, self._limits, modern=modern)
        # CONNECT and Upgrade: what follows the message belongs to no request of ours.
        upgrade = self.parser.should_upgrade()
        arrival.skipped = upgrade and arrival.body is not None
        self._phase = BODY
        fault = Unavailable("connections over the limit", close=True) if self._crowded else None
        close = upgrade or self._crowded or not modern or not self.parser.should_keep_alive()
        if not close and (arrival.sized or not arrival.framed):
            self._repeats.note(Repeat(arrival.head, method, self.headers, self._limits, arrival.sized))
        inbound = self._origin.inbound(method, self.url, "1.1" if modern else "1.0", self.headers, body=body, fault=fault)
        # The parser is not done with this call: the request begins when it is, see _start.
        self._ready = inbound, close

    def on_body(self, body: bytes) -> None:
        arrival, now = self._arrival, self.loop.time()
        arrival.put(body, now)
        self._deadline = arrival.discard(now) if self.run is None and self._ready is None else NEVER

    def on_message_complete(self) -> None:
        arrival = self._arrival
        if arrival.skipped:
            arrival.skipped = False
            return  # llhttp ends an Upgrade with its head; the body follows, see Arrival.reframed.
        self._phase, self._deadline = ANSWER, NEVER
        if arrival.body is not None:
            arrival.body.finish()
            self._wire.resume()

    def _start(self) -> bool:
        if self._ready is None:
            return False
        (inbound, close), self._ready = self._ready, None
        self._begin(inbound, close or self._phase == OVER)
        return True

    def _begin(self, inbound: Inbound, close: bool) -> None:
        self._deadline, self._arrival.head = NEVER, b""
        self._answer = answer = Answer(self._wire, self, inbound, close)
        app = self._bound.app
        self._bound.outbox.busy += 1
        self.run = run = Run(self.loop, app(inbound, answer), self._ended)
        run.step()

    def _ended(self) -> None:
        """The app is done with its request; the client may still be sending it."""
        self._bound.outbox.busy -= 1
        self.run = None
        if self.transport.is_closing():
            return
        if self._answer is None or not self._answer.complete:
            self._wire.cut()
        elif self._answer.close or self._phase == OVER:
            self._finish()
        elif self._phase == ANSWER:
            self._next()
        else:
            self._deadline = self._arrival.discard(self.loop.time())

    def _next(self) -> None:
        """The connection is free for another request, which may have been waiting."""
        if self._arrival.framed:
            self._arrival = Arrival()
        self._answer, self._behind = None, False
        self.url, self.headers = b"", []
        self._phase, self._limits = HEAD, self._bound.listener.limits
        self._deadline = self.loop.time() + self._limits.idle_timeout
        if self._retiring:
            self._finish()
        elif self._waiting:
            self._go_on()
        elif self._wire.is_paused:
            self._wire.resume()

    def _go_on(self) -> None:
        if self._phase == HEAD and not self._wire.is_closing:
            self._wire.resume()
            self.data_received(b"")

    def _fault(self, error: GatewayError) -> None:
        """Something is wrong with what the client sent: it is answered through the app, and nothing more is read."""
        phase, self._phase, self._deadline = self._phase, OVER, NEVER
        if self._ready is not None and error.status == 400:
            self._ready[0].fault = error  # it will not begin: what came with its head is no body
        began = self._start()
        if phase == HEAD:
            self._begin(self._origin.refused(self._arrival.head, self.headers, error), close=True)
        elif self.run is not None and self._answer is not None:
            self._answer.close = True
            self._arrival.fail(error)
        elif not began:
            self._phase = phase
            self._finish()

    def _finish(self) -> None:
        """No more requests."""
        clean = self._phase in (HEAD, ANSWER) and not (self._waiting or self._behind)
        self._phase, self._deadline, self._waiting = OVER, NEVER, b""
        (self._wire.close if clean else self._wire.close_gently)(self.loop.time())

    def _expired(self, now: float) -> None:
        self._deadline = NEVER
        body = self._arrival.body
        if self._phase == HEAD and self._arrival.head:
            self._fault(too_slow("the head"))
        elif self._phase == HEAD or self.run is None:
            self._finish()
        elif self._phase == BODY and body is not None and body.waited_for:
            self._fault(too_slow("the body"))

    # What the body asks of its source (body.Source), and the answer of the connection (answer.Turn).

    def want(self) -> None:
        """The app waits for a piece of the body."""
        body, answer = self._arrival.body, self._answer
        if body is None or self._phase != BODY:
            return
        if body.expects and answer is not None and not answer.started:
            body.expects = False
            self._wire.send(CONTINUE)
        self._deadline = self._arrival.deadline(self.loop.time())

    def hold(self) -> None:
        """The body's buffer is full."""
        self._wire.pause()

    def relieve(self) -> None:
        """The body's buffer is empty."""
        if not self._waiting and self._phase == BODY:
            self._wire.resume()

    def give_away(self) -> GivenAway | None:
        """Speak HTTP no more; None where bytes came before the answer that would allow it (RFC 6455 4.1)."""
        if self._waiting or self._behind or self._phase != ANSWER:
            return None
        given = GivenAway(self._bound, self.transport, self.run, retiring=self._retiring)
        self.run = None
        self.connection_lost(None)
        return given

    def reusable(self) -> bool:
        """A body that is still on its way is worth waiting for only when little of it is left."""
        ends = self._phase == OVER or self._retiring or (self._bound.leaving and not self._behind)
        return not ends and (self._phase != BODY or self._arrival.is_nearly_done())
