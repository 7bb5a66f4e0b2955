"""WebSocket frames of an upstream (RFC 6455 5), with every injected value masked, also where a message's fragments divide one.

They were followed already, and are in order. A mask is as long as what it hides: no header changes. While some payload waits
for what follows, so does all behind it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from gateway.core.echoes import Echoes
from gateway.scrub.scrubber import Scrubber

MOST_WAITING: Final = 1024
"""Frames that may wait behind payload that does: an upstream may send empty fragments, and pings between them, without end."""
CLOSE: Final = 0x8
EXTENDED: Final = {126: 2, 127: 8}


class Frames:
    """Takes frames, none of them masked, and gives what may leave. `told` is called with how many injected values were hidden."""

    __slots__ = ("_final", "_in_message", "_kept", "_left", "_needles", "_ready", "_scrubber", "_told", "_waiting")

    def __init__(self, needles: Sequence[Echoes], told: Callable[[int], None]) -> None:
        self._needles = needles
        self._told = told
        self._scrubber = Scrubber(needles)
        self._waiting: deque[bytes | int] = deque()  # frames' headers and control frames, and how much payload stands between them
        self._ready = b""
        self._kept = b""
        self._left = 0
        self._in_message = self._final = False

    def feed(self, data: bytes) -> bytes | None:
        """What may leave, now that this has come; None where too much waits, and nothing may leave any more."""
        if self._kept:
            data, self._kept = self._kept + data, b""
        at = 0
        while at < len(data) or (self._in_message and not self._left):
            if self._left:
                at = self._payload(data, at)
            elif self._in_message:
                self._ended()
            elif (behind := self._header(data, at)) > 0:
                at = behind
            else:
                self._kept = data[at:]
                break
        return self._leaving()

    def _header(self, data: bytes, at: int) -> int:
        """Where a frame's payload begins, 0 where that cannot be told yet; a control frame passes as a whole."""
        if len(data) - at < 2:
            return 0
        kind, length = data[at] & 0xF, data[at + 1] & 0x7F
        width = EXTENDED.get(length, 0)
        start = at + 2 + width
        if len(data) < start:
            return 0
        if width:
            length = int.from_bytes(data[at + 2 : start], "big")
        if kind >= CLOSE:
            return self._control(kind, data, at, start + length)
        self._waiting.append(data[at:start])
        self._left, self._in_message, self._final = length, True, data[at] >= 0x80
        return start

    def _control(self, kind: int, data: bytes, at: int, end: int) -> int:
        """It is short, and its payload a whole text of its own."""
        if len(data) < end:
            return 0
        if kind == CLOSE:
            self._ready += self._rest()  # nothing follows
        whole = Scrubber(self._needles)
        self._waiting.append(data[at : at + 2] + whole.feed(data[at + 2 : end]) + whole.end())
        self._note(whole)
        return end

    def _payload(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._left]
        self._waiting.append(len(piece))
        self._ready += self._scrubber.feed(piece)
        self._note(self._scrubber)
        self._left -= len(piece)
        return at + len(piece)

    def _ended(self) -> None:
        """A frame's payload is here; a message is a text of its own."""
        self._in_message = False
        if self._final:
            self._ready += self._rest()

    def _rest(self) -> bytes:
        rest = self._scrubber.end()
        self._note(self._scrubber)
        return rest

    def _note(self, scrubber: Scrubber) -> None:
        if scrubber.found:
            self._told(scrubber.found)
            scrubber.found = 0

    def _leaving(self) -> bytes | None:
        """From the front, all that does not wait."""
        out: list[bytes] = []
        waiting, ready, at = self._waiting, self._ready, 0
        while waiting:
            first = waiting[0]
            if isinstance(first, bytes):
                out.append(first)
            else:
                out.append(ready[at : at + first])
                at += len(out[-1])
                if len(out[-1]) < first:
                    waiting[0] = first - len(out[-1])
                    break
            waiting.popleft()
        self._ready = ready[at:]
        return None if len(waiting) > MOST_WAITING else b"".join(out)
