"""Frames (RFC 9113 4 and 6): taken out of bytes as they come, and rendered. Nothing here knows connections or streams."""

from enum import IntEnum
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client begins with (RFC 9113 3.4)."""

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITISED: Final = 0x20

MAX_FRAME: Final = 16384
"""Bytes of the largest frame we take, which is the smallest limit there is (RFC 9113 6.5.2)."""
LARGEST: Final = 0x7FFFFFFF
"""The largest window, and the last stream there can be."""
HEAD: Final = 9


class Code(IntEnum):
    """RFC 9113 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class ConnectionFault(Exception):
    """The other end broke the protocol so that the connection cannot go on (RFC 9113 5.4.1)."""

    def __init__(self, code: Code, problem: str) -> None:
        super().__init__(problem)
        self.code = code
        self.problem = problem


class StreamFault(Exception):
    """The other end broke the rules of one stream, which is reset (RFC 9113 5.4.2)."""

    def __init__(self, stream: int, code: Code, problem: str) -> None:
        super().__init__(problem)
        self.stream = stream
        self.code = code


class Frame:
    """One frame, or one piece of a DATA frame. `size` is what counts against windows: the payload with its padding."""

    __slots__ = ("flags", "kind", "payload", "size", "stream")

    def __init__(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self.kind = kind
        self.flags = flags
        self.stream = stream
        self.payload = payload
        self.size = len(payload)


class Incoming:
    """The frames of one connection. DATA without padding is given in the pieces it comes in, END_STREAM with the last of them.

    `count` is how many there were. `preface` is what has to come before them.
    """

    __slots__ = ("_at", "_flags", "_held", "_left", "_preface", "_stream", "count")

    def __init__(self, preface: bytes = b"") -> None:
        self._preface = preface
        self.count = 0
        self._held = b""
        self._at = 0
        self._left = 0
        self._flags = 0
        self._stream = 0

    @property
    def is_partial(self) -> bool:
        """Whether a frame has begun that is not DATA and is not complete."""
        return len(self._held) > self._at

    def add(self, data: bytes) -> None:
        """More bytes."""
        self._held = self._held[self._at :] + data
        self._at = 0

    def next(self) -> Frame | None:
        """The next frame; None until there is more. Raises ConnectionFault for one that is too large."""
        if self._left:
            return self._piece()
        if self._preface and not self._begins():
            return None
        held, at = self._held, self._at
        if len(held) - at < HEAD:
            return None
        size, kind, flags = int.from_bytes(held[at : at + 3], "big"), held[at + 3], held[at + 4]
        stream = int.from_bytes(held[at + 5 : at + HEAD], "big") & LARGEST
        if size > MAX_FRAME:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a frame is too large")
        if kind == DATA and size and not flags & PADDED:
            self._at = at + HEAD
            self._left, self._flags, self._stream = size, flags, stream
            return self._piece()
        end = at + HEAD + size
        if len(held) < end:
            return None
        self._at = end
        self.count += 1
        return Frame(kind, flags, stream, held[at + HEAD : end])

    def _begins(self) -> bool:
        """Whether the preface is here."""
        expected, begun = self._preface, self._held[self._at : self._at + len(self._preface)]
        if not expected.startswith(begun):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "no preface")
        if len(begun) < len(expected):
            return False
        self._at += len(expected)
        self._preface = b""
        return True

    def _piece(self) -> Frame | None:
        piece = self._held[self._at : self._at + self._left]
        if not piece:
            return None
        self._at += len(piece)
        self._left -= len(piece)
        return Frame(DATA, 0 if self._left else self._flags, self._stream, piece)


def rendered(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame on the wire."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def headers(stream: int, block: bytes, *, end: bool, most: int) -> bytes:
    """A header block, in CONTINUATION frames where it is larger than `most`."""
    pieces = [block[at : at + most] for at in range(0, len(block), most)] or [b""]
    frames = []
    for number, piece in enumerate(pieces):
        flags = END_HEADERS if number == len(pieces) - 1 else 0
        if number == 0:
            flags |= END_STREAM if end else 0
        frames.append(rendered(CONTINUATION if number else HEADERS, flags, stream, piece))
    return b"".join(frames)


def settings(values: dict[int, int]) -> bytes:
    """A SETTINGS frame."""
    payload = b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in values.items())
    return rendered(SETTINGS, 0, 0, payload)


def goaway(last: int, code: int) -> bytes:
    return rendered(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big"))


def reset(stream: int, code: int) -> bytes:
    return rendered(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def window_update(stream: int, size: int) -> bytes:
    return rendered(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def unpadded(frame: Frame) -> bytes:
    """The payload of DATA or HEADERS without padding and priority. Raises ConnectionFault."""
    payload = frame.payload
    if frame.flags & PADDED:
        if not payload or payload[0] >= len(payload):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "more padding than frame")
        payload = payload[1 : len(payload) - payload[0]]
    if frame.kind == HEADERS and frame.flags & PRIORITISED:
        if len(payload) < 5:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a head without room for its priority")
        payload = payload[5:]
    return payload
