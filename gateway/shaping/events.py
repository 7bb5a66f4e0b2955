"""Server-sent events (WHATWG HTML 9.2): the data lines of an event together are one JSON document.

Comments and the fields `event`, `id` and `retry` pass as they are, and so does `[DONE]`, with which model APIs end. Anything else
has no place in such a stream: data that is no JSON ends it, before the empty line that would have made an event of it.
"""

import re
from typing import Final

from gateway.shaping.faults import Unreadable
from gateway.shaping.plan import Plan
from gateway.shaping.rewriter import MORE, Rewriter
from gateway.shaping.styles import Styles

FIELD: Final = re.compile(rb"(?P<data>data(?:: ?|(?=[\r\n])))|(?:event|id|retry)(?=[:\r\n])|(?=[:\r\n])")
PARTIAL_FIELD: Final = re.compile(rb"(?:d(?:a(?:t(?:a)?)?)?|e(?:v(?:e(?:n(?:t)?)?)?)?|i(?:d)?|r(?:e(?:t(?:r(?:y)?)?)?)?|data:)\Z")
DONE: Final = re.compile(rb"\[DONE\] *(?=[\r\n])")
PARTIAL_DONE: Final = re.compile(rb"(?:\[(?:D(?:O(?:N(?:E(?:\] {0,64})?)?)?)?)?)?\Z")
BREAK: Final = re.compile(rb"[\r\n]")
CR: Final = 0x0D
LF: Final = 0x0A


class Events:
    """Rewrites the document of each event. `redacted` as a Rewriter's.

    A line is read in pieces: `_in_line` says that its field's name is known, `_in_data` that what follows belongs to the document.
    """

    __slots__ = ("_after_cr", "_before", "_document", "_held", "_in_data", "_in_line", "_is_done", "_plan", "_read", "_styles")

    def __init__(self, plan: Plan, styles: Styles) -> None:
        self._plan = plan
        self._styles = styles
        self._before = self._read = 0
        self._held = b""
        self._in_line = self._in_data = self._after_cr = self._is_done = False
        self._document: Rewriter | None = None

    @property
    def redacted(self) -> int:
        return self._before + (0 if self._document is None else self._document.redacted)

    def feed(self, piece: bytes) -> bytes:
        """What may leave, now that this has come. Raises Unreadable."""
        buffer = self._held + piece
        out: list[bytes] = []
        place = 0
        while place < len(buffer):
            after = (self._go_on if self._in_line else self._begin)(buffer, place, out)
            if after < 0:
                break
            place = after
        self._held = buffer[place:]
        self._read += place
        return b"".join(out)

    def end(self) -> bytes:
        """The rest. Raises Unreadable where an event is not complete."""
        last = b""
        if self._held or self._in_line:
            last = self.feed(b"\n")[:-1]
        self._finish()
        return last

    def _begin(self, buffer: bytes, place: int, out: list[bytes]) -> int:
        """The beginning of a line."""
        after_cr, self._after_cr = self._after_cr, False
        if after_cr and buffer[place] == LF:
            out.append(b"\n")
            return place + 1
        found = FIELD.match(buffer, place)
        if found is None:
            if PARTIAL_FIELD.match(buffer, place):
                return MORE
            raise Unreadable(f"a line that belongs to no event, at byte {self._read + place}")
        after = found.end()
        if found["data"] is not None:
            return self._data(buffer, place, after, out)
        if after == place and buffer[place] != ord(":"):
            self._finish()
        self._in_line = True
        out.append(buffer[place:after])
        return after

    def _data(self, buffer: bytes, place: int, after: int, out: list[bytes]) -> int:
        """The beginning of a line of data."""
        if self._is_done:
            raise Unreadable(f"data behind [DONE], at byte {self._read + place}")
        if after == len(buffer):
            return MORE  # a space may follow the colon
        if self._document is None:
            if DONE.match(buffer, after):
                self._is_done = self._in_line = True
                out.append(buffer[place:after])
                return after
            if PARTIAL_DONE.match(buffer, after):
                return MORE
            self._document = Rewriter(self._plan, self._styles)
        self._in_line = self._in_data = True
        out.append(buffer[place:after])
        return after

    def _go_on(self, buffer: bytes, place: int, out: list[bytes]) -> int:
        """More of a line, and its end."""
        found = BREAK.search(buffer, place)
        end = len(buffer) if found is None else found.start()
        document = self._document if self._in_data else None
        out.append(buffer[place:end] if document is None else document.feed(buffer[place:end]).replace(b"\n", b""))
        if found is None:
            return end
        if document is not None:
            # A line break is white space within a document, and stands where the line ends.
            out.append(document.feed(b"\n").replace(b"\n", b""))
        self._in_line = self._in_data = False
        after = end + 2 if buffer[end : end + 2] == b"\r\n" else end + 1
        self._after_cr = buffer[after - 1] == CR
        out.append(buffer[end:after])
        return after

    def _finish(self) -> None:
        """An event is complete. Raises Unreadable where its document is not."""
        document, self._document = self._document, None
        self._is_done = False
        if document is not None and document.begun:
            document.end()
            self._before += document.redacted
