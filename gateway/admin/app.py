"""The admin endpoints: /livez /readyz /healthz /metrics, and for operators the rest of `admin.places`."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.admin.access import Access
from gateway.admin.places import needs
from gateway.admin.problems import problem
from gateway.core.errors import BadRequest, GatewayError
from gateway.core.errors import NoRoute as NoRouteError
from gateway.telemetry.exposition import CONTENT_TYPE
from gateway.telemetry.model import LEVELS

MOST_BODY: Final = 1024
ACCESS: Final = "gateway.access"
"""Where a request finds the rules it is judged by."""

AsgiApp = Callable[..., Awaitable[None]]
Answer = Callable[[Request], Awaitable[Response]]


class Operations(Protocol):
    """What the running gateway tells and lets itself be told."""

    def ready(self) -> bool: ...
    async def status(self) -> Mapping[str, Any]: ...
    async def metrics(self) -> bytes: ...
    def describe(self) -> Mapping[str, Any]: ...
    async def routes(self) -> list[Mapping[str, Any]]: ...
    async def blocks(self) -> Mapping[str, Any]: ...
    async def release(self, address: str) -> bool: ...
    def level(self) -> str: ...
    def set_level(self, level: str) -> None: ...
    async def sessions(self, issuer: str, subject: str) -> list[Mapping[str, Any]]: ...
    async def end_session(self, name: str, operator: str) -> bool: ...
    async def end_sessions(self, issuer: str, subject: str, operator: str) -> int: ...
    def tell(self, event: str, /, **fields: Any) -> None: ...


class Endpoints:
    """The ASGI applications of one admin listener, whatever its configuration becomes.

    An application of starlette refers to itself: made anew at each reload it would never be freed again (see gateway/memory.py).
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._made: dict[tuple[bool, bool], Starlette] = {}

    def under(self, access: Access, *, prometheus: bool = True) -> AsgiApp:
        """The application that judges by these rules; without `prometheus` there is no /metrics."""
        kind = prometheus, access.office is not None
        if kind not in self._made:
            self._made[kind] = build(self._operations, prometheus=prometheus, accounts=access.office is not None)
        app = self._made[kind]

        async def judged(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await app({**scope, ACCESS: access}, receive, send)

        return judged


def build(operations: Operations, *, prometheus: bool, accounts: bool) -> Starlette:
    """Starlette's application; each request brings its Access. `accounts`: operators have their own."""
    table = Answers(operations).table()
    if accounts:
        from gateway.admin.operators import OperatorAnswers
        from gateway.admin.security_keys import security_keys

        table |= OperatorAnswers(operations).table() | security_keys()
    paths: dict[str, dict[str, Answer]] = {}
    for (method, path), answer in table.items():
        paths.setdefault(path, {})[method] = answer
    routes = [Route(path, guarded(path, answered), methods=list(answered)) for path, answered in paths.items()]
    if not prometheus:
        routes.insert(0, Route("/metrics", guarded("/metrics", {})))
    routes.append(Route("/{anything:path}", guarded("", {})))
    return Starlette(routes=routes, exception_handlers={GatewayError: lambda _, error: problem(error)})


def guarded(path: str, answers: Mapping[str, Answer]) -> Answer:
    """What answers one path, for those who may. `path` "" is any other: who may look at all is told that there is nothing."""

    async def answered(request: Request) -> Response:
        access: Access = request.scope[ACCESS]
        method = "GET" if request.method == "HEAD" else request.method
        client = request.client.host if request.client is not None else ""
        try:
            request.state.actor = await access.admit(method, needs(method, path) if path else "viewer", request.headers, client)
            if method not in answers:
                raise NoRouteError(request.scope["path"])
            response = await answers[method](request)
        except GatewayError as error:
            response = problem(error)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return answered


class Answers:
    """One method an endpoint."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def table(self) -> dict[tuple[str, str], Answer]:
        """What is answered where."""
        return {
            ("GET", "/livez"): self.live,
            ("GET", "/readyz"): self.ready,
            ("GET", "/healthz"): self.ready,
            ("GET", "/metrics"): self.metrics,
            ("GET", "/config_dump"): self.dump,
            ("GET", "/routes"): self.routes,
            ("GET", "/blocks"): self.blocks,
            ("DELETE", "/blocks"): self.release,
            ("GET", "/loglevel"): self.level,
            ("PUT", "/loglevel"): self.set_level,
            ("GET", "/sessions"): self.sessions,
            ("DELETE", "/sessions"): self.end_sessions,
            ("DELETE", "/sessions/{name}"): self.end_session,
        }

    async def live(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """Issuers, upstreams and stores show with ?verbose and never make it unready (CONTRACT 1)."""
        ready = self._operations.ready()
        code = 200 if ready else 503
        if "verbose" in request.query_params:
            return JSONResponse({"ready": ready, **await self._operations.status()}, code)
        return PlainTextResponse("ok\n" if ready else "not ready\n", code)

    async def metrics(self, request: Request) -> Response:
        return Response(await self._operations.metrics(), media_type=CONTENT_TYPE)

    async def dump(self, request: Request) -> Response:
        return JSONResponse(self._operations.describe())

    async def routes(self, request: Request) -> Response:
        return JSONResponse(await self._operations.routes())

    async def blocks(self, request: Request) -> Response:
        """Who is refused for guessing: at the data listeners, and here."""
        told, office = await self._operations.blocks(), request.scope[ACCESS].office
        here = office.desk.guard.listing() if office is not None else {}
        return JSONResponse({name: [*rows, *here.get(name, ())] for name, rows in told.items()})

    async def release(self, request: Request) -> Response:
        """?address= is refused no more; 404 where it was not. Also `name.` and an operator's name, as it is listed."""
        address, office = request.query_params.get("address", ""), request.scope[ACCESS].office
        try:
            released = office is not None and office.desk.release(address)
            if not address.startswith("name."):
                released = await self._operations.release(address) or released
        except ValueError as error:
            raise BadRequest("?address= is an IP address or an IPv6 /64") from error
        if not released:
            raise NoRouteError("an address that is not blocked")
        self._tell(request, "blocks.release", address)
        return PlainTextResponse("released\n")

    async def level(self, request: Request) -> Response:
        """The level of the log."""
        return PlainTextResponse(self._operations.level() + "\n")

    async def set_level(self, request: Request) -> Response:
        """Another one: a body of one word."""
        wanted = await _word(request)
        if wanted not in LEVELS:
            raise BadRequest(f"a level is one of {', '.join(LEVELS)}")
        self._operations.set_level(wanted)
        self._tell(request, "loglevel", wanted)
        return await self.level(request)

    async def sessions(self, request: Request) -> Response:
        """Who is logged in at the data listeners: all, or ?issuer=&subject= alone; at most 1000, oldest first."""
        return JSONResponse({"sessions": await self._operations.sessions(*_person(request, every=True))})

    async def end_session(self, request: Request) -> Response:
        """One of them ends, by its public name; 404 where there is none."""
        name = request.path_params["name"]
        if not await self._operations.end_session(name, request.state.actor.name):
            raise NoRouteError("a session that is not there")
        self._tell(request, "sessions.end", name)
        return Response(status_code=204)

    async def end_sessions(self, request: Request) -> Response:
        """All of ?issuer=&subject= end; how many there were."""
        issuer, subject = _person(request, every=False)
        count = await self._operations.end_sessions(issuer, subject, request.state.actor.name)
        self._tell(request, "sessions.end", f"{issuer}:{subject}")
        return JSONResponse({"ended": count})

    def _tell(self, request: Request, action: str, target: str) -> None:
        self._operations.tell("operator.acted", operator=request.state.actor.name, action=action, target=target)


def _person(request: Request, *, every: bool) -> tuple[str, str]:
    issuer, subject = (request.query_params.get(name, "") for name in ("issuer", "subject"))
    if bool(issuer) != bool(subject) or not (issuer or every):
        raise BadRequest("?issuer= and ?subject= name a person, both of them")
    return issuer, subject


async def _word(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY:
            raise BadRequest("a level is one word")
    return body.decode("utf-8", "replace").strip().lower()
