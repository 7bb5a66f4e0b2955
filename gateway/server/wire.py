"""The transport of one connection as the protocol uses it: writing with backpressure, pausing, and ending well."""

import asyncio
import math
from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl

from gateway.core.outbox import Outlet
from gateway.server.listener import Bound

NEVER: Final = math.inf
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LINGER: Final = 2.0
"""Seconds a client gets to read the last answer before the connection is torn down."""
LINGER_BYTES: Final = 256 * 1024
"""What is read and dropped of a client that goes on sending after its last answer."""


class Wire:
    """The sending side of a connection, and its end. Times are the event loop's seconds.

    `is_full` tells that whoever writes should wait for `drained`, `is_paused` that nothing is read.
    """

    __slots__ = (
        "_backlog",
        "_bound",
        "_discarded",
        "_flow",
        "_outlet",
        "_patience",
        "_stall",
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
        self._patience = bound.listener.limits.body_idle
        self._stall = NEVER
        self._backlog = 0
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
        self._watch(now, self._patience)

    def free(self) -> None:
        """The transport's buffer is low again, or the connection is gone: nobody has to wait any longer."""
        self.is_full = False
        self._flow.resume_writing()
        self._stall = NEVER

    def close(self, now: float) -> None:
        """End when everything is sent."""
        self._outlet.flush()
        self._watch(now, self._patience if self._transport.get_write_buffer_size() else LINGER)
        self._transport.close()

    def close_gently(self, now: float) -> None:
        """End, but go on reading and dropping for a moment, lest a reset for unread bytes destroy the answer (RFC 9112 9.6).

        TLS does the same by itself: its close waits for the peer's close_notify.
        """
        if not self._transport.can_write_eof():
            self.close(now)
            return
        self.resume()
        self._outlet.flush()
        self._transport.write_eof()
        self._watch(now, self._patience if self._transport.get_write_buffer_size() else LINGER)

    def discard(self, size: int) -> bool:
        """Count what is dropped; False when it is enough."""
        self._discarded += size
        return self._discarded <= LINGER_BYTES

    def check(self, now: float) -> None:
        """A client that neither reads nor leaves is cut off; one that reads, however slowly, is waited for."""
        if self._stall > now:
            return
        backlog = self._transport.get_write_buffer_size()
        if 0 < backlog < self._backlog:
            self._watch(now, self._patience)
        else:
            self._stall = NEVER
            self._transport.abort()

    def _watch(self, now: float, patience: float) -> None:
        self._backlog = self._transport.get_write_buffer_size()
        self._stall = now + patience
