"""An answer's body on its way through: bounded, waiting for whoever is slower."""

import asyncio
from typing import Final, Protocol

from gateway.upstream.owner import Owner

HIGH: Final = 256 * 1024
"""Bytes held before the upstream is asked to wait."""


class Flow:
    """Whether the other end takes more: `full` while it does not."""

    __slots__ = ("_waiter", "full")

    def __init__(self) -> None:
        self.full = False
        self._waiter: asyncio.Future[None] | None = None

    async def resumed(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait until it does."""
        self._waiter = loop.create_future()
        await self._waiter

    def wake(self) -> None:
        """It takes more, or nothing ever again."""
        self.full = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Source(Protocol):
    """The connection a body comes from, as far as the body needs to know it."""

    def resume(self) -> None: ...
    def disown(self, owner: Owner) -> None: ...


class BodyStream:
    """The rest of an answer's body. Raises what broke it, so that a cut never looks like an end.

    Once it is over it refers neither to the connection nor to who waited for the answer, which refers to it.
    """

    __slots__ = ("_ended", "_error", "_owner", "_pieces", "_source", "_waiter", "size")

    def __init__(self, source: Source, owner: Owner) -> None:
        self._source: Source | None = source
        self._owner: Owner | None = owner
        self._pieces: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._ended = False
        self.size = 0

    def __aiter__(self) -> "BodyStream":
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        pieces, self._pieces, self.size = self._pieces, [], 0
        if self._source is not None:
            self._source.resume()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def feed(self, pieces: list[bytes]) -> None:
        """Take over pieces that arrived."""
        self._pieces += pieces
        self.size += sum(map(len, pieces))
        self._wake()

    def end(self) -> None:
        """The body is complete."""
        self._ended = True
        self._source = self._owner = None
        self._wake()

    def fail(self, error: Exception) -> None:
        """The body will never be complete."""
        self._error = error
        self._source = self._owner = None
        self._wake()

    def abandon(self) -> None:
        """Nobody wants the rest: end the upstream connection it would come on. Harmless after the end."""
        source, owner, self._source, self._owner = self._source, self._owner, None, None
        if source is not None and owner is not None:
            source.disown(owner)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
