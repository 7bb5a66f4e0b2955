"""One route's way to an upstream: send a request, bring the answer's head back, once more where that is safe."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from gateway.core.errors import InternalError, UpstreamUnreachable
from gateway.core.message import Outbound, Response
from gateway.upstream.answer import ResponseFields
from gateway.upstream.connection import Connection
from gateway.upstream.head import render
from gateway.upstream.lane import Lane
from gateway.upstream.model import Timeouts
from gateway.upstream.switch import switch
from gateway.upstream.upload import gather, upload

IDEMPOTENT: Final = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS"))
"""RFC 9110 9.2.2, without TRACE, which is never admitted."""


class Connections(Protocol):
    """Where connections come from."""

    @property
    def take(self) -> Callable[[bool], Connection | None]: ...
    async def connect(self, seconds: float, avoid: Lane | None = None) -> Connection: ...
    def may_retry(self, *, unsent: bool) -> bool: ...
    @property
    def answered(self) -> Callable[[Connection, int], None]: ...


class UpstreamTransport:
    """Carries outbound requests of one route."""

    def __init__(self, connections: Connections, timeouts: Timeouts, fields: ResponseFields, *, host_by_target: bool) -> None:
        self._connections = connections
        self._take = connections.take
        self._connect = timeouts.connect
        self._response = timeouts.response
        self._idle = timeouts.idle
        self._fields = fields
        self._host_by_target = host_by_target

    async def send(self, outbound: Outbound) -> Response:
        """The upstream's answer, its body streaming where it did not come in one go.

        Raises UpstreamUnreachable, UpstreamTimeout, UpstreamOverloaded, and what the request's body raises.
        """
        body = outbound.body
        if body.length and body.whole is None:
            await gather(body)
        repeatable = (body.length == 0 or body.whole is not None) and outbound.method in IDEMPOTENT
        take = self._take
        connection = take(repeatable)
        if connection is None:
            connection = await self._connections.connect(self._connect)
        retries = 0
        while True:
            try:
                head = render(outbound, connection.lane.authority if self._host_by_target else None)
            except InternalError:
                connection.close()
                raise
            owner = connection.begin(head, self._response, self._idle, outbound.head)
            owner.asked = outbound
            if body.length != 0 and body.whole is None and not owner.done():
                connection.carry(asyncio.get_running_loop().create_task(upload(connection, body)))
            try:
                response: Response = await owner
            except asyncio.CancelledError:
                connection.disown(owner)
                if owner.done() and not owner.cancelled():
                    owner.exception()  # told to nobody any more
                raise
            except UpstreamUnreachable:
                # Once, and only what never left, or (RFC 9110 9.2.2) if nothing of an answer came and twice is the same as once.
                unsent = connection.unsent and (body.length == 0 or body.whole is not None)
                again = unsent or (repeatable and not connection.seen)
                if retries or not again or not self._connections.may_retry(unsent=unsent):
                    raise
            else:
                self._fields.complete(response, outbound)
                response.address = connection.address
                response.retries = retries
                return response
            retries = 1
            connection = await self._connections.connect(self._connect, connection.lane)

    async def upgrade(self, outbound: Outbound, protocols: tuple[bytes, ...]) -> Response:
        """The upstream's answer to a WebSocket handshake of ours, see `switch`. Nothing is sent twice."""
        connections = self._connections
        connection = await connections.connect(self._connect)
        authority = connection.lane.authority if self._host_by_target else None
        response = await switch(connection, outbound, protocols, authority=authority, response=self._response, idle=self._idle)
        if response.switched is not None and connection.lane.doubted:
            connections.answered(connection, response.status)
        self._fields.complete(response, outbound)
        response.address = connection.address
        return response
