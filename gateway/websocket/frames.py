"""Frames followed without being held (RFC 6455 5): which of the bytes that arrived may go on as they are.

Payload passes piece by piece. A frame's header passes when it is whole and in order, so that the other side is at the boundary
of a frame whenever one is refused; but one of text may turn out not to be UTF-8 when its beginning has passed.
"""

from typing import Final

from gateway.websocket.closing import CLOSE, INVALID_DATA, PROTOCOL_ERROR, TOO_LARGE, code_of, unmasked
from gateway.websocket.text import Text

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
DATA: Final = frozenset((TEXT, 0x2))
CONTROL: Final = frozenset((CLOSE, 0x9, 0xA))
MOST_CONTROL: Final = 125
EXTENDED: Final = {126: 2, 127: 8}
"""Bytes of a length that does not fit into seven bits ..."""
SHORTEST: Final = {2: 126, 8: 65536}
"""... and the least that may be written so (RFC 6455 5.2)."""
MOST_FRAMES: Final = 256
"""Frames followed at once; what lies behind them waits for the next turn of the event loop, and others have theirs first."""


class Violation(Exception):
    """What must not be passed on. `code` is what both sides are closed with, `passed` what may go on before it."""

    def __init__(self, code: int, problem: str) -> None:
        super().__init__(problem)
        self.code = code
        self.passed = b""


