"""An upstream's connections: reused, bounded, waited for in a bounded queue, kept only where the upstream does well."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any, Final

from gateway.core.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.core.ports import Metrics, Transport
from gateway.upstream.answer import ResponseFields
from gateway.upstream.check import HealthChecks
from gateway.upstream.circuit import overloaded
from gateway.upstream.connection import Connection
from gateway.upstream.dial import connect, dial, uncount
from gateway.upstream.endpoint import KEPT
from gateway.upstream.judge import Judge
from gateway.upstream.lane import Lane
from gateway.upstream.model import RouteTimeouts, Timeouts
from gateway.upstream.model import Upstream as UpstreamModel
from gateway.upstream.quota import Metered, Quota
from gateway.upstream.target import FRESH, Resolve, is_literal, parse_targets, resolve_by_system
from gateway.upstream.tls import ClientTls, Shown
from gateway.upstream.transport import UpstreamTransport
from gateway.upstream.waiting import Given, Queue

if TYPE_CHECKING:
    from gateway.upstream.h2.sessions import Sessions

APART: Final = "/"
"""Between an upstream's name and that of a certificate, in metrics and for operators; it is in no name."""


def label(name: str, shown: Shown | None) -> str:
    """What the connections to an upstream are called."""
    return name if shown is None else f"{name}{APART}{shown.name}"


