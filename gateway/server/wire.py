"""The transport of one connection as the protocol uses it: writing with backpressure, pausing, and ending well."""

import asyncio
from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl

from gateway.core.outbox import Outlet
from gateway.core.pace import NEVER, Pace
from gateway.server.listener import Bound
from gateway.taken import taken, waiting

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LINGER: Final = 2.0
"""Seconds a client that has taken the last answer gets to leave before the connection is torn down."""
LINGER_BYTES: Final = 256 * 1024
"""What is read and dropped of a client that goes on sending after its last answer."""


class Wire:
    """The sending side of a connection, and its end. Times are the event loop's seconds.

    `is_full` tells that whoever writes should wait for `drained`, `is_paused` that nothing is read.
    """

    __slots__ = (
        "_bound",
        "_discarded",
        "_end",
        "_ending",
        "_flow",
        "_outlet",
        "_pace",
        "_taken",
        "_transport",
        "flush",
        "is_full",
        "is_paused",
        "send",
        "send_soon",
    )

    def __init__(self, transport: asyncio.Transport, bound: Bound) -> None:
        self._transport = transport
        self._bound = bound
        self._outlet = Outlet(transport, bound.outbox)
        self.flush = self._outlet.flush
        self.send = self._outlet.send
        self.send_soon = self._outlet.send_soon
        self._flow = FlowControl(transport)
        self._pace: Pace | None = None
        self._taken = 0
        self._ending = False
        self._end = NEVER
        self._discarded = 0
        self.is_full = False
        self.is_paused = False

    @property
    def date(self) -> bytes:
        """The Date field, rendered."""
        return self._bound.date

    @property
    def is_closing(self) -> bool:
        """Whether the transport takes no more."""
        return self._transport.is_closing()

    async def drained(self) -> None:
        """Wait until the client has read enough of what was sent."""
        await self._flow.drain()

    def cut(self) -> None:
        """End now, unsent bytes and all: the client sees that something is missing. What waits for its turn counts as sent."""
        self._outlet.flush()
        self._transport.abort()

    def pause(self) -> None:
        """Read no more for now."""
        if not self._transport.is_closing():
            self.is_paused = True
            self._flow.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self._transport.is_closing():
            self.is_paused = False
            self._flow.resume_reading()

    def full(self, now: float) -> None:
        """The transport's buffer is over its mark: the client has to read some of it in time."""
        self.is_full = True
        self._flow.pause_writing()
        self._watch(now)

    def free(self) -> None:
        """The transport's buffer is low again, or the connection is gone: nobody has to wait any longer."""
        self.is_full = False
        self._flow.resume_writing()
        if not self._ending:
            self._pace = None

    def close(self, now: float) -> None:
        """End when everything is sent."""
        self.last(now)
        # Closed a second time, asyncio's TLS transport forgets its connection, and could not be aborted any more.
        if not self._transport.is_closing():
            self._transport.close()

    def last(self, now: float) -> None:
        """Nothing more will be written: the client has to take what there is, also what the system holds, and to leave."""
        self._outlet.flush()
        if not self._ending:
            self._ending = True
            self._watch(now)

    def close_gently(self, now: float) -> None:
        """End, but go on reading and dropping for a moment, lest a reset for unread bytes destroy the answer (RFC 9112 9.6).

        uvloop's TLS does the same by itself: its close waits for the peer's close_notify. asyncio's own ends with a reset at the
        first bytes that come meanwhile, whoever uses it, so that a client still sending may lose the answer there.
        """
        if not self._transport.can_write_eof():
            self.close(now)
            return
        self.resume()
        self.last(now)
        self._transport.write_eof()

    def discard(self, size: int, now: float, *, answering: bool) -> None:
        """Drop what nobody will read. When it is enough, end, or where an answer is still to come read no more."""
        self._discarded += size
        if self._discarded > LINGER_BYTES:
            if answering:
                self.pause()
            else:
                self.close(now)

    def check(self, now: float) -> None:
        """A client that takes what waits for it too slowly, or does not leave, is cut off."""
        pace = self._pace
        if pace is not None:
            before, self._taken = self._taken, taken(self._transport)
            if self._taken > before:
                pace.gave(self._taken - before, now)
                self._end = NEVER
            if self._ending and not waiting(self._transport):
                # It goes on being watched: the system's queue is empty also when it could not be filled again in time.
                self._end = min(self._end, now + LINGER)
            elif pace.wait(now) <= now:
                self._count()
                self._end = now
        if self._end <= now:
            self._pace, self._end = None, NEVER
            self._transport.abort()

    def _watch(self, now: float) -> None:
        self._pace = self._bound.patience()
        self._pace.wait(now)
        self._taken = taken(self._transport)

    def _count(self) -> None:
        bound = self._bound
        bound.metrics.count("gateway.connections.cut", 1, listener=bound.listener.name, reason="slow-reader")
