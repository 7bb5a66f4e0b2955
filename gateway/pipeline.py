"""THE order. A request is carried through the rooms here: `respond`, where it raises `refused`, and always `finished`."""

import logging
import re
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Final

from gateway import honour
from gateway.authz.full import trace
from gateway.authz.policy import enforce
from gateway.core.decision import AccessRequest, Permit
from gateway.core.errors import GatewayError, InternalError, Withheld
from gateway.core.exchange import Exchange
from gateway.core.message import NO_BODY, Inbound, Outbound, Request, Response
from gateway.core.obligations import Obligations, Shaped
from gateway.core.ports import Renewing, Shaping, Transport
from gateway.core.principal import ANONYMOUS
from gateway.core.shape import split
from gateway.edge import hops
from gateway.edge.media import bound
from gateway.edge.problem import render
from gateway.edge.websocket import Offer
from gateway.snapshot import Door, Route, Service
from gateway.websocket.places import Place

log = logging.getLogger(__name__)

LONGEST_TRIED: Final = 256
# What may hold secrets: a query, and a fragment, in which OAuth's implicit grant carries tokens.
UNTOLD: Final = re.compile(rb"[?#]")
# What a trusted proxy may choose; anything else is replaced by our own.
REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


def refused(error: GatewayError, inbound: Inbound, exchange: Exchange, door: Door) -> Response:
    """The answer where `respond` raised. What failed as a credential is counted."""
    door.watch.failed(exchange.client, error)
    note_error(exchange, error)
    claim: Claim | None = inbound.claim
    if claim is not None and claim.route.resource is not None:
        error.headers = claim.route.resource.pointed(error.headers)
    if not exchange.path:
        note_target(exchange, inbound)
    service = None if claim is None else claim.route.service
    elsewhere = service.gate.elsewhere(claim.request, error) if error.status == 401 and claim and service else None
    return elsewhere or render(error, request_id=exchange.id, now=exchange.time)


def finished(response: Response, inbound: Inbound, exchange: Exchange, door: Door) -> Response:
    """The last stage of every answer. Should it break, an answer that says nothing comes out in place of the one it broke on.

    Once a request has a route, even a refusal carries the route's CORS fields.
    """
    exchange.status = response.status
    claim: Claim | None = inbound.claim
    finish = door.finish if claim is None else claim.route.finish
    try:
        return finish.complete(response, inbound, exchange)
    except Exception as bug:
        log.exception("bug", extra={"request_id": exchange.id, "route": exchange.route})
        if response.abandon is not None:
            response.abandon()
        blandly = InternalError(type(bug).__name__, close=True)
        note_error(exchange, blandly)
        exchange.status = blandly.status
        return render(blandly, request_id=exchange.id, now=exchange.time)


class Claim:
    """An admitted request and the route that claims it, by a door of one generation.

    `captured` are the segments the pattern caught, `params` what they are decoded to, once a request got that far; `memo` is for
    the observers of those that come again.
    """

    __slots__ = ("captured", "door", "memo", "params", "request", "route")

    def __init__(self, door: Door, request: Request, route: Route, captured: tuple[str, ...]) -> None:
        self.door = door
        self.request = request
        self.route = route
        self.captured = captured
        self.params: dict[str, str] | None = None
        self.memo: dict[object, Any] = {}


def claimed(inbound: Inbound, exchange: Exchange, door: Door) -> Claim:
    """Admit a request and find its route, unless that was done when it came before."""
    claim: Claim | None = inbound.claim
    inbound.claim = None  # what is refused here has no route, whatever came before
    ensure_room = door.ensure_room
    ensure_room()
    again = claim if claim is not None and claim.door is door else None
    request = door.intake.admit(inbound) if again is None else again.request
    head = request.head
    exchange.client = head.client
    if door.blocked:
        door.watch.refuse(head.client)
    claim = inbound.claim = routed(door, request) if again is None else again
    if again is not None:
        exchange.memo = again.memo
    exchange.host = head.authority
    exchange.path = request.path
    exchange.query = request.query
    exchange.secure = head.secure
    exchange.trusted = head.trusted
    if head.trusted:
        presented = head.fields.get(b"x-request-id")
        if presented is not None and REQUEST_ID.fullmatch(presented):
            exchange.id = presented.decode("ascii")
    exchange.route = claim.route.name
    return claim


