"""One stream (RFC 9113 5.1): its windows, what waits to be sent on it, and which ends of it are still open."""

import asyncio
from typing import Any, Final

LOW: Final = 16 * 1024
"""Bytes of one stream that may wait for a window before whoever writes has to."""


class Stream:
    """A live stream. `user` is whoever it is about, as the link's owner knows it.

    `window` is how much may be sent, `credit` how much the other end may still send, `owed` what was taken and not given back to
    it as credit. `waiting` are bytes of a body that wait for a window, and `ending` what follows them: None while there may be
    more, b"" for nothing, else a block of trailers. `heard` and `said` tell that the other end, and ours, has ended it; `sent`
    counts bytes of bodies that left.
    """

    __slots__ = (
        "closed", "credit", "ending", "heard", "id", "is_ready", "owed", "room", "said", "sent", "user", "waiting", "window",
    )  # fmt: skip

    def __init__(self, id: int, *, window: int, credit: int) -> None:
        self.id = id
        self.window = window
        self.credit = credit
        self.owed = 0
        self.waiting = bytearray()
        self.ending: bytes | None = None
        self.heard = self.said = self.closed = self.is_ready = False
        self.sent = 0
        self.room: asyncio.Future[None] | None = None
        self.user: Any = None

    @property
    def is_full(self) -> bool:
        """Whether to wait for `drained` before more is written."""
        return len(self.waiting) > LOW and not self.closed

    async def drained(self) -> None:
        """Wait until little of what was written waits for a window, or the stream is no more."""
        while self.is_full:
            self.room = asyncio.get_running_loop().create_future()
            try:
                await self.room
            finally:
                self.room = None

    def wake(self) -> None:
        """Something left, or nothing ever will."""
        if self.room is not None and not self.is_full and not self.room.done():
            self.room.set_result(None)

    def close(self) -> None:
        """It is no more."""
        self.closed = self.heard = self.said = True
        self.waiting.clear()
        self.wake()
