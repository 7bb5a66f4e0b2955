"""Two ends that speak RFC 6455 through the gateway: bytes carried as they are, ended when either end, or the gateway, ends it."""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.core.pace import Pace
from gateway.websocket.closing import GOING_AWAY, INTERNAL, POLICY, close_frame
from gateway.websocket.end import End
from gateway.websocket.frames import Follower, Violation

CLOSE_WITHIN: Final = 5.0
"""Seconds from the first Close, or from when an end has taken what was sent to it, to the end of both connections."""
CLIENT: Final = "client"
UPSTREAM: Final = "upstream"
GATEWAY: Final = "gateway"


class Bounds:
    """What one route grants its tunnels: seconds of silence, bytes of a message, tunnels on the route and of one principal."""

    __slots__ = ("connections", "idle", "message", "per_principal")

    def __init__(self, *, idle: float, message: int, connections: int, per_principal: int) -> None:
        self.idle = idle
        self.message = message
        self.connections = connections
        self.per_principal = per_principal


class Ending:
    """Why a tunnel ended: the close code, who spoke it first, and what the trail is told besides."""

    __slots__ = ("by", "code", "detail")

    def __init__(self, code: int, by: str, detail: str) -> None:
        self.code = code
        self.by = by
        self.detail = detail


class Tunnel:
    """Carries frames between a client and an upstream until both connections are gone; `ended` brings why.

    `patience` makes the pace at which an end has to take what waits for it once nothing more follows.
    `scrub` says what of the frames for the client may go on.
    """

    __slots__ = ("_deadline", "_ending", "_idle", "_loop", "_patience", "client", "ended", "now", "upstream")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: asyncio.Transport,
        upstream: asyncio.Transport,
        bounds: Bounds,
        patience: Callable[[], Pace],
        scrub: Callable[[bytes], bytes | None] | None = None,
    ) -> None:
        self._patience = patience
        self._loop = loop
        self.now = loop.time
        self._idle = bounds.idle
        self._deadline: float | None = None
        self._ending: Ending | None = None
        self.ended: asyncio.Future[Ending] = loop.create_future()
        now = self.now()
        self.client = End(self, client, Follower(masked=True, most=bounds.message), now)
        self.upstream = End(self, upstream, Follower(masked=False, most=bounds.message), now)
        self.client.scrub = scrub
        self.client.other, self.upstream.other = self.upstream, self.client

    def start(self, early: bytes, *, lost: bool) -> None:
        """Take both connections over. `early` came from the upstream already; `lost` says that it is gone since."""
        self.client.transport.set_protocol(self.client)
        self.upstream.transport.set_protocol(self.upstream)
        if early:
            self.upstream.data_received(early)
        if lost:
            self.lost(self.upstream)
        elif not self.client.full:
            self.upstream.listen(not self.upstream.follower.more)

    # What the ends tell

    def arrived(self, end: End, data: bytes) -> None:
        """Bytes of an end: what is in order goes to the other one."""
        follower = end.follower
        try:
            passed = follower.feed(data)
        except Violation as violation:
            self._pass(end, violation.passed)
            self._violated(end, violation)
            return
        self._pass(end, passed)
        if follower.more:
            end.listen(False)
            self._loop.call_soon(self._go_on, end)
        if self._ending is not None or follower.code is not None:
            self._settle(end)

    def lost(self, end: End) -> None:
        """An end's connection is gone; what it sent before still counts."""
        while end.follower.more and not end.other.gone:
            self.arrived(end, b"")
        end.gone = True
        if end.other.gone:
            self._over()
        elif not end.other.told:
            code = INTERNAL if end is self.upstream else GOING_AWAY
            self.end(code, self._name(end), "the connection was lost")

    # What the gateway decides

    def end(self, code: int, by: str = GATEWAY, detail: str = "", *, patient: bool = False) -> None:
        """End the tunnel: a Close to both ends, then their connections, CLOSE_WITHIN seconds after they took what was sent.

        An end that is in the middle of a frame cannot be told: it is cut off, or where one is `patient` told behind it.
        """
        self._begin_end(Ending(code, by, detail))
        for end in (self.client, self.upstream):
            if end.told or end.gone:
                continue
            end.other.follower.stop()
            if not end.other.follower.left:
                self._tell(end, code)
            elif not patient:
                end.cut()

    def leave(self) -> None:
        """The listener takes no more."""
        self.end(GOING_AWAY, GATEWAY, "going away", patient=True)

    def cut(self) -> None:
        """End both connections now."""
        self._begin_end(Ending(GOING_AWAY, GATEWAY, "cut off"))
        self.client.cut()
        self.upstream.cut()

    def check(self, now: float) -> None:
        """A tick of the clock."""
        self.client.look(now)
        self.upstream.look(now)
        if self._deadline is not None:
            if self._deadline <= now and not (
                self.client.is_taking(now, CLOSE_WITHIN) or self.upstream.is_taking(now, CLOSE_WITHIN)
            ):
                self.cut()
            return
        if now - max(self.client.active, self.upstream.active) >= self._idle:
            self.end(GOING_AWAY, GATEWAY, "idle")
        for end in (self.client, self.upstream):
            if end.is_stuck(now, self._idle):
                self.end(POLICY, GATEWAY, f"the {self._name(end)} is stuck")

    # Inside

    def _go_on(self, end: End) -> None:
        if end.follower.more and not end.gone:
            end.listen(not end.other.full)
            self.arrived(end, b"")

    def _pass(self, end: End, data: bytes) -> None:
        """Nothing follows a Close."""
        if not end.other.told:
            end.other.send(data)

    def _violated(self, end: End, violation: Violation) -> None:
        if end.told:
            end.cut()  # it was told to go, and goes on like this
        else:
            self.end(violation.code, GATEWAY, f"the {self._name(end)}: {violation}")

    def _settle(self, end: End) -> None:
        """Something of `end` passed while the tunnel ends, or makes it end."""
        other, code = end.other, end.follower.code
        if code is not None and not other.told:
            self._begin_end(Ending(code, self._name(end), ""))
            other.told = True
        elif self._ending is not None and end.follower.sealed and not (other.told or other.gone):
            self._tell(other, self._ending.code)
        for each in (end, other):
            if each.told and each.follower.code is not None and not each.gone:
                each.close()

    def _tell(self, end: End, code: int) -> None:
        end.send(close_frame(code, masked=end is self.upstream))
        end.told = True
        end.other.listen(True)  # to hear its Close, or that it is gone; nothing of it passes any more
        if end.follower.code is not None:
            end.close()
        elif end.follower.broken and end.transport.can_write_eof():
            end.transport.write_eof()  # its Close would not be understood

    def _begin_end(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
            self._deadline = self.now() + CLOSE_WITHIN
            self.client.last(self._patience())
            self.upstream.last(self._patience())

    def _over(self) -> None:
        if not self.ended.done():
            self.ended.set_result(self._ending or Ending(GOING_AWAY, GATEWAY, ""))
        for end in (self.client, self.upstream):
            end.leave()

    def _name(self, end: End) -> str:
        return CLIENT if end is self.client else UPSTREAM
