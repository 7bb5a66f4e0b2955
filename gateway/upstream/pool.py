"""An upstream's connections: reused, bounded, waited for in a bounded queue."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from gateway.core.errors import UpstreamOverloaded
from gateway.core.ports import Metrics, Transport
from gateway.upstream.answer import ResponseFields
from gateway.upstream.connection import Connection
from gateway.upstream.dial import dial
from gateway.upstream.lane import Lane
from gateway.upstream.model import RouteTimeouts, Timeouts
from gateway.upstream.model import Upstream as UpstreamModel
from gateway.upstream.target import Resolve, parse_targets, resolve_by_system
from gateway.upstream.tls import ClientTls
from gateway.upstream.transport import UpstreamTransport

MOST_TARGETS_TRIED: Final = 3


class Upstream:
    """A named service behind us: a resource that outlives snapshots. Raises ValueError, naming the fix, for a bad model.

    Built without an event loop; used from one.
    """

    def __init__(self, name: str, model: UpstreamModel, *, metrics: Metrics, resolve: Resolve = resolve_by_system) -> None:
        self.name = name
        self._model = model
        self._metrics = metrics
        self._targets = parse_targets(model)
        self._lanes = [Lane(target, model, resolve) for target in self._targets]
        self._tls = ClientTls(model.tls)
        self._limit = model.connections
        self._turn = 0
        self._connections: set[Connection] = set()
        self._reserved = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._closing = False
        self.take: Callable[[bool], Connection | None] = self._lanes[0].take if len(self._lanes) == 1 else self._take_by_turns
        """An idle connection, without waiting. A request that may not be sent again gets only one used just now."""

    def transport(
        self, timeouts: RouteTimeouts, *, drop_cookies: bool, reserved_cookies: frozenset[bytes] = frozenset()
    ) -> Transport:
        """One route's way to this upstream. `reserved_cookies` are the gateway's own, which no upstream may set."""
        own = self._model.timeouts
        bounds = Timeouts.model_construct(
            connect=own.connect if timeouts.connect is None else timeouts.connect,
            response=own.response if timeouts.response is None else timeouts.response,
            idle=own.idle if timeouts.idle is None else timeouts.idle,
        )
        preserve = self._model.preserve_host
        fields = ResponseFields(self._targets, drop_cookies=drop_cookies, reserved_cookies=reserved_cookies, preserve_host=preserve)
        return UpstreamTransport(self, bounds, fields, host_by_target=len(self._lanes) > 1 and not preserve)

    async def close(self) -> None:
        """Idle connections end now, busy ones with their exchange. Requests still under way find new connections."""
        self._closing = True
        for lane in self._lanes:
            idle, lane.idle = lane.idle, []
            for connection in idle:
                connection.close()

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return {
            "targets": [lane.status() for lane in self._lanes],
            "connections": len(self._connections),
            "limit": self._limit,
            "waiting": sum(not waiter.done() for waiter in self._waiting),
        }

    # For the transports

    def _take_by_turns(self, repeatable: bool) -> Connection | None:
        self._turn = (self._turn + 1) % len(self._lanes)
        return self._ordered()[0].take(repeatable)

    async def connect(self, seconds: float) -> Connection:
        """A new connection, or when all are taken the first one handed back.

        Raises UpstreamOverloaded when too many wait already, or none came in `seconds`; UpstreamUnreachable, UpstreamTimeout.
        """
        while len(self._connections) + self._reserved >= self._limit:
            self._evict()
            handed = await self._handed(seconds)
            if handed is None:
                break
            if handed.is_usable():
                return handed
        else:
            self._reserved += 1
        return await self._dialled(seconds)

    def count(self, name: str, **labels: str) -> None:
        """Count something that happened beside the straight path."""
        self._metrics.count(name, upstream=self.name, **labels)

    # For the connections

    def release(self, connection: Connection) -> None:
        """An exchange ended well: the connection may serve another."""
        lane = connection.lane
        if self._closing or connection.ip not in lane.addresses.known:
            connection.close()
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        lane.idle.append(connection)

    def gone(self, connection: Connection) -> None:
        """A connection was lost: its place is free."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        if connection in connection.lane.idle:
            connection.lane.idle.remove(connection)
        self._offer_place()

    def poisoned(self) -> None:
        """An upstream sent what nobody had asked for."""
        self.count("gateway.upstream.poisoned")

    # Inside

    def _ordered(self) -> list[Lane]:
        """The targets in the order to try them: round robin, those that failed just now last."""
        turned = self._lanes[self._turn :] + self._lanes[: self._turn]
        return sorted(turned, key=Lane.is_ejected)[:MOST_TARGETS_TRIED]

    def _evict(self) -> None:
        """Give up an idle connection that could not be used, stale or of another target: its place is needed."""
        for lane in self._lanes:
            if lane.idle:
                lane.idle.pop(0).abort()
                return

    async def _handed(self, seconds: float) -> Connection | None:
        """A connection handed back, or None: a place to open one, reserved for the one who waited."""
        if len(self._waiting) >= self._limit:
            raise UpstreamOverloaded("too many requests wait for a connection")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Connection | None] = loop.create_future()
        alarm = loop.call_later(seconds, _give_up, waiter)
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._return(waiter.result())
            raise
        finally:
            alarm.cancel()
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def _return(self, connection: Connection | None) -> None:
        """What was handed to somebody who left meanwhile goes to the next."""
        if connection is None:
            self._reserved -= 1
            self._offer_place()
        elif connection.is_usable():
            self.release(connection)

    def _offer_place(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._reserved += 1
                waiter.set_result(None)
                return

    async def _dialled(self, seconds: float) -> Connection:
        """Turn a reserved place into a connection."""
        connection = None
        try:
            connection = await dial(self._ordered(), self, self._tls, seconds)
        finally:
            self._reserved -= 1
            if connection is not None and connection.is_usable():
                self._connections.add(connection)
            else:
                self.count("gateway.upstream.connect_failures")
                self._offer_place()
        return connection


def _give_up(waiter: "asyncio.Future[Connection | None]") -> None:
    if not waiter.done():
        waiter.set_exception(UpstreamOverloaded("no connection came free in time"))
