"""An upstream's HTTP/2 connections: as few as its requests need, so many at most, each with so many requests at once."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, cast

from gateway.core.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.core.ports import Transport
from gateway.upstream.answer import ResponseFields
from gateway.upstream.dial import dial, shown
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.h2.conversation import Conversation
from gateway.upstream.h2.probe import Alone, answered
from gateway.upstream.h2.session import NotAgreedError, Session
from gateway.upstream.h2.session import Sessions as Owner
from gateway.upstream.h2.transport import StreamTransport
from gateway.upstream.judge import Judge
from gateway.upstream.lane import Lane
from gateway.upstream.model import Timeouts, Upstream
from gateway.upstream.tls import ClientTls
from gateway.upstream.waiting import Given, Queue


class Sessions:
    """Implements session.Sessions. `judge` is the upstream's, as for HTTP/1.1; `queue` are those who wait for a place."""

    def __init__(self, model: Upstream, judge: Judge, tls: ClientTls, count: Callable[..., None]) -> None:
        self._judge = judge
        self._tls = tls
        self._count = count
        self._limit = model.connections
        self._streams = model.streams
        self._all: set[Session] = set()
        self._dials = 0
        self._answers = 0
        most = model.connections * model.streams if model.max_pending_requests is None else model.max_pending_requests
        self.queue = Queue(most, self._return)

    # For the transports

    async def place(self, seconds: float, avoid: Lane | None = None) -> Session:
        """A connection with room, which keeps a place. `avoid` is a target that has just failed.

        Raises UpstreamOverloaded when the circuit is open, when too many wait, or when no place came free in `seconds`;
        UpstreamUnreachable, UpstreamTimeout.
        """
        self._judge.admit()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (session := self._free(avoid)) is None:
            if self._may_dial():
                # Used whatever is thought of its address: there is no better one.
                session = await self._dial(max(0.0, end - loop.time()), avoid)
                break
            await self.queue.wait(max(0.0, end - loop.time()))
        session.promise()
        return session

    def may_retry(self) -> bool:
        """Whether a request that failed may be sent once more."""
        return self._judge.may_retry(self._answers, unsent=False)

    # For the sessions

    def freed(self, session: Session) -> None:
        if session.room > 0:
            self.queue.give(None)

    def gone(self, session: Session) -> None:
        self._all.discard(session)
        self.queue.give(None)  # who may dial now

    def answered(self, conversation: Conversation, status: int) -> None:
        self._answers += 1
        self._judge.answered(conversation, status)

    def failed(self, conversation: Conversation, error: Exception) -> None:
        self._judge.failed(conversation, error)

    # For the upstream

    def transport(self, timeouts: Timeouts, fields: ResponseFields, *, host_by_target: bool) -> Transport:
        """One route's way."""
        return StreamTransport(self, timeouts, fields, host_by_target=host_by_target)

    async def probe(self, lane: Lane, endpoint: Endpoint, path: bytes, authority: bytes) -> int:
        """The status an address answers, for health checks. Raises OSError, UpstreamUnreachable."""
        session = await self._opened(Alone(), lane, endpoint)
        return await answered(session, path, authority)

    def close(self) -> None:
        """No more requests: connections end with the last one they carry."""
        for session in list(self._all):
            session.leave()

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return {
            "protocol": "HTTP/2",
            "connections": len(self._all),
            "streams": sum(session.load for session in self._all),
            "waiting": len(self.queue),
        }

    def levels(self) -> Iterator[tuple[str, float, dict[str, str]]]:
        """Gauges: metric, value, labels."""
        busy = sum(bool(session.load) for session in self._all)
        yield "gateway.upstream.connections", busy, {"state": "busy"}
        yield "gateway.upstream.connections", len(self._all) - busy, {"state": "idle"}
        yield "gateway.upstream.waiting", len(self.queue), {}

    # Inside

    def _free(self, avoid: Lane | None) -> Session | None:
        """The connection to use: of the target that has least to do; of another one only where no more may be opened."""
        chosen = self._judge.rotation.choose()
        able = [session for session in self._all if session.room > 0]
        if avoid is not None and len(self._judge.rotation.lanes) > 1:
            able = [session for session in able if session.lane is not avoid] or able
        mine = [session for session in able if session.lane is chosen]
        if not mine and self._may_dial():
            return None
        return min(mine or able, key=lambda session: session.load, default=None)

    def _may_dial(self) -> bool:
        """Whether to open one more: one at a time, unless more wait than it could serve."""
        if len(self._all) + self._dials >= self._limit:
            return False
        return self._dials == 0 or len(self.queue) >= self._dials * self._streams

    async def _dial(self, seconds: float, avoid: Lane | None) -> Session:
        """A new connection, with room at least for whoever asks. Raises UpstreamUnreachable, UpstreamTimeout."""
        self._dials += 1
        try:
            # asyncio.timeout needs a task, see server/run.py.
            await asyncio.sleep(0)
            session = await dial(self._judge.rotation.order(avoid), self._connected, seconds, self._judge.unreached)
        except (UpstreamUnreachable, UpstreamTimeout) as error:
            self._count("gateway.upstream.connect_failures")
            self._judge.unreachable()
            kind, detail = type(error), error.detail
            self.queue.refuse(lambda: kind(detail))
            raise
        finally:
            self._dials -= 1
            self.queue.give(None)
        if session.capacity <= 0:
            raise UpstreamUnreachable("the upstream takes no requests on a connection that it has just taken")
        for _ in range(session.room - 1):
            if not self.queue.give(None):
                break
        return session

    async def _connected(self, lane: Lane, endpoint: Endpoint) -> Session:
        """A connection to one address, for requests. Raises OSError."""
        session = await self._opened(self, lane, endpoint)
        self._all.add(session)
        return session

    async def _opened(self, owner: Owner, lane: Lane, endpoint: Endpoint) -> Session:
        target = lane.target
        session = Session(owner, lane, endpoint, shown(lane, endpoint), self._streams)
        context = self._tls.context() if target.secure else None
        name = target.host if target.secure else None
        protocol = cast("asyncio.BaseProtocol", session)
        await asyncio.get_running_loop().create_connection(
            lambda: protocol, endpoint.ip, target.port, ssl=context, server_hostname=name
        )
        # Before it has said how many exchanges it takes it might refuse some; and whoever speaks something else shows it here.
        greeted = False
        try:
            if not session.agreed:
                raise NotAgreedError
            await session.greeted
            greeted = True
        finally:
            if not greeted:
                session.greeted.cancel()
                session.abort()
        return session

    def _return(self, given: Given) -> None:
        """A place was offered to somebody who left: it goes to the next."""
        self.queue.give(given)
