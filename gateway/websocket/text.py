"""Text messages as they pass, judged for UTF-8 piece by piece (RFC 6455 8.1): no more is kept than a character's beginning."""

import codecs
from typing import Final

from gateway.websocket.closing import unmasked

DECODER: Final = codecs.getincrementaldecoder("utf-8")


class Text:
    """One text message, in fragments or whole. A character may be cut anywhere, also by the boundary of a frame."""

    __slots__ = ("_begun", "_decoder", "_last", "_mask")

    def __init__(self) -> None:
        self._decoder = DECODER()
        self._begun = self._last = False
        self._mask = b""

    def frame(self, mask: bytes, *, last: bool) -> None:
        """A frame of the message begins; `mask` is empty where its sender does not mask, `last` says that it ends the message."""
        self._mask = mask
        self._last = last

    def read(self, piece: bytes, *, ends: bool) -> None:
        """Some of the frame's payload; `ends` tells that it is the rest of it. Raises UnicodeDecodeError."""
        mask = self._mask
        if mask:
            turn = len(piece) & 3
            piece, self._mask = unmasked(piece, mask), mask[turn:] + mask[:turn]
        if self._begun or not piece.isascii():
            self._decoder.decode(piece, ends and self._last)
            self._begun = bool(self._decoder.getstate()[0])
