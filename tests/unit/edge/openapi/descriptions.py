"""Small descriptions, and what a route with one says of a request."""

import json
from typing import Any

from gateway.core.errors import Rejection
from gateway.core.message import Field, Request
from gateway.edge.model import OpenApi, Validate
from gateway.edge.openapi.description import Description, compiled
from gateway.edge.openapi.stage import Described
from gateway.edge.validation import Validation
from tests.fakes import HeldBody, a_request

JSON = (b"content-type", b"application/json")


def document(paths: Any, *, version: str = "3.0.3", **more: Any) -> bytes:
    return json.dumps({"openapi": version, "info": {"title": "t", "version": "1"}, "paths": paths, **more}).encode()


def operation(*parameters: Any, body: Any = None, **more: Any) -> dict[str, Any]:
    """One operation; `body` is the schema of its JSON body."""
    found = {"responses": {"200": {"description": "ok"}}, "parameters": list(parameters), **more}
    if body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return found


def described(text: bytes, *, tell: bool = False, **config: Any) -> Description:
    return compiled(text, OpenApi.model_validate({"file": "api.json", **config}), tell=tell)


class Stage:
    """A route's validation by a description, and what it counted."""

    def __init__(self, text: bytes, *, skip: int = 0, limit: str | None = None, **config: Any) -> None:
        self.parts: list[str] = []
        model = OpenApi.model_validate({"file": "api.json", **config})
        self.described = Described(compiled(text, model), model, note=self.parts.append)
        self._stage = Validation(
            Validate.model_validate({"body_limit": limit} if limit else {}), described=self.described, skip=skip
        )

    async def asked(self, method: str, target: str, *headers: Field, body: bytes | HeldBody | None = None) -> str:
        """What a request comes to: "passed", or the reason with the first finding."""
        path, mark, query = target.partition("?")
        held = HeldBody(body) if isinstance(body, bytes) else body
        made = (
            a_request(method, headers=list(headers), path=path)
            if held is None
            else a_request(method, headers=list(headers), path=path, body=held)
        )
        made.query = query.encode() if mark else None
        return await self.judged(made)

    async def judged(self, request: Request) -> str:
        try:
            await self._stage.validate(request)
        except Rejection as error:
            found = (error.members or {}).get("errors")
            return str(error.reason) + (f" {found[0]['pointer']} {found[0]['keyword']}" if found else "")
        return "passed"
