"""Where a chunked body ends, so that llhttp is never handed what lies behind it (RFC 9112 7.1).

llhttp judges the framing; here only chunk sizes are read, to walk over the payload instead of searching it. Where the two
disagree llhttp finds another message, or none, and the request is refused.
"""

import re
from typing import Final

from gateway.server.head import BLANK_LINE

SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\r", re.DOTALL)
LONGEST: Final = 16 * 1024
"""Bytes of one size line that are remembered from one piece to the next."""
LINE_END: Final = 2


class Chunks:
    """One chunked body, walked from piece to piece."""

    __slots__ = ("_last", "_left", "_line", "_lost", "_tail")

    def __init__(self) -> None:
        self._left = 0
        self._line = b""
        self._last = False
        self._lost = False
        self._tail = b""

    def end(self, data: bytes) -> int:
        """How much of `data` belongs to this body. All of it once something is not a chunk: llhttp will say so."""
        at = 0
        while at < len(data) and not self._last and not self._lost:
            at = self._skip(data, at) if self._left else self._measure(data, at)
        return at + self._trailers(data[at:]) if self._last else len(data)

    def _skip(self, data: bytes, at: int) -> int:
        step = min(self._left, len(data) - at)
        self._left -= step
        return at + step

    def _measure(self, data: bytes, at: int) -> int:
        """Read the line that says how long the next chunk is."""
        end = data.find(b"\n", at)
        line = self._line + (data[at:] if end < 0 else data[at:end])
        if end < 0:
            self._line = line
            self._lost = len(line) > LONGEST
            return len(data)
        self._line = b""
        found = SIZE.fullmatch(line)
        if found is None:
            self._lost = True
        elif size := int(found[1], 16):
            self._left = size + LINE_END
        else:
            # The line's own end is the first half of the empty line that may follow at once.
            self._last, self._tail = True, b"\r\n"
        return end + 1

    def _trailers(self, data: bytes) -> int:
        """Up to the empty line behind the last chunk and the trailers, which may have begun in what came before."""
        across = (self._tail + data[:3]).find(BLANK_LINE)
        if across >= 0:
            return across + len(BLANK_LINE) - len(self._tail)
        within = data.find(BLANK_LINE)
        if within >= 0:
            return within + len(BLANK_LINE)
        self._tail = (self._tail + data)[-3:]
        return len(data)