class Follower:
    """What one side sends. `masked` tells whether it must mask (clients must, servers must not); `most` bounds a message.

    `frames` counts those that passed whole, `octets` what passed; `left` is how much of a frame's payload is still to come;
    `code` is that of its Close once it has sent one: what follows is dropped. `more` tells that `feed(b"")` goes on. `sealed`
    says that nothing passes any more, `broken` that nothing it sends can be understood any more.
    """

    __slots__ = (
        "_fragmented", "_judge", "_kept", "_masked", "_most", "_size", "_stopped", "_text",
        "broken", "code", "frames", "left", "more", "octets", "sealed",
    )  # fmt: skip

    def __init__(self, *, masked: bool, most: int) -> None:
        self._masked = masked
        self._most = most
        self._kept = b""
        self._fragmented = self._stopped = self.more = self.sealed = self.broken = False
        self._size = self.frames = self.octets = self.left = 0
        self._text: Text | None = None  # the message on its way, where it is of text ...
        self._judge: Text | None = None  # ... and the same while one of its frames is
        self.code: int | None = None

    @property
    def is_within(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self.left > 0 or bool(self._kept)

    def stop(self) -> None:
        """Nothing passes behind the frame that is on its way; a Close is still heard."""
        self._stopped = True
        self.sealed = not self.left

    def feed(self, data: bytes) -> bytes:
        """What of `data`, and of what was kept before, may go on. Raises Violation."""
        self.more = False
        if self.broken or self.code is not None:
            return b""
        if self._kept:
            data, self._kept = self._kept + data, b""
        silent = self.sealed
        try:
            end = self._followed(data)
        except Violation as violation:
            self.broken = True
            if silent:
                return b""
            self.octets += len(violation.passed)
            raise
        if silent:
            return b""
        self.octets += end
        return data if end == len(data) else data[:end]

    def _followed(self, data: bytes) -> int:
        """How far `data` may go on; a header that is not whole is kept."""
        at, size, most = 0, len(data), self.frames + MOST_FRAMES
        passed: int | None = None
        begun, whole = not self.left, 0  # whether the frame behind `whole`, up to where frames are whole, has begun in `data`
        try:
            while True:
                at = self._skipped(data, at)
                if self._stopped and not self.left and passed is None:
                    self.sealed, passed = True, at
                if self.left or at == size or self.code is not None:
                    break
                if self.frames >= most:
                    self.more = True
                    break
                begun, whole = True, at
                behind = self._header(data, at)
                if not behind:
                    break
                at = behind
        except Violation as violation:
            violation.passed = data[: whole if passed is None else passed]
            if begun:
                self.left = 0  # nothing of it passed
            raise
        if self.code is None:
            self._kept = data[at:]
        return at if passed is None else passed

    def _skipped(self, data: bytes, at: int) -> int:
        """Past the payload that is still to come, as far as it is here. Raises Violation where it is no text that should be."""
        if not self.left:
            return at
        step = min(self.left, len(data) - at)
        if self._judge is not None:
            read(self._judge, data[at : at + step], ends=step == self.left)
        self.left -= step
        if not self.left:
            self.frames += 1
        return at + step

    def _header(self, data: bytes, at: int) -> int:
        """Where the payload of the frame at `at` begins, of a Close where it ends; 0 where that cannot be told yet."""
        have = len(data) - at
        if have < 2:
            return 0
        first, second = data[at], data[at + 1]
        kind, final = first & 0xF, first >= 0x80
        self._rules(first, kind, final, second)
        length = second & 0x7F
        width = EXTENDED.get(length, 0)
        start = at + 2 + width + (4 if self._masked else 0)
        if len(data) < start:
            return 0
        if width:
            length = int.from_bytes(data[at + 2 : at + 2 + width], "big")
            if length < SHORTEST[width] or length >> 63:
                raise Violation(PROTOCOL_ERROR, "a length that is not written the shortest way")
        if kind == CLOSE:
            return self._closed(data, start, start + length)
        self._judge = None
        if kind not in CONTROL:
            self._measure(final, length)
            self._told(kind, data[start - 4 : start] if self._masked else b"", final, length)
        self.left = length
        self.frames += not length
        return start

    def _measure(self, final: bool, length: int) -> None:
        """A piece of a message begins."""
        self._size += length
        if self._size > self._most:
            raise Violation(TOO_LARGE, "a message over the limit")
        self._fragmented = not final
        if final:
            self._size = 0

    def _told(self, kind: int, mask: bytes, final: bool, length: int) -> None:
        """What the payload that comes has to be. That of the message before is forgotten only here: it has ended in order."""
        if kind != CONTINUATION:
            self._text = Text() if kind == TEXT else None
        self._judge = text = self._text
        if text is not None:
            text.frame(mask, last=final)
            if not length:
                read(text, b"", ends=True)

    def _closed(self, data: bytes, start: int, end: int) -> int:
        """A Close passes whole or not at all."""
        if len(data) < end:
            return 0
        payload = data[start:end]
        try:
            self.code = code_of(unmasked(payload, data[start - 4 : start]) if self._masked else payload)
        except UnicodeDecodeError:
            raise Violation(INVALID_DATA, "a Close whose reason is not UTF-8") from None
        except ValueError as error:
            raise Violation(PROTOCOL_ERROR, str(error)) from None
        self.frames += 1
        return end

    def _rules(self, first: int, kind: int, final: bool, second: int) -> None:
        if first & 0x70:
            raise Violation(PROTOCOL_ERROR, "a reserved bit is set: no extension was agreed on")
        if (second >= 0x80) is not self._masked:
            raise Violation(PROTOCOL_ERROR, "masked the wrong way")
        if kind in CONTROL:
            if not final or second & 0x7F > MOST_CONTROL:
                raise Violation(PROTOCOL_ERROR, "a control frame in fragments, or too long")
        elif kind == CONTINUATION:
            if not self._fragmented:
                raise Violation(PROTOCOL_ERROR, "a continuation of nothing")
        elif kind not in DATA:
            raise Violation(PROTOCOL_ERROR, "an opcode nobody has defined")
        elif self._fragmented:
            raise Violation(PROTOCOL_ERROR, "a message begins within another")


def read(text: Text, piece: bytes, *, ends: bool) -> None:
    """A piece of text. Raises Violation (RFC 6455 8.1)."""
    try:
        text.read(piece, ends=ends)
    except UnicodeDecodeError:
        raise Violation(INVALID_DATA, "a text message that is not UTF-8") from None
