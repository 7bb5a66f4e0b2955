"""The request that is arriving: its head so far, how its body is delimited, how much of that has come."""

from collections.abc import Callable
from typing import Final

import httptools

from gateway.core.errors import BadRequest, GatewayError
from gateway.core.message import NO_BODY, Body
from gateway.core.pace import NEVER, Pace
from gateway.edge.model import ListenerLimits
from gateway.server.body import HIGH_WATER, Source, StreamBody
from gateway.server.chunks import Chunks

FRAMING: Final = frozenset((b"content-length", b"transfer-encoding", b"expect"))
CHUNK_OVERHEAD: Final = 16
"""Framing bytes a byte of chunked body may cost: beyond it chunk extensions are an attack, not a message."""


class Arrival:
    """One request on its way in.

    `head` holds the bytes of a head until it is complete. `remaining` counts the bytes of a body with a length that are
    still to come, None for a chunked one; `body` is None where there is none, and `pace`, how slowly it may come, too. `framed`
    tells whether a FRAMING field came: without one nothing but `head` changes.
    """

    __slots__ = (
        "_chunks",
        "_coding",
        "_expects",
        "_length",
        "_overhead",
        "body",
        "framed",
        "head",
        "pace",
        "remaining",
        "skipped",
    )

    def __init__(self) -> None:
        self.head = b""
        self.body: StreamBody | None = None
        self.pace: Pace | None = None
        self.remaining: int | None = 0
        self.skipped = False
        self.framed = False
        self._length: bytes | None = None
        self._coding: bytes | None = None
        self._expects = False
        self._overhead = 0
        self._chunks = Chunks()

    def note(self, name: bytes, value: bytes) -> None:
        """One of the FRAMING fields."""
        self.framed = True
        if name == b"content-length":
            self._length = value
        elif name == b"expect":
            self._expects = self._expects or value.lower() == b"100-continue"
        else:
            self._coding = value.lower() if self._coding is None else b""

    @property
    def sized(self) -> bool:
        """Whether there is a body, as long as a field says, which the client does not wait with."""
        return self.body is not None and self.remaining is not None and not self._expects

    def open(self, source: Source, method: str, limits: ListenerLimits, *, modern: bool) -> Body:
        """The body the head announces. Raises BadRequest where two readers could find different ends of it.

        RFC 9112 6.1, 6.3: a coding other than `chunked`, one beside a length, or any in HTTP/1.0 is how requests are smuggled.
        llhttp has seen to it that a length is a number and comes once.
        """
        if self._coding is not None and (self._coding != b"chunked" or self._length is not None or not modern):
            raise BadRequest("transfer-encoding", close=True)
        length = None if self._length is None else int(self._length)
        if method == "CONNECT" or (self._coding is None and not length):
            return NO_BODY
        self.remaining = length
        self.pace = Pace(limits.min_upload, limits.rate_grace, limits.body_idle)
        self.body = StreamBody(source, length, limits.body, expects=self._expects and modern)
        return self.body

    def reframed(self, on_body: Callable[[bytes], None], on_message_complete: Callable[[], None]) -> httptools.HttpRequestParser:
        """What frames the body of an Upgrade: llhttp takes it for another protocol, we took the request for an ordinary one.

        A second parser, told only how the body is delimited. The connection closes after the answer.
        """
        parser = httptools.HttpRequestParser(BodyOnly(on_body, on_message_complete))
        delimited = b"transfer-encoding: chunked" if self.remaining is None else b"content-length: %d" % self.remaining
        parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % delimited)
        return parser

    def cut(self, data: bytes) -> tuple[bytes, bytes]:
        """(what surely belongs to this body or ends it, what lies behind it)."""
        if self.remaining is None:
            size = min(self._chunks.end(data), len(data))
            self._overhead += size
        else:
            size = min(self.remaining, len(data))
            self.remaining -= size
        return data[:size], data[size:]

    def put(self, piece: bytes, now: float) -> None:
        """One piece of the body. Raises BadRequest over the limit."""
        if self.body is not None and self.pace is not None:
            self._overhead -= len(piece)
            self.pace.gave(len(piece), now)
            self.body.put(piece)

    def deadline(self, now: float) -> float:
        """When the client has to have sent more; it is waited for from now on."""
        return NEVER if self.pace is None else self.pace.wait(now)

    def fail(self, error: GatewayError) -> None:
        """The body cannot be completed: whoever reads it is told."""
        if self.body is not None:
            self.body.fail(error)

    def discard(self, now: float) -> float:
        """Nobody will read the rest; gives when it has to have come."""
        if self.body is not None:
            self.body.discard()
        return self.deadline(now)

    def is_bloated(self, limits: ListenerLimits) -> bool:
        """Whether chunk extensions and trailers outweigh the body they come with."""
        return self.body is not None and self._overhead > limits.headers + CHUNK_OVERHEAD * self.body.received

    def is_nearly_done(self) -> bool:
        """Whether the rest of an unread body is worth waiting for, so that the connection can be used again."""
        if self.body is None:
            return True
        return self.remaining is not None and self.remaining <= HIGH_WATER and not self.body.expects


def fault_of(error: httptools.HttpParserError) -> GatewayError:
    """What a client is told of what llhttp, or a callback of ours, found wrong. Raises `error` where that is a bug."""
    if not isinstance(error, httptools.HttpParserCallbackError):
        return BadRequest(str(error), close=True)
    if not isinstance(error.__context__, GatewayError):
        raise error
    return error.__context__


class BodyOnly:
    """The callbacks of a parser that only frames a body."""

    def __init__(self, on_body: Callable[[bytes], None], on_message_complete: Callable[[], None]) -> None:
        self.on_body = on_body
        self.on_message_complete = on_message_complete
