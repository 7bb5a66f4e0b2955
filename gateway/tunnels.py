"""Open tunnels: carried from the 101 to their end, and asked again and again whether they may still be.

Who holds a tunnel was authenticated and allowed once, at its handshake. A key is revoked, a token expires, a policy or a route
changes, a session ends, a grant is taken back: then the same handshake would be refused now, and the tunnel ends with 1008
(policy violation).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic, time
from typing import Final

from gateway.authz.policy import enforce
from gateway.core.decision import AccessRequest
from gateway.core.errors import BadRequest, DependencyDown, Forbidden, GatewayError, InternalError
from gateway.core.exchange import Exchange
from gateway.core.handshake import Switched
from gateway.core.message import Inbound, Response
from gateway.core.ports import Writer
from gateway.credentials.plan import check_stands
from gateway.pipeline import Claim, routed
from gateway.snapshot import Current, Snapshot
from gateway.websocket.closing import INTERNAL, POLICY, TRY_LATER
from gateway.websocket.tunnel import Bounds, Ending, Tunnel

log = logging.getLogger(__name__)

TICK: Final = 1.0
"""Seconds between two looks for a new configuration and for credentials that have expired."""
REVIEW: Final = 5.0
"""Seconds after which every tunnel is asked again: keys are revoked, and conditions read the clock."""
SESSION: Final = "session"
"""The scheme of who logged in. His tunnels are asked at each tick; all of one session together cost its store one look."""
TOGETHER: Final = 64
"""Tunnels asked at one turn of the event loop."""


class Open:
    """One open tunnel: what carries it, the handshake that asked for it, and when that is to be judged again."""

    __slots__ = ("due", "every", "exchange", "inbound", "snapshot", "tunnel")

    def __init__(self, tunnel: Tunnel, inbound: Inbound, exchange: Exchange, snapshot: Snapshot) -> None:
        self.tunnel = tunnel
        self.inbound = inbound
        self.exchange = exchange
        self.snapshot = snapshot
        self.every = 0.0 if exchange.principal is not None and exchange.principal.scheme == SESSION else REVIEW
        self.due = monotonic() + self.every

    def is_due(self, snapshot: Snapshot) -> bool:
        """Whether it is to be judged again."""
        principal = self.exchange.principal
        expired = principal is not None and principal.expires is not None and principal.expires <= time()
        return expired or self.snapshot is not snapshot or self.due <= monotonic()


class Tunnels:
    """The open tunnels of one listener's app."""

    def __init__(self, current: Current, tell: Callable[[Exchange], None]) -> None:
        """`tell` is told of each tunnel as it opens."""
        self._current = current
        self._tell = tell
        self._open: set[Open] = set()
        self._watch: asyncio.Task[None] | None = None

    async def carry(
        self, response: Response, switched: Switched, inbound: Inbound, exchange: Exchange, writer: Writer
    ) -> BadRequest | None:
        """Write the 101 and carry the tunnel to its end. What it gives instead is to be answered, and nothing was written."""
        try:
            given = writer.switch(response)
            if given is None:
                return BadRequest("websocket: bytes before the handshake was answered", close=True)
            try:
                claim: Claim = inbound.claim
                loop, bounds = asyncio.get_running_loop(), bounds_of(claim)
                tunnel = Tunnel(loop, given.transport, switched.transport, bounds, given.patience, switched.scrub)
                self._tell(exchange)
                tunnel.start(switched.early, lost=switched.lost)
                given.carry(tunnel)
                await self._watched(Open(tunnel, inbound, exchange, self._current.snapshot))
            finally:
                given.done()
        finally:
            if response.abandon is not None:
                response.abandon()
        return None

    async def _watched(self, opened: Open) -> None:
        self._open.add(opened)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._review(), name="tunnels")
        try:
            note(opened.exchange, opened.tunnel, await opened.tunnel.ended)
        finally:
            self._open.discard(opened)
            if not self._open and self._watch is not None:
                self._watch.cancel()
                self._watch = None

    async def _review(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            snapshot = self._current.snapshot
            due = [opened for opened in self._open if opened.is_due(snapshot)]
            for start in range(0, len(due), TOGETHER):
                await self._judge(due[start : start + TOGETHER], snapshot)

    async def _judge(self, some: Sequence[Open], snapshot: Snapshot) -> None:
        """Together, lest one that waits for an issuer's keys keeps the others waiting."""
        for opened in some:
            opened.due, opened.snapshot = monotonic() + opened.every, snapshot
        outcomes = await asyncio.gather(*[allowed(opened, snapshot) for opened in some], return_exceptions=True)
        for opened, error in zip(some, outcomes, strict=True):
            if opened.tunnel.ended.done():
                continue
            if isinstance(error, GatewayError):
                opened.exchange.error = error.reason
                opened.tunnel.end(TRY_LATER if isinstance(error, DependencyDown) else POLICY, detail=error.detail)
            elif isinstance(error, Exception):  # a bug in this house: what cannot be judged is not allowed
                log.error("bug", exc_info=error, extra={"request_id": opened.exchange.id})
                opened.tunnel.end(INTERNAL, detail=type(error).__name__)


async def allowed(opened: Open, snapshot: Snapshot) -> None:
    """Whether the handshake would be let through now, by the rooms of the pipeline. Raises GatewayError where it would not."""
    inbound, exchange = opened.inbound, opened.exchange
    door = snapshot.doors.get(inbound.listener)
    if door is None:
        raise Forbidden("the listener is gone")
    claim = routed(door, door.intake.admit(inbound))
    request, service = claim.request, claim.route.service
    if service is None or service.sockets is None:
        raise Forbidden("the route takes no WebSockets any more")
    claim.route.cors.check(request)
    service.sockets.handshakes.asked(request)
    principal = await service.gate.authenticate(request)
    params = service.parameters.decoded(claim.captured)
    access = AccessRequest(request, claim.route.name or "", service.upstream, params, time())
    permit = enforce(principal, access, service.policy.decide(principal, access))
    obligations = permit.obligations
    if obligations is not None and obligations.shapes_answer:
        raise Forbidden("a rule says now what of answers may be seen")
    if exchange.principal is None or principal.key != exchange.principal.key:
        raise Forbidden("the credential is somebody else's now")
    if service.upstream != exchange.upstream:
        raise Forbidden("the route leads elsewhere now")
    await check_stands(service.injector, permit, exchange.credential)


def bounds_of(claim: Claim) -> Bounds:
    """What the route of a handshake grants the tunnel."""
    sockets = None if claim.route.service is None else claim.route.service.sockets
    if sockets is None:
        raise InternalError("an upstream switched where it was not asked to")
    return sockets.bounds


def note(exchange: Exchange, tunnel: Tunnel, ending: Ending) -> None:
    """What the tunnel's end tells about the exchange."""
    exchange.bytes_in, exchange.bytes_out = tunnel.client.received, tunnel.client.sent
    detail = f": {ending.detail}" if ending.detail else ""
    exchange.detail = f"websocket {ending.code} by the {ending.by}{detail}"
