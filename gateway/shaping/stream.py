"""A body on its way through a reader: no faster than the client takes it, and giving way to others while there is much of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from gateway.core.errors import GatewayError, Withheld
from gateway.core.obligations import Shaped
from gateway.shaping.faults import Unreadable
from gateway.shaping.heads import Reader

SLICE: Final = 8 * 1024
"""Bytes read between two turns of the event loop: 20 ms where a document is made to be slow to read, else less than one."""
GATHERED: Final = 64 * 1024
"""Bytes that leave together."""


class ShapedStream:
    """What is left of a body. Raises Withheld where it cannot be read on, so that a cut never looks like an end.

    `cut` is called then.
    """

    __slots__ = ("_cut", "_is_empty", "_is_over", "_pending", "_place", "_reader", "_source", "_told")

    def __init__(
        self, begun: bytes, source: AsyncIterator[bytes] | None, reader: Reader, told: Shaped, cut: Callable[[], None]
    ) -> None:
        """`begun` is what of the body came with its head."""
        self._pending = begun
        self._place = 0
        self._source = source
        self._reader = reader
        self._told = told
        self._cut = cut
        self._is_empty = not begun
        self._is_over = False

    def __aiter__(self) -> "ShapedStream":
        return self

    async def __anext__(self) -> bytes:
        fault: GatewayError | None = None
        try:
            found = await self.next()
        except Unreadable as error:
            found = None
            fault = Withheld(str(error))
        if fault is not None:
            self._cut()
            raise fault
        if found is None:
            raise StopAsyncIteration
        return found

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes."""
        return self._is_over

    async def whole(self) -> bytes:
        """All that leaves, of a body that is here. Raises Unreadable."""
        out: list[bytes] = []
        while (found := await self.next()) is not None:
            out.append(found)
        return b"".join(out)

    async def next(self) -> bytes | None:
        """Something that leaves, None at the end. Raises Unreadable, and what broke the body."""
        while not self._is_over:
            found = await (self._sliced() if self._place < len(self._pending) else self._more())
            if found:
                return found
        return None

    async def _sliced(self) -> bytes:
        """What leaves of what is here, or of the beginning of it."""
        out: list[bytes] = []
        size = 0
        while self._place < len(self._pending) and size < GATHERED:
            piece = self._pending[self._place : self._place + SLICE]
            self._place += len(piece)
            out.append(self._reader.feed(piece))
            size += len(out[-1])
            self._told.redacted = self._reader.redacted
            await asyncio.sleep(0)
        return b"".join(out)

    async def _more(self) -> bytes:
        """Wait for more of the body, and at its end give the rest."""
        self._pending, self._place = b"", 0
        if self._source is not None:
            try:
                self._pending = await self._source.__anext__()
            except StopAsyncIteration:
                self._source = None
            else:
                self._is_empty = self._is_empty and not self._pending
                return b""
        self._is_over = True
        return b"" if self._is_empty else self._reader.end()
