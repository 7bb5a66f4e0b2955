"""A body on its way through a scrubber: no faster than the client takes it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from gateway.scrub.scrubber import Scrubber

SLICE: Final = 64 * 1024
"""Bytes read between two turns of the event loop: less than a millisecond, ten where a text consists of escapes."""


class ScrubbedStream:
    """A body without the injected values. `told` is called with how many there were in a piece, and at the end once more."""

    __slots__ = ("_is_over", "_pending", "_scrubber", "_source", "_told")

    def __init__(self, source: AsyncIterator[bytes], scrubber: Scrubber, told: Callable[[int], None]) -> None:
        self._source = source
        self._scrubber = scrubber
        self._told = told
        self._pending = b""
        self._is_over = False

    def __aiter__(self) -> "ScrubbedStream":
        return self

    async def __anext__(self) -> bytes:
        while not self._is_over:
            if self._pending:
                piece, self._pending = self._pending[:SLICE], self._pending[SLICE:]
                if self._pending:
                    await asyncio.sleep(0)
                found = self._noted(self._scrubber.feed(piece))
            else:
                found = await self._more()
            if found:
                return found
        raise StopAsyncIteration

    async def _more(self) -> bytes:
        """Wait for more of the body, and at its end give the rest."""
        try:
            self._pending = await self._source.__anext__()
        except StopAsyncIteration:
            self._is_over = True
            rest = self._noted(self._scrubber.end())
            self._told(0)  # there may have been some in the trailers
            return rest
        return b""

    def _noted(self, given: bytes) -> bytes:
        if self._scrubber.found:
            self._told(self._scrubber.found)
            self._scrubber.found = 0
        return given