def routed(door: Door, request: Request) -> Claim:
    """Find the route of a request. A preflight is claimed by the method it announces, where that path answers preflights."""
    host, fields = request.head.host, request.head.fields
    if request.method == "OPTIONS" and b"origin" in fields:
        announced = fields.get(b"access-control-request-method")
        if announced is not None:
            route, captured = door.table.match(host, request.segments, announced.decode("latin-1"))
            if route.cors.answers:
                return Claim(door, request, route, captured)
    return Claim(door, request, *door.table.match(host, request.segments, request.method))


async def respond(inbound: Inbound, exchange: Exchange, door: Door) -> Response:
    """Carry a request through the rooms, to its upstream and back. Raises GatewayError where a room refuses it: see `refused`.

    What need not wait is not awaited: that costs as much as a stage.
    """
    claim = claimed(inbound, exchange, door)
    request, route = claim.request, claim.route
    if request.method == "OPTIONS" and (answer := route.cors.preflight(request)) is not None:
        return answer
    told = taken_here(request, door) if request.method == "OPTIONS" else None
    limits = route.address_limits
    spent = limits.take(request, None)
    exchange.policies, exchange.allowances = await limits.spend(request, None) if spent is None else spent
    service = route.service
    if service is None:
        return await own(route, request, exchange)
    exchange.upstream = service.upstream
    if (params := claim.params) is None:
        params = claim.params = service.parameters.decoded(claim.captured)
    exchange.params = params
    route.cors.check(request)
    offer = None if service.sockets is None else service.sockets.handshakes.asked(request)
    principal = exchange.principal = service.gate.recalled(request) or await service.gate.authenticate(request)
    if door.tried:
        door.watch.succeeded(exchange.client, principal)
    access = AccessRequest(request, route.name or "", service.upstream, params, exchange.time)
    policy = service.policy
    if policy.reads_body and request.body is not NO_BODY:
        await honour.inspect(policy.cell(request.method), access, service.inspected)
    decision = exchange.decision = policy.decide(principal, access)
    if principal.break_glass:
        honour.note_break_glass(policy, access, exchange, service.metrics)
    permit = enforce(principal, access, decision)
    limits = service.principal_limits
    spent = limits.take(request, principal)
    policies, allowances = await limits.spend(request, principal) if spent is None else spent
    exchange.policies += policies
    exchange.allowances += allowances
    if permit.obligations is not None:
        await honoured(permit.obligations, permit, service, exchange)
    if request.body is not NO_BODY or service.validation.wants_body:
        await service.validation.validate(request)
    return told if told is not None else await forwarded(request, service, permit, exchange, offer)


async def own(route: Route, request: Request, exchange: Exchange) -> Response:
    """The gateway's own answer, by a route that leads nowhere: it has no service, so there is nothing to inject into."""
    if route.answer is not None:
        return route.answer(request)
    if route.asked is None:
        raise InternalError("a route answers itself or leads to a service, see build.py")
    return await route.asked(request, exchange)


def taken_here(request: Request, door: Door) -> Response | None:
    """What an OPTIONS that goes no further is told where it is allowed. Asked at once: a reload takes the table apart."""
    return hops.told(door.table.methods(request.head.host, request.segments)) if hops.ends_here(request) else None


async def forwarded(request: Request, service: Service, permit: Permit, exchange: Exchange, offer: Offer | None) -> Response:
    """Send what was allowed to its upstream, with the credential, and note what came back."""
    obligations = permit.obligations
    outbound = service.fields.outbound(request, permit.principal, exchange)
    if obligations is not None and obligations.set_headers:
        outbound.lines.append(honour.said(obligations, permit))
    shaping = None
    if obligations is not None and obligations.shapes_answer:
        shaping = prepared(outbound, obligations, service, offer)
    exchange.upstream_target = outbound.target  # before a credential may become part of it
    used = service.injector.name
    if (coming := service.injector.inject(outbound, permit)) is not None:
        used = await coming or used
    exchange.credential = used
    sent = exchange.upstream_started = monotonic()
    response = await (service.transport.send(outbound) if offer is None else upgraded(service, outbound, offer, exchange))
    if response.status == 401 and service.renew is not None and offer is None:
        response = await once_more(response, outbound, permit, service.transport, service.renew)
    exchange.source = "upstream"
    exchange.upstream_seconds = monotonic() - sent
    exchange.upstream_status = response.status
    exchange.upstream_address = response.address
    exchange.retries = response.retries
    if outbound.secrets and service.scrubbing is not None:
        service.scrubbing.scrub(response, outbound, exchange)
    if shaping is None or obligations is None:
        return response
    told = exchange.shaped = Shaped()
    return await shaping.shape(response, obligations, permit, told)


