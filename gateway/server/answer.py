"""One answer on its way out: the head rendered, the body framed, written as fast as the client reads (RFC 9112 6, 7)."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol

from gateway.core.message import MOST_NOTED, Inbound, Response, is_lines
from gateway.core.ports import Given
from gateway.core.shape import Selection, Shape, Values, conclude
from gateway.server.given import switching_head

PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINE: Final = {status: f"HTTP/1.1 {status} {PHRASES.get(status, '')}\r\n".encode("ascii") for status in range(200, 600)}
# RFC 9110 7.6.1: ours to decide, whatever the upstream said about its own connection.
OURS: Final = frozenset((b"connection", b"content-length", b"keep-alive", b"proxy-connection", b"transfer-encoding"))
BODILESS: Final = frozenset((204, 304))
CRLF: Final = b"\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"


class Turn(Protocol):
    """Whose answer it is: the connection, which knows whether there may be another."""

    def give_away(self) -> Given | None:
        """The connection, to be used for something else; None where it cannot be."""
        ...

    def reusable(self) -> bool:
        """Whether another request may follow on this connection."""
        ...


class Sender(Protocol):
    """Where an answer goes to."""

    is_full: bool
    """Whether to wait for `drained` before writing more."""

    @property
    def date(self) -> bytes:
        """The Date field, rendered, at most a second or two old."""
        ...

    @property
    def send(self) -> Callable[[bytes], None]:
        """Writes at once, silently nothing when the client is gone."""
        ...

    @property
    def send_soon(self) -> Callable[[bytes], None]:
        """Writes with what others have to write at this turn of the event loop."""
        ...

    async def drained(self) -> None: ...
    def cut(self) -> None: ...


class Answer:
    """One request's answer; implements core.ports.Writer.

    `close` tells that the connection ends after it, `complete` that the last byte was handed to the connection.
    """

    __slots__ = ("_bare", "_chunked", "_head_only", "_left", "_modern", "_sender", "_turn", "close", "complete", "started")

    def __init__(self, sender: Sender, turn: Turn, inbound: Inbound, close: bool) -> None:
        self._sender = sender
        self._turn = turn
        self._head_only = self._bare = inbound.method == "HEAD"
        self._modern = inbound.version == "1.1"
        self._chunked = False
        self._left: int | None = None
        self.close = close
        self.started = False
        self.complete = False

    async def start(self, response: Response, body: bytes, more: bool) -> None:
        """Head and first piece in one write. Raises ValueError, with nothing written, for a head that must not be sent."""
        self._begin(response, body, None if more else len(body))
        if self._sender.is_full:
            await self._sender.drained()

    def whole(self, response: Response) -> bool:
        """The whole answer in one write; whether there is room for more. Raises ValueError as `start` does."""
        self._begin(response, response.body, len(response.body))
        return not self._sender.is_full

    async def drained(self) -> None:
        """Wait until the client has read enough."""
        await self._sender.drained()

    def _begin(self, response: Response, body: bytes, size: int | None) -> None:
        if self.started:
            raise RuntimeError("an answer starts once")
        pieces = self._head(response, size)
        self.started = True
        self.complete = size is not None
        if body and not self._bare:
            if self._chunked:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            elif self._left is not None:
                self._count(self._left, len(body))
            pieces.append(body)
        send = self._sender.send_soon if self.complete or self._is_last() else self._sender.send
        send(b"".join(pieces))

    async def write(self, chunk: bytes) -> None:
        """One more piece; returns when the client has made room. Raises RuntimeError when it passes the announced length."""
        if self._bare or not chunk:
            return
        if self._left is not None:
            self._count(self._left, len(chunk))
        send = self._sender.send_soon if self._left == 0 else self._sender.send
        send(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)
        if self._sender.is_full:
            await self._sender.drained()

    def end(self) -> None:
        """The body is complete. One shorter than its announced length is cut instead, so that the client sees it."""
        if self.complete:
            return
        if self._left and not self._bare:
            self._sender.cut()
            return
        self.complete = True
        if self._chunked:
            self._sender.send_soon(LAST_CHUNK)

    def _is_last(self) -> bool:
        """Whether the client has its whole answer with the head and what came with it."""
        return self._bare or self._left == 0

    def interim(self, head: bytes) -> None:
        """Write an interim answer's head; nothing to a client of HTTP/1.0 (RFC 9110 15.2), nor once the answer has begun."""
        if self._modern and not (self.started or self._sender.is_full):
            self._sender.send(head)

    def switch(self, response: Response) -> Given | None:
        """Write a 101 and give the connection away; None, with nothing written, where the client did not wait for it."""
        head = switching_head(response, self._sender.date)
        given = self._turn.give_away()
        if given is not None:
            self.started = self.complete = self.close = True
            self._sender.send(head)
        return given

    def abort(self) -> None:
        """The answer cannot be completed."""
        if not self.complete:
            self._sender.cut()

    def _count(self, left: int, size: int) -> None:
        self._left = left - size
        if self._left < 0:
            self._sender.cut()
            raise RuntimeError("the body is longer than its content-length")

    def _head(self, response: Response, size: int | None) -> list[bytes]:
        """The pieces of the head, status line and fields with the framing this answer gets; `size` is the body's where it is known.

        Raises ValueError when a field is not one line: nothing may smuggle in another.
        """
        status = STATUS_LINE.get(response.status)
        if status is None:
            raise ValueError("not the status of a final answer")
        shape, values = response.shape, response.values
        template = TEMPLATES.get(shape) or conclude(TEMPLATES, shape, Template(shape))
        if size is None or self._head_only or response.status in BODILESS:
            ours = self._frame(response.status, None if template.length is None else values[template.length], size)
        else:
            ours = b"content-length: %d\r\n" % size
        if not template.dated:
            ours = b"%b%b\r\n" % (ours, self._sender.date)
        self.close = self.close or response.close or not self._turn.reusable()
        if self.close:
            ours += b"connection: close\r\n"
        noted = None if response.memo is None else response.memo.get(shape)
        if noted is None or noted[0] != values:
            noted = values, template.passed(values)
            if response.memo is not None:
                if len(response.memo) >= MOST_NOTED:
                    response.memo.clear()
                response.memo[shape] = noted
        return [status, noted[1], ours, *response.lines, CRLF]

    def _frame(self, status: int, given: bytes | None, size: int | None) -> bytes:
        """RFC 9112 6.3: how the client finds the end of the body; sets what `write` and `end` must know."""
        if status in BODILESS:
            self._bare = True
            # RFC 9110 8.6: none with 204; with 304 only what the representation would have had.
            return b"content-length: %b\r\n" % given if given is not None and status == 304 else b""
        if size is not None and given is None:
            return b"content-length: %d\r\n" % size
        if given is not None:
            if not given.isdigit():
                raise ValueError("content-length is not a number")
            self._left = int(given)
            return b"content-length: %b\r\n" % given
        if self._modern:
            self._chunked = not self._bare
            return b"transfer-encoding: chunked\r\n"
        self.close = True
        return b""


class Template:
    """How fields of one shape are written: `count` lines, into which the values that `pick` gives are put.

    Of the fields that are OURS none is; `length` is where the length stands that the answer announced, `dated` whether the
    upstream says itself when it wrote its answer, which it knows better.
    """

    __slots__ = ("count", "dated", "length", "pick", "text")

    def __init__(self, shape: Shape) -> None:
        kept = Selection(shape, lambda name: name not in OURS)
        self.pick = kept.pick
        self.count = len(kept.shape.names)
        self.text = b"".join([name.replace(b"%", b"%%") + b": %b\r\n" for name in kept.shape.names])
        self.dated = b"date" in shape.present
        lengths = [place for place, name in enumerate(shape.names) if name == b"content-length"]
        self.length = lengths[-1] if lengths else None

    def passed(self, values: Values) -> bytes:
        """The lines. Raises ValueError when a field is not one line: nothing may smuggle in another."""
        rendered = self.text % (values if self.pick is None else self.pick(values))
        if not is_lines(rendered, self.count):
            raise ValueError("a header field holds CR, LF or NUL")
        return rendered


TEMPLATES: Final[dict[Shape, Template]] = {}
