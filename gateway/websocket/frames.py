"""Frames followed without being held (RFC 6455 5): which of the bytes that arrived may go on as they are.

Payload passes piece by piece. A frame's header passes when it is whole and in order, so that the other side is at the boundary
of a frame whenever one is refused. Text is not checked for UTF-8: that is for whoever reads the message.
"""

from typing import Final

from gateway.websocket.closing import CLOSE, INVALID_DATA, PROTOCOL_ERROR, TOO_LARGE, code_of, unmasked

CONTINUATION: Final = 0x0
DATA: Final = frozenset((0x1, 0x2))
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
        "_fragmented", "_kept", "_masked", "_most", "_size", "_stopped",
        "broken", "code", "frames", "left", "more", "octets", "sealed",
    )  # fmt: skip

    def __init__(self, *, masked: bool, most: int) -> None:
        self._masked = masked
        self._most = most
        self._kept = b""
        self._fragmented = self._stopped = self.more = self.sealed = self.broken = False
        self._size = self.frames = self.octets = self.left = 0
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
        while True:
            at = self._skipped(at, size)
            if self._stopped and not self.left and passed is None:
                self.sealed, passed = True, at
            if self.left or at == size or self.code is not None:
                break
            if self.frames >= most:
                self.more = True
                break
            try:
                behind = self._header(data, at)
            except Violation as violation:
                violation.passed = data[: at if passed is None else passed]
                raise
            if not behind:
                break
            at = behind
        if self.code is None:
            self._kept = data[at:]
        return at if passed is None else passed

    def _skipped(self, at: int, size: int) -> int:
        """Past the payload that is still to come."""
        if not self.left:
            return at
        step = min(self.left, size - at)
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
        self._judge(first, kind, final, second)
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
        if kind not in CONTROL:
            self._measure(final, length)
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

    def _judge(self, first: int, kind: int, final: bool, second: int) -> None:
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
