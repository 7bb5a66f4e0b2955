"""One end of a tunnel: a connection that speaks frames, and what is known of it."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.core.pace import Pace
from gateway.taken import taken, waiting
from gateway.websocket.frames import Follower

if TYPE_CHECKING:
    from gateway.websocket.tunnel import Tunnel

DRIP: Final = 512
"""Bytes of an unfinished frame that count as progress: one byte now and then does not."""


class End(asyncio.Protocol):
    """A connection, the follower of what it sends, and the other end.

    `told` says that it was sent a Close, `gone` that it is lost; `received` and `sent` count bytes. `active` is when it last
    got on with a frame (loop time), `fresh` the same while none is under way; `drained` when it was last seen to take of what
    waits for it, which is looked at while it makes others wait and when the tunnel ends.
    """

    __slots__ = (
        "_frames", "_octets", "_pace", "_taken", "_tunnel", "active", "drained", "follower", "fresh", "full", "gone", "other",
        "received", "scrub", "sent", "told", "transport",
    )  # fmt: skip
    other: "End"

    def __init__(self, tunnel: "Tunnel", transport: asyncio.Transport, follower: Follower, now: float) -> None:
        self._tunnel = tunnel
        self.transport = transport
        self.follower = follower
        self.active = self.fresh = self.drained = now
        self.received = self.sent = self._frames = self._octets = self._taken = 0
        self._pace: Pace | None = None
        self.told = self.gone = self.full = False
        self.scrub: Callable[[bytes], bytes | None] | None = None

    # What the event loop tells

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._tunnel.arrived(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._tunnel.lost(self)

    def pause_writing(self) -> None:
        self.full = True
        self._taken = taken(self.transport)
        self.drained = self._tunnel.now()
        self.other.listen(False)

    def resume_writing(self) -> None:
        self.full = False
        self.other.listen(not self.other.follower.more)

    # What the tunnel does with it

    def listen(self, on: bool) -> None:
        """Read, or read no more for now."""
        if not (self.gone or self.transport.is_closing()):
            (self.transport.resume_reading if on else self.transport.pause_reading)()

    def send(self, data: bytes) -> None:
        """Write; nothing where it is gone. Without what `scrub` keeps back of it, which may be all from now on."""
        if self.scrub is not None and data:
            left = self.scrub(data)
            if left is None:
                self.cut()
                return
            data = left
        if data and not self.gone and not self.transport.is_closing():
            self.sent += len(data)
            self.transport.write(data)

    def close(self) -> None:
        """End it when everything is sent. Only once: asyncio's TLS transport cannot be asked anything after a second time."""
        if not self.transport.is_closing():
            self.transport.close()

    def cut(self) -> None:
        """End it now."""
        if not self.gone:
            self.transport.abort()

    def leave(self) -> None:
        """Both ends are gone: nobody is told of anything any more, and nothing refers in a circle."""
        del self._tunnel, self.other

    def look(self, now: float) -> None:
        """Note what happened since the last look."""
        follower = self.follower
        moved = follower.frames != self._frames or follower.octets - self._octets >= DRIP
        if moved:
            self._frames, self._octets, self.active = follower.frames, follower.octets, now
        if moved or not follower.is_within or self.other.full:  # nobody drips who is not listened to
            self.fresh = now
        if (self.full or self._pace is not None) and not self.gone:
            before, self._taken = self._taken, taken(self.transport)
            if self._taken > before:
                self.drained = now
                if self._pace is not None:
                    self._pace.gave(self._taken - before, now)

    def last(self, pace: Pace) -> None:
        """The tunnel ends: what was sent to it has to be taken at this pace."""
        self._pace = pace
        if not self.gone:
            pace.wait(self._tunnel.now())
            self._taken = taken(self.transport)

    def is_taking(self, now: float, within: float) -> bool:
        """Whether it takes what was sent to it, as fast as it has to, or did so less than `within` seconds ago.

        Under TLS the system's queue is empty also for the moment until the event loop has filled it again.
        """
        if self.gone or self._pace is None or self._pace.wait(now) <= now:
            return False
        return now - self.drained < within or waiting(self.transport) > 0

    def is_stuck(self, now: float, patience: float) -> bool:
        """Whether it drips at a frame, or reads nothing of what waits for it, for longer than `patience` seconds."""
        return now - self.fresh >= patience or (self.full and now - self.drained >= patience)
