"""What a route with a description asks of every request: a known path and method, parameters and a body as described.

In report mode nothing is refused: what would have been is counted, and a body is only looked at where that changes nothing.
"""

from collections.abc import Callable
from typing import Any, Final

from gateway.core.errors import BadRequest, MethodNotAllowed, NoRoute, Rejection
from gateway.core.media import media_type
from gateway.core.message import Request
from gateway.core.reason import Reason
from gateway.edge import apart
from gateway.edge.media import FORM, INSPECTED, bound, demand_plain, demand_utf8, presented
from gateway.edge.model import OpenApi
from gateway.edge.openapi.description import Description
from gateway.edge.openapi.operation import Content, Operation
from gateway.edge.openapi.shadow import Shadows, shape
from gateway.edge.refusal import invalid

PARTS: Final = {
    Reason.NO_ROUTE: "path",
    Reason.METHOD_NOT_ALLOWED: "method",
    Reason.QUERY_INVALID: "query",
    Reason.PARAM_INVALID: "parameters",
    Reason.MEDIA_TYPE: "media-type",
    Reason.BODY_INVALID: "body",
}
Note = Callable[[str], None]


class Described:
    """One route's description in use. Kept over reloads that leave it as it is, with what it has counted."""

    def __init__(self, description: Description, model: OpenApi, *, note: Note) -> None:
        """`note` is told the part of a request that is not as described."""
        self.description = description
        self.model = model
        self.note = note
        self.shadows = Shadows()
        self._enforcing = model.mode == "enforce"

    async def close(self) -> None:
        """Nothing is held open; resources are closed."""

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return {
            "operations": self.description.count,
            "mode": self.model.mode,
            "responses": self.model.responses,
            "unknown": self.shadows.listed(),
            "unknown_beyond": self.shadows.beyond,
        }

    async def validate(self, request: Request, skip: int, limit: int | None) -> None:
        """`skip` are the segments that the upstream does not see, `limit` bytes of a body that is read.

        Raises NoRoute, MethodNotAllowed and BadRequest: query-invalid, param-invalid, media-type, body-too-large, body-invalid.
        """
        segments = request.segments[skip:] or ("",)
        try:
            operation, captured = self.description.operation(segments, request.method)
            if findings := operation.findings(request, captured):
                place = findings[0][0].startswith("/query")
                raise invalid("parameters", findings, Reason.QUERY_INVALID if place else Reason.PARAM_INVALID)
            reading = self._judged(operation, request)
        except Rejection as error:
            self._noted(error, request, segments)
            return
        if reading is not None:
            await self._inspect(reading, request, INSPECTED if limit is None else limit)

    def _noted(self, error: Rejection, request: Request, segments: tuple[str, ...]) -> None:
        """Count, and refuse where that is the mode."""
        if isinstance(error, NoRoute | MethodNotAllowed):
            depth = len(self.description.base)
            self.shadows.note(request.method, shape(self.description.templates, segments[depth:]))
        if self._enforcing:
            raise error
        self.note(PARTS.get(error.reason, "body"))

    def _judged(self, operation: Operation, request: Request) -> tuple[Content, str, str] | None:
        """By what a body is to be inspected once it is read, if it is. Raises BadRequest for what can be known before."""
        body, content = request.body, operation.body
        if body.length == 0:
            if content is not None and operation.body_required:
                raise invalid("body", [("", "required")])
            return None
        if content is None:
            raise invalid("body", [("", "requestBody")])
        value = presented(request.head)
        essence = media_type(value)
        key = content.find(essence)
        if key is None:
            raise BadRequest("content-type is not in the description", reason=Reason.MEDIA_TYPE)
        if not content.is_inspected(key, essence):
            return None
        demand_plain(request.head)
        demand_utf8(value)
        return content, key, essence

    async def _inspect(self, reading: tuple[Content, str, str], request: Request, limit: int) -> None:
        body = request.body
        if not self._enforcing and (body.length is None or body.length > limit):
            self.note("body-uninspected")
            return
        bound(body, limit, "body_limit")
        whole = await body.read(body.limit)
        content, key, essence = reading
        is_empty = not whole and essence != FORM
        findings = [("", "json")] if is_empty else await apart.read(len(whole), lambda: content.findings(key, essence, whole))
        if findings:
            self._noted(invalid("body", findings), request, ())