async def once_more(response: Response, outbound: Outbound, permit: Permit, transport: Transport, renew: Renewing) -> Response:
    """The answer to the same request with another credential, where an upstream refused one that may have ended before its time.

    Once, and only what is at hand whole: a 401 says that nothing was done (RFC 9110 15.5.2), so any method may be asked again.
    """
    body = outbound.body
    if body.length != 0 and body.whole is None:
        return response
    renewed = None
    try:
        renewed = await renew(outbound, permit)
    finally:
        if renewed is not False and response.abandon is not None:
            response.abandon()  # also where there is no other credential to be had now: the answer is not for the client then
    if not renewed:
        return response
    again = await transport.send(outbound)
    again.retries += 1
    return again


def prepared(outbound: Outbound, obligations: Obligations, service: Service, offer: Offer | None) -> Shaping:
    """Ask for an answer that can be looked into, and who does that. Raises Withheld where nobody can."""
    shaping = service.shaping
    if shaping is None:
        raise Withheld("obligation: nothing here shapes an answer")
    shaping.prepare(outbound, obligations, switches=offer is not None)
    return shaping


async def honoured(obligations: Obligations, permit: Permit, service: Service, exchange: Exchange) -> None:
    """What the rules demand of the request itself. Raises GatewayError where it does not fulfil it, or nobody here can."""
    if obligations.audit_full:
        exchange.trace = trace(service.policy, permit.principal, permit.access)
    if obligations.rate_limits:
        await honour.spend(service.stated, obligations.rate_limits, permit, exchange)
    if obligations.max_body is not None:
        bound(permit.access.request.body, obligations.max_body, "obligation: max_body")


async def upgraded(service: Service, outbound: Outbound, offer: Offer, exchange: Exchange) -> Response:
    """The upstream's answer to a WebSocket handshake. A 101 holds a place among the route's tunnels until it is abandoned."""
    sockets, principal = service.sockets, exchange.principal
    if sockets is None or principal is None:
        raise InternalError("only a route that takes WebSockets finds an offer, and only an allowed request comes here")
    who = exchange.client if principal.scheme == ANONYMOUS else principal.key
    most, most_each = sockets.bounds.connections, sockets.bounds.per_principal
    place = sockets.places.take(exchange.route or "", who, most=most, most_each=most_each)
    switched = False
    try:
        response = await service.transport.upgrade(outbound, offer.protocols)
        switched = response.switched is not None
    finally:
        if not switched:
            place.free()
    if not switched:
        return response
    response.shape, response.values = split([*response.headers, (b"sec-websocket-accept", offer.accept)])
    response.abandon = partial(let_go, response.abandon, place)
    return response


def let_go(abandon: Callable[[], None] | None, place: Place) -> None:
    """A tunnel is no more: its upstream's connection, and its place."""
    place.free()
    if abandon is not None:
        abandon()


def note_error(exchange: Exchange, error: GatewayError) -> None:
    """Why there is no answer of the upstream."""
    exchange.reason = error.reason
    exchange.detail = error.detail
    exchange.source = "gateway"


def note_target(exchange: Exchange, inbound: Inbound) -> None:
    """What was asked for, of a request that has no canonical path: for whoever reads the trail, never decided on."""
    tried = UNTOLD.split(inbound.target, 1)[0][:LONGEST_TRIED].decode("latin-1")
    exchange.detail = f"{exchange.detail}: {tried}" if tried else exchange.detail
