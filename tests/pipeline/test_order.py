"""Who is asked after whom: the order of stages, and that nobody behind a refusal is asked at all."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.app import GatewayApp
from gateway.core.decision import AccessRequest, Decision, Permit
from gateway.core.errors import (
    BadRequest,
    DependencyDown,
    Forbidden,
    GatewayError,
    LimitExceeded,
    NoRoute,
    Unauthenticated,
    Unavailable,
    UpstreamUnreachable,
)
from gateway.core.exchange import Exchange, Spent
from gateway.core.message import Field, Inbound, Outbound, Request, Response
from gateway.core.principal import Principal
from gateway.core.reason import Reason
from gateway.detection.guard import Guard
from gateway.detection.watch import Watch
from gateway.edge import model
from gateway.edge.cors import Cors
from gateway.edge.finish import Finish
from gateway.edge.security_headers import SecurityHeaders
from gateway.pipeline import finished
from gateway.resources import Nobody, untold
from gateway.routing import Entry, Table, parse
from gateway.snapshot import Current, Door, Route, Service, Snapshot
from tests.fakes import HeldBody, SteppedClock, a_principal, a_request
from tests.house import house

ID = "01938e5a-7c2b-7def-8123-456789abcdef"
STAGES = [
    "audit room",
    "admit",
    "address limits",
    "parameters",
    "authenticate",
    "decide",
    "principal limits",
    "validate",
    "outbound",
    "inject",
    "send",
]
ORIGIN = b"https://app.example.com"


class Rooms:
    """Every room of one route, each noting that it was asked. `ends` are the errors that rooms end a request with."""

    def __init__(self, ends: dict[str, BaseException] | None = None, *, allowed: bool = True) -> None:
        self.asked: list[str] = []
        self.told: dict[str, Any] = {}
        self.principal = a_principal()
        self.body = HeldBody(b"{}")
        self.decision = Decision(allowed, "p/r" if allowed else None)
        self._ends = ends or {}

    def ask(self, room: str, *told: Any) -> None:
        self.asked.append(room)
        self.told[room] = told
        if room in self._ends:
            raise self._ends[room]

    # The rooms, in the words of their protocols

    def ensure_room(self) -> None:
        self.ask("audit room")

    def admit(self, inbound: Inbound) -> Request:
        self.ask("admit", inbound)
        path = inbound.target.decode()
        return a_request(inbound.method, path=path, headers=inbound.headers, body=self.body)

    def decoded(self, captured: tuple[str, ...]) -> dict[str, str]:
        self.ask("parameters", captured)
        return {"id": captured[0]}

    def recalled(self, request: Request) -> None:
        """Nobody has been here before."""

    def elsewhere(self, request: Request, error: GatewayError) -> None:
        """Nobody is sent to log in."""

    async def authenticate(self, request: Request) -> Principal:
        self.ask("authenticate", request)
        return self.principal

    def decide(self, principal: Principal, access: AccessRequest) -> Decision:
        self.ask("decide", principal, access)
        return self.decision

    async def validate(self, request: Request) -> None:
        self.ask("validate", request)
        await request.body.read(1024)

    def outbound(self, request: Request, principal: Principal, exchange: Exchange) -> Outbound:
        self.ask("outbound", request, principal)
        return Outbound(method=request.method, target=b"/", headers=[], body=request.body, request=request)

    name = "bot"
    wants_body = True
    sets: frozenset[bytes] = frozenset()
    reads_body = False

    async def inject(self, outbound: Outbound, permit: Permit) -> None:
        self.ask("inject", outbound, permit)

    async def send(self, outbound: Outbound) -> Response:
        self.ask("send", outbound)
        return Response(200, [(b"content-type", b"text/plain")], b"hello", own=False)

    async def upgrade(self, outbound: Outbound, protocols: tuple[bytes, ...]) -> Response:
        self.ask("upgrade", outbound, protocols)
        return Response(426, [], own=False)


class Stage:
    """The limits of one stage."""

    def __init__(self, rooms: Rooms, room: str) -> None:
        self._rooms = rooms
        self._room = room

    def take(self, request: Request, principal: Principal | None) -> None:
        """One has to wait."""

    async def spend(self, request: Request, principal: Principal | None) -> Spent:
        self._rooms.ask(self._room, principal)
        return (self._room.partition(" ")[0],), ((9, 30_000_000),)


class NoLimitFields:
    """Renders nothing."""

    names: frozenset[bytes] = frozenset()

    def lines(self, policies: Any, allowances: Any) -> bytes:
        return b""


def door_of(rooms: Rooms) -> Door:
    """One route `/things/{id}` behind CORS, and the answer to everything else."""
    anything: Any = rooms  # a fake stands in for several concrete rooms
    cors = Cors(model.Cors(origins=[ORIGIN.decode()]))
    finish = Finish(cors=cors, headers=SecurityHeaders({}), limits=NoLimitFields())
    plain = Finish(cors=Cors(None), headers=SecurityHeaders({}), limits=NoLimitFields())
    service = Service(
        upstream="api",
        parameters=anything,
        gate=anything,
        policy=anything,
        principal_limits=Stage(rooms, "principal limits"),
        validation=anything,
        fields=anything,
        injector=anything,
        transport=anything,
        stated=anything,
        inspected=1024,
        metrics=anything,
    )
    pattern = parse("/things/{id}")
    route = Route("things", pattern.text, ("GET",), finish, cors, Stage(rooms, "address limits"), service=service)

    def missed(request: Request) -> Response:
        rooms.ask("missed")
        raise NoRoute(request.path)

    missing = Route(None, "", None, plain, Cors(None), Stage(rooms, "address limits"), answer=missed)
    table = Table([Entry(pattern, route.methods, None, route)], missing=missing, refuse=lambda leaf: missing)
    watch = a_watch()
    return Door("main", anything, table, plain, watch, watch.blocked, watch.tried, rooms.ensure_room)


def a_watch() -> Watch:
    """Nobody is refused."""
    return Watch(Guard(SteppedClock(), Nobody(), untold), SteppedClock(), ())


class Watching:
    """Evidence of one request."""

    exchange: Exchange

    def begin(self, exchange: Exchange, inbound: Inbound) -> None:
        self.exchange = exchange

    def opened(self, exchange: Exchange) -> None:
        raise AssertionError("no tunnel is opened here")

    def end(self, exchange: Exchange) -> None:
        assert exchange is self.exchange


class Client:
    """The connection of one client, who gets one answer."""

    response: Response

    def whole(self, response: Response) -> bool:
        self.response = response
        return True

    async def start(self, response: Response, body: bytes, more: bool) -> None:
        self.response = response

    async def write(self, chunk: bytes) -> None: ...
    async def drained(self) -> None: ...
    def end(self) -> None: ...
    def interim(self, head: bytes) -> None: ...
    def switch(self, response: Response) -> None: ...
    def abort(self) -> None: ...


async def ask(
    rooms: Rooms, method: str = "GET", target: bytes = b"/things/7", headers: list[Field] | None = None
) -> tuple[Response, Exchange]:
    inbound = Inbound(method=method, target=target, version="1.1", headers=headers or [], peer="192.0.2.1", listener="main")
    watching, client = Watching(), Client()
    current = Current(Snapshot("gen", {"main": door_of(rooms)}, []))
    await GatewayApp(current, "main", watching, new_id=lambda _: ID).serve(inbound, client)
    return client.response, watching.exchange


def field_of(response: Response, name: bytes) -> bytes | None:
    return next((value for key, value in response.headers if key == name), None)


async def test_the_stages_of_an_allowed_request_in_their_order() -> None:
    rooms = Rooms()
    response, exchange = await ask(rooms)
    assert response.status == 200
    assert rooms.asked == STAGES
    assert exchange.policies == ("address", "principal")
    assert (exchange.route, exchange.upstream, exchange.credential, exchange.params) == ("things", "api", "bot", {"id": "7"})


ERRORS: dict[str, Callable[[], GatewayError]] = {
    "audit room": lambda: Unavailable(reason=Reason.AUDIT_FULL),
    "admit": lambda: BadRequest(reason=Reason.PATH_REFUSED),
    "address limits": LimitExceeded,
    "parameters": lambda: BadRequest(reason=Reason.PARAM_INVALID),
    "authenticate": Unauthenticated,
    "decide": Forbidden,
    "principal limits": LimitExceeded,
    "validate": lambda: BadRequest(reason=Reason.BODY_INVALID),
    "outbound": lambda: BadRequest(reason=Reason.LOOP_DETECTED),
    "inject": DependencyDown,
    "send": UpstreamUnreachable,
}


@pytest.mark.parametrize("stage", STAGES)
async def test_nobody_behind_a_refusal_is_asked(stage: str) -> None:
    error = ERRORS[stage]()
    rooms = Rooms({stage: error})
    response, exchange = await ask(rooms)
    assert rooms.asked == STAGES[: STAGES.index(stage) + 1]
    assert (response.status, exchange.reason, exchange.status) == (error.status, error.reason, error.status)
    assert json.loads(response.body)["type"].endswith("quota-exceeded" if stage.endswith("limits") else str(error.reason))


@pytest.mark.parametrize("stage", STAGES)
async def test_a_bug_in_a_room_is_answered_blandly_and_logged_with_the_request_id(
    stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    rooms = Rooms({stage: ZeroDivisionError("a secret detail")})
    with caplog.at_level(logging.ERROR, "gateway.pipeline"):
        response, exchange = await ask(rooms)
    assert rooms.asked == STAGES[: STAGES.index(stage) + 1]
    assert (response.status, exchange.reason) == (500, Reason.INTERNAL)
    assert b"secret detail" not in response.body
    assert b"ZeroDivisionError" not in response.body
    assert "secret detail" not in exchange.detail
    [record] = caplog.records
    assert record.__dict__["request_id"] == ID
    assert record.exc_info is not None


@pytest.mark.parametrize("stage", ["address limits", "authenticate", "principal limits", "validate", "inject", "send"])
async def test_a_cancellation_passes_through(stage: str) -> None:
    with pytest.raises(asyncio.CancelledError):
        await ask(Rooms({stage: asyncio.CancelledError()}))


async def test_a_denied_request_costs_no_principal_limit_reads_no_body_and_meets_no_credential() -> None:
    rooms = Rooms(allowed=False)
    response, exchange = await ask(rooms)
    assert response.status == 403
    assert rooms.asked == STAGES[: STAGES.index("decide") + 1]
    assert (rooms.body.read_calls, rooms.body.received) == (0, 0)
    assert exchange.decision is rooms.decision
    assert exchange.credential is None


@pytest.mark.parametrize("truthy", [1, "yes", object()], ids=["one", "text", "thing"])
async def test_only_true_itself_is_an_allowing_decision(truthy: Any) -> None:
    rooms = Rooms()
    rooms.decision.allowed = truthy
    assert (await ask(rooms))[0].status == 403
    assert "inject" not in rooms.asked


async def test_the_policy_is_asked_about_the_principal_that_was_authenticated_and_what_was_admitted() -> None:
    rooms = Rooms()
    await ask(rooms)
    [request] = rooms.told["authenticate"]
    principal, access = rooms.told["decide"]
    assert principal is rooms.principal
    assert (access.request.method, access.route, access.upstream, access.request.path) == ("GET", "things", "api", "/things/7")
    assert access.params == {"id": "7"}
    assert access.request is request


async def test_the_injector_gets_the_permit_of_this_very_decision() -> None:
    rooms = Rooms()
    await ask(rooms)
    outbound, permit = rooms.told["inject"]
    assert type(permit) is Permit
    assert permit.principal is rooms.principal
    assert permit.access is rooms.told["decide"][1]
    assert rooms.told["send"] == (outbound,)


async def test_addresses_are_counted_before_anybody_is_known_and_principals_after() -> None:
    rooms = Rooms()
    await ask(rooms)
    assert rooms.told["address limits"] == (None,)
    assert rooms.told["principal limits"] == (rooms.principal,)


PREFLIGHT = [(b"origin", ORIGIN), (b"access-control-request-method", b"GET")]


async def test_a_preflight_is_answered_before_limits_and_authentication() -> None:
    rooms = Rooms({"authenticate": Unauthenticated()})
    response, _ = await ask(rooms, "OPTIONS", headers=PREFLIGHT)
    assert response.status == 204
    assert rooms.asked == ["audit room", "admit"]


async def test_an_ordinary_options_request_is_no_preflight() -> None:
    rooms = Rooms()
    response, _ = await ask(rooms, "OPTIONS", headers=[(b"origin", ORIGIN)])
    assert response.status == 404
    assert rooms.asked == ["audit room", "admit", "address limits", "missed"]


async def test_a_request_that_no_route_claims_spends_the_default_limits_and_asks_nobody_else() -> None:
    rooms = Rooms()
    response, exchange = await ask(rooms, target=b"/nowhere")
    assert response.status == 404
    assert rooms.asked == ["audit room", "admit", "address limits", "missed"]
    assert exchange.route is None
    limited = Rooms({"address limits": LimitExceeded()})
    assert (await ask(limited, target=b"/nowhere"))[0].status == 429
    assert "missed" not in limited.asked


@pytest.mark.parametrize("stage", STAGES[STAGES.index("address limits") :])
async def test_refusals_carry_the_cors_fields_of_their_route(stage: str) -> None:
    response, _ = await ask(Rooms({stage: ERRORS[stage]()}), headers=[(b"origin", ORIGIN)])
    assert field_of(response, b"access-control-allow-origin") == ORIGIN


@pytest.mark.parametrize("stage", STAGES)
async def test_every_refusal_carries_the_request_id_and_the_security_headers(stage: str) -> None:
    response, _ = await ask(Rooms({stage: ERRORS[stage]()}))
    assert field_of(response, b"x-request-id") == ID.encode()
    assert b"x-content-type-options: nosniff\r\n" in b"".join(response.lines)


async def test_unmatched_requests_of_a_whole_gateway_are_limited(tmp_path: Path) -> None:
    limits = {"default": ["few"], "rules": {"few": {"key": "client.address", "limit": "2/minute"}}}
    async with house(tmp_path, rate_limits=limits) as gateway:
        statuses = [(await gateway.get(target)).status for target in ("/nowhere", "/nothing", "/none")]
        assert statuses == [404, 404, 429]
        assert (await gateway.get("/public/x")).status == 429


class BrokenLimitFields(NoLimitFields):
    """A room whose bug shows in the very last stage."""

    def lines(self, policies: Any, allowances: Any) -> bytes:
        raise ZeroDivisionError


async def test_a_bug_in_the_last_stage_becomes_a_bland_500_and_ends_the_upstreams_stream() -> None:
    abandoned = []
    response = Response(200, [], stream=None, abandon=lambda: abandoned.append(True), own=False)
    exchange = Exchange(ID, 0.0, 1_800_000_000.0, "gen", "main", "GET", "192.0.2.1")
    exchange.policies, exchange.allowances = ("a",), ((0, 1_000_000),)
    inbound = Inbound(method="GET", target=b"/", version="1.1", headers=[], peer="192.0.2.1", listener="main")
    broken = Finish(cors=Cors(None), headers=SecurityHeaders({}), limits=BrokenLimitFields())
    answer = finished(response, inbound, exchange, replace(door_of(Rooms()), finish=broken))
    assert (answer.status, answer.close, abandoned) == (500, True, [True])
    assert (exchange.status, exchange.reason) == (500, Reason.INTERNAL)
    assert ID.encode() in answer.body
