"""A request body on its way in: buffered up to a mark, limited, read once.

The protocol puts pieces in, the app takes them out; neither runs ahead of the other by more than HIGH_WATER.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Protocol

from gateway.core.errors import BadRequest, GatewayError
from gateway.core.reason import Reason

HIGH_WATER: Final = 64 * 1024


class Source(Protocol):
    """Where a body comes from: the connection."""

    def want(self) -> None:
        """The app waits for a piece: send 100 Continue where it is due, start the clock."""
        ...

    def hold(self) -> None:
        """Enough is buffered: stop reading from the client."""
        ...

    def relieve(self) -> None:
        """The buffer is empty: read on."""
        ...


class WholeBody:
    """A body of which all arrived with its head; implements core.message.Body. Errors: BadRequest with body-too-large."""

    __slots__ = ("length", "limit", "received", "whole")

    def __init__(self, whole: bytes, limit: int) -> None:
        self.whole: bytes | None = whole
        self.length: int | None = len(whole)
        self.limit = limit
        self.received = len(whole)

    async def read(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes."""
        if self.received > min(limit, self.limit):
            raise too_large()
        return self.whole or b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield await self.read(self.limit)


def too_large() -> BadRequest:
    """413 (RFC 9110 15.5.14): the rest of the body is not read, so the connection cannot be used again."""
    return BadRequest("body over the limit", reason=Reason.BODY_TOO_LARGE, close=True)


class StreamBody:
    """One request's body; implements core.message.Body for one reader.

    `limit` may be lowered (a route's own limit) before the first read. `expects` is true while the client waits for
    100 Continue. Errors: BadRequest with body-too-large, malformed-request or request-timeout.
    """

    __slots__ = ("_complete", "_error", "_held", "_pieces", "_source", "_waiter", "expects", "length", "limit", "received", "whole")

    def __init__(self, source: Source, length: int | None, limit: int, *, expects: bool) -> None:
        self.length = length
        self.limit = limit
        self.whole: bytes | None = None
        self.received = 0
        self.expects = expects
        self._source = source
        self._pieces: list[bytes] = []
        self._held = 0
        self._complete = False
        self._error: GatewayError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def waited_for(self) -> bool:
        """Whether the app is waiting for the client right now."""
        return self._waiter is not None

    def put(self, piece: bytes) -> None:
        """One piece arrived. Raises BadRequest when the body outgrows its limit."""
        self.expects = False
        self.received += len(piece)
        if self.received > self.limit:
            raise too_large()
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held > HIGH_WATER:
            self._source.hold()
        self._wake()

    def discard(self) -> None:
        """Nobody will read: what is buffered goes, what comes is not kept."""
        self._pieces.clear()
        self._held = 0
        self._source.relieve()

    def finish(self) -> None:
        """The body is complete."""
        self._complete = True
        self._wake()

    def fail(self, error: GatewayError) -> None:
        """The body cannot be completed: whoever reads is told why. After the end it changes nothing."""
        if not self._complete:
            self._error = error
            self._pieces.clear()
            self._wake()

    async def read(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes."""
        if self.whole is not None:
            return self.whole
        self.limit = min(limit, self.limit)
        if self._complete and self._error is None and self._held == self.received:  # there is nothing to wait for
            self._check()
            self.whole = self._take() if self._pieces else b""
        else:
            self.whole = b"".join([piece async for piece in self])
        return self.whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.whole is not None:
            if self.whole:
                yield self.whole
            return
        self._check()
        while piece := await self._next():
            yield piece

    def _check(self) -> None:
        """The limit once more: it may have been lowered after bytes arrived, or the announced length already passes it."""
        if self.received > self.limit or (self.length is not None and self.length > self.limit):
            raise too_large()

    async def _next(self) -> bytes:
        while True:
            if self._error is not None:
                raise self._error
            if self._pieces:
                return self._take()
            if self._complete:
                return b""
            await self._wait()

    def _take(self) -> bytes:
        pieces = self._pieces
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._held = 0
        self._source.relieve()
        return piece

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("a body has one reader")
        self._waiter = asyncio.get_running_loop().create_future()
        self._source.want()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
