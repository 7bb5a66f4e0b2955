"""One stream's answer on its way out; implements core.ports.Writer. What `server.answer` is for HTTP/1.1."""

from http import HTTPStatus
from typing import Final, Protocol

from gateway.core.message import Field, Inbound, Response, fields_of
from gateway.core.ports import Given
from gateway.http2.frames import Code
from gateway.http2.link import Link
from gateway.http2.names import CONNECTION, is_sound
from gateway.http2.stream import Stream
from gateway.server.answer import BODILESS

LENGTH: Final = b"content-length"
HINT: Final = b"HTTP/1.1 "


class Dated(Protocol):
    """Who knows the time."""

    @property
    def date(self) -> bytes:
        """The Date field, rendered."""
        ...


class StreamAnswer:
    """`complete` tells that the last byte was handed to the stream, which may still wait for the client."""

    __slots__ = ("_bare", "_dated", "_left", "_link", "_response", "_stream", "complete", "started")

    def __init__(self, link: Link, stream: Stream, inbound: Inbound, dated: Dated) -> None:
        self._link = link
        self._stream = stream
        self._dated = dated
        self._bare = inbound.method == "HEAD"
        self._left: int | None = None
        self._response: Response | None = None
        self.started = False
        self.complete = False

    async def start(self, response: Response, body: bytes, more: bool) -> None:
        """Head and first piece. Raises ValueError, with nothing sent, for a head that must not be."""
        self._begin(response, body, None if more else len(body))
        await self._stream.drained()

    def whole(self, response: Response) -> bool:
        """The whole answer; whether there is room for more. Raises ValueError as `start` does."""
        self._begin(response, response.body, len(response.body))
        return not self._stream.is_full

    async def drained(self) -> None:
        """Wait until the client has taken enough."""
        await self._stream.drained()

    async def write(self, chunk: bytes) -> None:
        """One more piece; returns when the client has made room. Raises RuntimeError when it passes the announced length."""
        if self._bare or not chunk:
            return
        self._count(len(chunk))
        self._link.send(self._stream, chunk)
        await self._stream.drained()

    def end(self) -> None:
        """The body is complete. One shorter than its announced length is broken off instead, so that the client sees it."""
        if self.complete:
            return
        if self._left:
            self._link.reset(self._stream, Code.INTERNAL_ERROR)
            return
        self.complete = True
        trailers = [] if self._response is None else [field for field in self._response.trailers if is_sound(*field)]
        self._link.end(self._stream, trailers)

    def interim(self, head: bytes) -> None:
        """Pass an interim answer's head on, which is given as it stands in HTTP/1.1."""
        if not self.started and not self._stream.said:
            line, _, rest = head.partition(b"\r\n")
            status = line.removeprefix(HINT)[:3]
            self._link.head(self._stream, [(b":status", status), *fields_of(rest.removesuffix(b"\r\n"))], end=False)

    def go_on(self) -> None:
        """Tell the client to send its body (RFC 9110 10.1.1)."""
        if not self.started and not self._stream.said:
            self._link.head(self._stream, [(b":status", b"%d" % HTTPStatus.CONTINUE)], end=False)

    def switch(self, response: Response) -> Given | None:
        """None: a stream is no connection to give away (RFC 9113 8.6)."""
        return None

    def abort(self) -> None:
        """The answer cannot be completed."""
        if not self.complete:
            self._link.reset(self._stream, Code.INTERNAL_ERROR)

    def _begin(self, response: Response, body: bytes, size: int | None) -> None:
        if self.started:
            raise RuntimeError("an answer starts once")
        fields = self._head(response, size)
        if response.status in BODILESS:
            self._bare, self._left = True, None
        self.started = True
        self.complete = size is not None
        self._response = response
        if self._bare:
            # RFC 9110 6.4.1: such an answer ends with its head.
            self.complete = True
            body = b""
        ends = self.complete and not body
        self._link.head(self._stream, fields, end=ends)
        if body:
            if not self.complete:
                self._count(len(body))
            self._link.send(self._stream, body)
        if self.complete and not ends:
            self._link.end(self._stream)

    def _count(self, size: int) -> None:
        if self._left is None:
            return
        self._left -= size
        if self._left < 0:
            self._link.reset(self._stream, Code.INTERNAL_ERROR)
            raise RuntimeError("the body is longer than its content-length")

    def _head(self, response: Response, size: int | None) -> list[Field]:
        """The fields as they are sent; `size` is the body's where it is known. Raises ValueError where one must not be."""
        if not 200 <= response.status <= 599:
            raise ValueError("not the status of a final answer")
        given = response.headers
        fields = [(b":status", b"%d" % response.status)]
        passed = [(name.lower(), value.strip(b" \t")) for name, value in given]
        fields += [field for field in passed if field[0] not in CONNECTION and field[0] != LENGTH]
        if not all(is_sound(name, value) for name, value in fields[1:]):
            raise ValueError("a header field holds what it may not")
        fields += self._framing(response.status, [value for name, value in given if name.lower() == LENGTH], size)
        if not any(name == b"date" for name, _ in fields):
            fields += fields_of(self._dated.date + b"\r\n")
        return fields

    def _framing(self, status: int, given: list[bytes], size: int | None) -> list[Field]:
        """What is said about the length, by the rules of `server.answer`; sets what `write` and `end` must know."""
        if status in BODILESS:
            return [(LENGTH, given[-1])] if given and status == 304 else []
        if given and (size is None or self._bare):
            if not given[-1].isdigit():
                raise ValueError("content-length is not a number")
            self._left = None if self._bare else int(given[-1])
            return [(LENGTH, given[-1])]
        return [] if size is None else [(LENGTH, b"%d" % size)]
