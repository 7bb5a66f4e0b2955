"""The admin endpoints: /livez /readyz /healthz /metrics, and for operators /config_dump /routes /blocks /loglevel."""

from collections.abc import Awaitable, Callable, Mapping
from time import time
from typing import Any, Final, Protocol
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.admin.access import Access
from gateway.core.errors import BadRequest, GatewayError
from gateway.core.errors import NoRoute as NoRouteError
from gateway.edge.problem import render
from gateway.telemetry.exposition import CONTENT_TYPE
from gateway.telemetry.model import LEVELS

MOST_BODY: Final = 1024
ACCESS: Final = "gateway.access"
"""Where a request finds the rules it is judged by."""

AsgiApp = Callable[..., Awaitable[None]]


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


def problem(error: GatewayError) -> Response:
    """The one renderer's answer, as starlette sends it."""
    answer = render(error, request_id=str(uuid4()), now=time())
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    return Response(answer.body, answer.status, headers)


class Endpoints:
    """The ASGI applications of one admin listener, whatever its configuration becomes.

    An application of starlette refers to itself: made anew at each reload it would never be freed again (see gateway/memory.py).
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self._made: dict[bool, Starlette] = {}

    def under(self, access: Access, *, prometheus: bool = True) -> AsgiApp:
        """The application that judges by these rules; without `prometheus` there is no /metrics."""
        if prometheus not in self._made:
            self._made[prometheus] = build(self._operations, prometheus=prometheus)
        app = self._made[prometheus]

        async def judged(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await app({**scope, ACCESS: access}, receive, send)

        return judged


def build(operations: Operations, *, prometheus: bool) -> Starlette:
    """Starlette's application; each request brings its Access."""

    def guarded(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            access: Access = request.scope[ACCESS]
            error = access.refusal(request.scope["path"], request.headers)
            response = problem(error) if error is not None else await answer(request)
            response.headers.setdefault("Cache-Control", "no-store")
            response.headers["X-Content-Type-Options"] = "nosniff"
            return response

        return answered

    async def missing(request: Request) -> Response:
        raise NoRouteError(request.scope["path"])

    answers = Answers(operations)
    routes = [
        Route("/livez", guarded(answers.live), methods=["GET"]),
        Route("/readyz", guarded(answers.ready), methods=["GET"]),
        Route("/healthz", guarded(answers.ready), methods=["GET"]),
        *([Route("/metrics", guarded(answers.metrics), methods=["GET"])] if prometheus else []),
        Route("/config_dump", guarded(answers.dump), methods=["GET"]),
        Route("/routes", guarded(answers.routes), methods=["GET"]),
        Route("/blocks", guarded(answers.blocks), methods=["GET", "DELETE"]),
        Route("/loglevel", guarded(answers.level), methods=["GET", "PUT"]),
        Route("/{anything:path}", guarded(missing)),
    ]
    return Starlette(routes=routes, exception_handlers={GatewayError: lambda _, error: problem(error)})


class Answers:
    """One method an endpoint."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

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
        """GET tells who is refused for guessing; DELETE ?address= releases one, 404 where it is not refused."""
        if request.method != "DELETE":
            return JSONResponse(await self._operations.blocks())
        try:
            released = await self._operations.release(request.query_params.get("address", ""))
        except ValueError as error:
            raise BadRequest("?address= is an IP address or an IPv6 /64") from error
        if not released:
            raise NoRouteError("an address that is not blocked")
        return PlainTextResponse("released\n")

    async def level(self, request: Request) -> Response:
        """GET tells the level, PUT sets it: a body of one word."""
        if request.method == "PUT":
            wanted = await _word(request)
            if wanted not in LEVELS:
                raise BadRequest(f"a level is one of {', '.join(LEVELS)}")
            self._operations.set_level(wanted)
        return PlainTextResponse(self._operations.level() + "\n")


async def _word(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY:
            raise BadRequest("a level is one word")
    return body.decode("utf-8", "replace").strip().lower()
