"""The demo's upstream: a small issue tracker with a token of its own, as tool APIs have.

    GET  /projects/{owner}/issues            list, ?state=open|closed
    POST /projects/{owner}/issues            create, {"title": …}
    GET  /projects/{owner}/issues/{number}   one
    GET  /search                             over all projects, ?q=
    GET  /events                             a stream of server-sent events, ?count=
    GET  /whoami                             which headers arrived here, the credential's value masked

Everything answers 401 without the token, which no client of the gateway ever holds.
"""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

MOST_TITLE: Final = 200
MOST_BODY: Final = 64 * 1024
MOST_ISSUES: Final = 1000
MOST_EVENTS: Final = 100

Endpoint = Callable[[Request], Awaitable[Response]]


class Tracker:
    """The issues of a few owners, in memory."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._issues: dict[str, list[dict[str, Any]]] = {"acme": [], "globex": []}
        for owner, title in (("acme", "Login page is slow"), ("acme", "Add dark mode"), ("globex", "Rotate the signing key")):
            self._add(owner, title)

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/projects/{owner}/issues", self._known(self._list), methods=["GET"]),
                Route("/projects/{owner}/issues", self._known(self._create), methods=["POST"]),
                Route("/projects/{owner}/issues/{number:int}", self._known(self._one), methods=["GET"]),
                Route("/search", self._known(self._search), methods=["GET"]),
                Route("/events", self._known(self._events), methods=["GET"]),
                Route("/whoami", self._known(self._whoami), methods=["GET"]),
            ]
        )

    def _known(self, endpoint: Endpoint) -> Endpoint:
        """Demand the tracker's own token."""
        expected = f"Bearer {self._token}"

        async def answered(request: Request) -> Response:
            presented = request.headers.get("authorization", "")
            if not hmac.compare_digest(presented.encode("utf-8", "replace"), expected.encode()):
                return JSONResponse({"message": "Bad credentials"}, 401, {"WWW-Authenticate": "Bearer"})
            return await endpoint(request)

        return answered

    def _add(self, owner: str, title: str) -> dict[str, Any]:
        issues = self._issues.setdefault(owner, [])
        issue = {
            "number": len(issues) + 1,
            "title": title,
            "state": "open",
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        issues.append(issue)
        return issue

    async def _list(self, request: Request) -> Response:
        state = request.query_params.get("state", "open")
        issues = self._issues.get(request.path_params["owner"])
        if issues is None:
            return JSONResponse({"message": "Not found"}, 404)
        return JSONResponse([issue for issue in issues if state in ("all", issue["state"])])

    async def _create(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BODY:
                return JSONResponse({"message": "Too large"}, 413)
        try:
            title = json.loads(body)["title"]
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"message": "Problems parsing JSON: a title is needed"}, 400)
        owner = request.path_params["owner"]
        if not isinstance(title, str) or not 0 < len(title) <= MOST_TITLE or len(self._issues.get(owner, ())) >= MOST_ISSUES:
            return JSONResponse({"message": "Validation failed"}, 422)
        issue = self._add(owner, title)
        return JSONResponse(issue, 201, {"Location": f"{request.url.path}/{issue['number']}"})

    async def _one(self, request: Request) -> Response:
        for issue in self._issues.get(request.path_params["owner"], ()):
            if issue["number"] == request.path_params["number"]:
                return JSONResponse(issue)
        return JSONResponse({"message": "Not found"}, 404)

    async def _search(self, request: Request) -> Response:
        wanted = request.query_params.get("q", "").lower()
        return JSONResponse([issue for issues in self._issues.values() for issue in issues if wanted in issue["title"].lower()])

    async def _events(self, request: Request) -> Response:
        count = request.query_params.get("count", "5")
        most = min(int(count), MOST_EVENTS) if count.isascii() and count.isdigit() and len(count) < 6 else 5
        return StreamingResponse(self._beats(most), media_type="text/event-stream")

    async def _beats(self, count: int) -> AsyncIterator[bytes]:
        for number in range(1, count + 1):
            yield f"event: issue.updated\ndata: {json.dumps({'sequence': number})}\n\n".encode()
            await asyncio.sleep(0.2)

    async def _whoami(self, request: Request) -> Response:
        """What arrived, so that a newcomer sees what the gateway took away and what it added."""
        seen = {name: (f"{value[:7]}****" if name == "authorization" else value) for name, value in request.headers.items()}
        return JSONResponse({"headers": seen})
