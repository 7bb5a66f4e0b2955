"""One route's way to an upstream that speaks HTTP/2; implements core.ports.Transport."""

import asyncio
from typing import Protocol

from gateway.core.errors import InternalError, UpstreamUnreachable
from gateway.core.message import Outbound, Response
from gateway.upstream.answer import ResponseFields
from gateway.upstream.h2.conversation import Conversation
from gateway.upstream.h2.session import Session
from gateway.upstream.lane import Lane
from gateway.upstream.model import Timeouts
from gateway.upstream.transport import IDEMPOTENT
from gateway.upstream.upload import gather


class Places(Protocol):
    """Where connections with room come from."""

    async def place(self, seconds: float, avoid: Lane | None = None) -> Session: ...
    def may_retry(self) -> bool: ...


class StreamTransport:
    """Carries outbound requests of one route."""

    def __init__(self, sessions: Places, timeouts: Timeouts, fields: ResponseFields, *, host_by_target: bool) -> None:
        self._sessions = sessions
        self._timeouts = timeouts
        self._fields = fields
        self._host_by_target = host_by_target

    async def send(self, outbound: Outbound) -> Response:
        """The upstream's answer, its body streaming; what follows the body is in `trailers` when the stream is at its end.

        Raises UpstreamUnreachable, UpstreamTimeout, UpstreamOverloaded, and what the request's body raises.
        """
        body = outbound.body
        if body.length and body.whole is None:
            await gather(body)
        session = await self._sessions.place(self._timeouts.connect)
        retries = 0
        while True:
            authority = session.lane.authority if self._host_by_target else None
            conversation = session.begin(outbound, self._timeouts.response, self._timeouts.idle, authority)
            try:
                response: Response = await conversation.owner
            except asyncio.CancelledError:
                given_up(conversation)
                raise
            except UpstreamUnreachable:
                if retries or not is_repeatable(outbound, conversation) or not self._sessions.may_retry():
                    raise
            else:
                self._fields.complete(response, outbound)
                response.address = session.address
                response.retries = retries
                return response
            retries = 1
            session = await self._sessions.place(self._timeouts.connect, session.lane)

    async def upgrade(self, outbound: Outbound, protocols: tuple[bytes, ...]) -> Response:
        """Never: routes that take WebSockets lead to upstreams that speak HTTP/1.1, see settings/rules."""
        raise InternalError("no WebSocket goes to an HTTP/2 upstream")


def given_up(conversation: Conversation) -> None:
    """Nobody waits for the answer any more."""
    owner = conversation.owner
    conversation.disown(owner)
    if owner.done() and not owner.cancelled():
        owner.exception()  # told to nobody


def is_repeatable(outbound: Outbound, conversation: Conversation) -> bool:
    """Once more: what the upstream surely did not look at, or what is the same twice where nothing of an answer came.

    RFC 9113 8.7, RFC 9110 9.2.2; and only with a body that is still here.
    """
    if not (outbound.body.length == 0 or outbound.body.whole is not None):
        return False
    return conversation.unprocessed or (outbound.method in IDEMPOTENT and not conversation.seen)