class Upstream:
    """A named service behind us: a resource that outlives snapshots. Raises ValueError, naming the fix, for a bad model.

    Built without an event loop; used from one.
    """

    def __init__(
        self,
        name: str,
        model: UpstreamModel,
        *,
        metrics: Metrics,
        resolve: Resolve = resolve_by_system,
        fresh: float = FRESH,
        shown: Shown | None = None,
    ) -> None:
        """`shown` is a certificate in place of the model's own: these connections are all of it."""
        self.name = label(name, shown)
        self._model = model
        self._metrics = metrics
        self._targets = parse_targets(model)
        self._lanes = [Lane(target, model, resolve, fresh) for target in self._targets]
        self._judge = Judge(self.name, model, self._lanes, count=self._count, refuse=self._refuse)
        self._rotation = self._judge.rotation
        for lane in self._lanes:
            lane.addresses.moved = partial(self._rotation.moved, lane)
        self._tls = ClientTls(model.tls, http2=model.http2, shown=shown)
        self._sessions = None if not model.http2 else self._multiplexed()
        self._fresh = fresh
        self._limit = model.connections
        self._connections: set[Connection] = set()
        self._reserved = 0
        self._queue = Queue(model.connections if model.max_pending_requests is None else model.max_pending_requests, self._return)
        self._waiting = self._queue.waiting
        self._answered = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._quotas: dict[str, Quota] = {}
        self.answered = self._judge.answered
        self.failed = self._judge.failed
        self.take: Callable[[bool], Connection | None] = self._lanes[0].take if len(self._lanes) == 1 else self._take_chosen
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
        if self._sessions is not None:
            return self._sessions.transport(bounds, fields, host_by_target=len(self._lanes) > 1 and not preserve)
        return UpstreamTransport(self, bounds, fields, host_by_target=len(self._lanes) > 1 and not preserve)

    def start(self) -> None:
        """It is live: what happens beside requests begins, unless it has."""
        if self._tasks:
            return
        if self._model.health_check is not None:
            probe = None if self._sessions is None else self._sessions.probe
            checks = HealthChecks(self._model.health_check, self._lanes, self._tls, self._judge.checked, probe)
            self._tasks.append(asyncio.create_task(checks.run()))
        if any(not is_literal(target.host) for target in self._targets):
            self._tasks.append(asyncio.create_task(self._refresh()))

    def metered(self, transport: Transport, *, credential: str, route: str) -> Transport:
        """The same way, heeding what this upstream says of its own limits, where that is configured."""
        model = self._model.quota
        if model is None:
            return transport
        if credential not in self._quotas:
            count = partial(self._metrics.count, upstream=self.name, credential=credential)
            self._quotas[credential] = Quota(f"{self.name.partition(APART)[0]}-quota", model, count)
        return Metered(transport, self._quotas[credential], route, model.per)

    async def close(self) -> None:
        """Idle connections end now, busy ones with their exchange. Requests still under way find new connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._rotation.close()
        if self._sessions is not None:
            self._sessions.close()

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return {
            "targets": [lane.status() for lane in self._lanes],
            "connections": len(self._connections),
            "limit": self._limit,
            "waiting": len(self._queue),
            **self._judge.status(),
            **({} if self._sessions is None else self._sessions.status()),
            **({"quotas": {name: quota.status() for name, quota in self._quotas.items()}} if self._quotas else {}),
        }

    def levels(self) -> Iterator[tuple[str, float, dict[str, str]]]:
        """Gauges for whoever looks: metric, value, labels."""
        if self._sessions is not None:
            yield from self._sessions.levels()
        else:
            idle = sum(len(lane.idle) for lane in self._lanes)
            yield "gateway.upstream.connections", len(self._connections) - idle, {"state": "busy"}
            yield "gateway.upstream.connections", idle, {"state": "idle"}
            yield "gateway.upstream.waiting", len(self._queue), {}
        yield from self._judge.levels()
        for name, quota in list(self._quotas.items()):
            yield from quota.levels(name, time())

    # For the transports

    def _take_chosen(self, repeatable: bool) -> Connection | None:
        chosen = self._rotation.choose()
        connection = chosen.take(repeatable)
        if connection is None and self._is_full():
            for lane in self._rotation.lanes:
                if (connection := lane.take(repeatable)) is not None:
                    break
        return connection

    async def connect(self, seconds: float, avoid: Lane | None = None) -> Connection:
        """A new connection, not to `avoid` where there are others, or when all are taken the first one handed back.

        Raises UpstreamOverloaded when the circuit is open, when too many wait already, or when none came in `seconds`;
        UpstreamUnreachable, UpstreamTimeout.
        """
        self._judge.admit()
        while self._is_full():
            self._evict()
            handed = await self._queue.wait(seconds)
            if handed is None:
                break
            if handed.is_usable() and handed.is_calm():
                return handed
        else:
            self._reserved += 1
        return await self._dialled(seconds, avoid)

    def may_retry(self, *, unsent: bool) -> bool:
        """Whether a request that failed may be sent once more; `unsent` says that nothing of it left."""
        return self._judge.may_retry(self._answered, unsent=unsent)

    # For the connections

    def release(self, connection: Connection) -> None:
        """An exchange ended well: the connection may serve another."""
        self._answered += 1
        if connection.endpoint.resting:
            connection.close()
        elif not (self._waiting and self._queue.give(connection)):
            connection.lane.idle.append(connection)

    def spent(self, connection: Connection, *, poisoned: bool) -> None:
        """An exchange ended well, and its connection with it; `poisoned` by more than was asked for."""
        self._answered += 1
        connection.endpoint.kept_until = asyncio.get_running_loop().time() + KEPT
        if poisoned:
            self.poisoned()

    def gone(self, connection: Connection) -> None:
        """A connection was lost: its place is free."""
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        uncount(connection)
        if connection in connection.lane.idle:
            connection.lane.idle.remove(connection)
        self._offer_place()

    def poisoned(self) -> None:
        """An upstream sent what nobody had asked for."""
        self._count("gateway.upstream.poisoned")

    # Inside

    def _multiplexed(self) -> "Sessions":
        """What carries requests where this upstream speaks HTTP/2."""
        from gateway.upstream.h2.sessions import Sessions  # which brings HPACK along

        return Sessions(self._model, self._judge, self._tls, self._count)

    def _is_full(self) -> bool:
        return len(self._connections) + self._reserved >= self._limit

    def _count(self, name: str, **labels: str) -> None:
        """Count something that happened beside the straight path."""
        self._metrics.count(name, upstream=self.name, **labels)

    def _refuse(self) -> None:
        queue = self._queue if self._sessions is None else self._sessions.queue
        queue.refuse(lambda: overloaded("the circuit is open"))

    async def _refresh(self) -> None:
        """Ask for the addresses of names while they are in use: requests on kept connections never do."""
        while True:
            await asyncio.sleep(self._fresh / 2)
            for lane in self._lanes:
                if lane.open:
                    with suppress(UpstreamUnreachable):
                        await lane.addresses.current()

    def _evict(self) -> None:
        """Give up an idle connection that could not be used, stale or of another target: its place is needed."""
        for lane in self._lanes:
            if lane.idle:
                lane.idle.pop(0).abort()
                return

    def _return(self, given: Given) -> None:
        """What was handed to somebody who left meanwhile goes to the next."""
        if given is None:
            self._reserved -= 1
            self._offer_place()
        elif given.is_usable():
            self._answered -= 1  # which `release` counts, and is counted already
            self.release(given)

    def _offer_place(self) -> None:
        if self._waiting and self._queue.give(None):
            self._reserved += 1

    async def _dialled(self, seconds: float, avoid: Lane | None) -> Connection:
        """Turn a reserved place into a connection."""
        made = False
        try:
            # asyncio.timeout needs a task, see server/run.py; and those who begin together must see each other's dials.
            await asyncio.sleep(0)
            made_by = partial(connect, pool=self, tls=self._tls)
            connection = await dial(self._rotation.order(avoid), made_by, seconds, self._judge.unreached)
            made = connection.is_usable()
        except (UpstreamUnreachable, UpstreamTimeout):
            self._count("gateway.upstream.connect_failures")
            self._judge.unreachable()
            raise
        finally:
            self._reserved -= 1
            if not made:
                self._offer_place()
        if made:
            self._connections.add(connection)
        else:
            uncount(connection)
        return connection
