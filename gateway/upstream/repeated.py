"""Answer heads that an upstream says again to the byte: many do for a second, until their Date changes.

llhttp begins each message in one and the same state, so the same bytes mean to it what they meant before, and it need not be
asked again. An answer is taken here only where all of it has arrived at once, as long as its head said.
"""

from typing import Any, Final

from gateway.core.message import Response
from gateway.core.shape import MOST, Shape, Values, remember
from gateway.upstream.head import BODILESS

BLANK_LINE: Final = b"\r\n\r\n"
LONGEST: Final = 2048
"""Bytes of a head that is kept."""
MISSES: Final = MOST
"""New heads in a row after which none is looked for: this upstream does not repeat itself ..."""
REST: Final = 8192
"""... in as many answers."""


class Known:
    """A head as llhttp read it. `length` of the body in bytes; `memo` is what stages concluded from the head, see Response."""

    __slots__ = ("length", "memo", "shape", "status", "values")

    def __init__(self, status: int, shape: Shape, values: Values, length: int) -> None:
        self.status = status
        self.shape = shape
        self.values = values
        self.length = length
        self.memo: dict[object, Any] = {}


class Replies:
    """The heads of one target's answers, bounded in number and size."""

    __slots__ = ("_known", "_missed", "_resting")

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}
        self._missed = 0
        self._resting = 0

    def again(self, data: bytes) -> Response | None:
        """The answer, its body left to be taken from `data`, where `data` is a known head and just the body it announces.

        `data` is all that has arrived since the request went out, which was not a HEAD request.
        """
        if self._resting:
            self._resting -= 1
            return None
        end = data.find(BLANK_LINE) + 4
        known = self._known.get(data[:end])
        if known is None or len(data) - end != known.length:
            self._missed += 1
            if self._missed > MISSES:
                self._missed, self._resting = 0, REST
            return None
        self._missed = 0
        reply = Response.passed(known.status, known.shape, known.values)
        reply.body = data[end:]
        reply.memo = known.memo
        return reply

    def note(self, data: bytes, reply: Response) -> None:
        """Keep the head of an answer that llhttp found whole and without fault in `data`, and nothing behind it."""
        end = data.find(BLANK_LINE) + 4
        names = reply.shape.names
        if reply.status in BODILESS:
            return  # a length says nothing here, and llhttp skips empty lines where it expects the next answer
        if self._resting or end > LONGEST or b"content-length" not in reply.shape.present or b"set-cookie" in reply.shape.present:
            return
        length = reply.values[names.index(b"content-length")]
        # The end of the head is where it was looked for only if what follows is as long as llhttp has read.
        if length == b"%d" % (len(data) - end):
            remember(self._known, data[:end], Known(reply.status, reply.shape, reply.values, len(data) - end))
