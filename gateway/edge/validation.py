"""Is the request what this route takes? Its query and header fields, its body's media type, size and content, by JSON Schemas.

What cannot be inspected is refused: a body too large to read here, an encoded one, one that parsers read differently.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from gateway.config.regular import whole
from gateway.core.errors import BadRequest
from gateway.core.media import is_json, media_type
from gateway.core.message import Request
from gateway.core.ports import Transport
from gateway.core.reason import Reason
from gateway.core.strict_json import InvalidJson
from gateway.edge.apart import parsed
from gateway.edge.media import INSPECTED, bound, demand_plain, demand_utf8, presented
from gateway.edge.model import Validate
from gateway.edge.openapi.answers import Answers
from gateway.edge.openapi.stage import Described
from gateway.edge.parameters import HeaderSchema, QuerySchema
from gateway.edge.refusal import invalid
from gateway.edge.schema import Schema, load
from gateway.edge.uploads import Uploads

S = TypeVar("S")

BODYLESS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


class Validation:
    """What one route's requests must look like. `schemas` are the texts of the files that `body`, `query` and `headers` name."""

    __slots__ = ("_headers", "_limit", "_media_types", "_query", "_schema", "_skip", "_uploads", "described", "wants_body")

    def __init__(
        self,
        config: Validate,
        schemas: Mapping[str, bytes] = MappingProxyType({}),
        *,
        described: Described | None = None,
        skip: int = 0,
    ) -> None:
        """Raises ValueError, naming the place in the schema, for a schema that is none or looks beyond itself.

        `skip` are the segments of a path that the upstream, and so its description, does not see.
        """
        documents = {part: loaded(part, text) for part, text in schemas.items()}
        self._schema = compiled("body", Schema, documents)
        self._query = compiled("query", QuerySchema, documents)
        self._headers = compiled("headers", HeaderSchema, documents)
        self.described = described
        self._skip = skip
        self.wants_body = bool(documents) or described is not None
        """Whether a request without a body has to be looked at."""
        self._limit = config.body_limit
        self._uploads = None if config.upload is None else Uploads(config.upload, config.body_limit)
        if self._limit is None and self._uploads is not None:
            self._limit = self._uploads.limit
        if self._limit is None and self._schema is not None:
            self._limit = INSPECTED
        self._media_types = None if config.content_types is None else frozenset(media_type(each) for each in config.content_types)

    def watched(self, transport: Transport) -> Transport:
        """The way to the upstream, with its answers held against the description where the route says so."""
        if self.described is None or self.described.model.responses == "off":
            return transport
        return Answers(transport, self.described, self._skip)

    async def validate(self, request: Request) -> None:
        """Raises BadRequest: query-invalid, param-invalid, body-too-large, media-type or body-invalid; and for what a description
        does not know NoRoute and MethodNotAllowed.
        """
        if self._query is not None and (findings := self._query.findings(request.query)):
            raise invalid("query", findings, Reason.QUERY_INVALID)
        if self._headers is not None and (findings := self._headers.findings(request.head)):
            raise invalid("headers", findings, Reason.PARAM_INVALID)
        await self._validate_body(request)
        if self.described is not None:
            await self.described.validate(request, self._skip, self._limit)

    async def _validate_body(self, request: Request) -> None:
        body = request.body
        if body.length == 0:
            if self._schema is not None and request.method not in BODYLESS:
                raise invalid("body", [("", "json")])  # an empty body is no JSON text
            return
        if self._limit is not None:
            bound(body, self._limit, "body_limit")
        if self._uploads is not None and self._uploads.takes(request):
            await self._uploads.validate(request)
            return
        if self._uploads is not None and self._schema is None:
            raise BadRequest("a file of a type that is not listed", reason=Reason.MEDIA_TYPE)
        if self._media_types is not None or self._schema is not None:
            self._demand_media_type(request)
        if self._schema is not None:
            await self._inspect(self._schema, await body.read(body.limit))

    def _demand_media_type(self, request: Request) -> None:
        value = presented(request.head)
        essence = media_type(value)
        if not (is_json(essence) if self._media_types is None else essence in self._media_types):
            raise BadRequest("content-type is not listed", reason=Reason.MEDIA_TYPE)
        if self._schema is not None:
            demand_plain(request.head)
            demand_utf8(value)

    async def _inspect(self, schema: Schema, body: bytes) -> None:
        try:
            value = await parsed(body)
        except InvalidJson as error:
            raise invalid("body", [("", str(error))]) from error
        findings = schema.findings(value, len(body))
        if findings:
            raise invalid("body", findings)


def read(config: Validate) -> dict[str, bytes]:
    """The schemas that a route names, as texts by part. Raises ValueError."""
    files = {"body": config.body, "query": config.query, "headers": config.headers}
    return {part: whole(file) for part, file in files.items() if file is not None}


def loaded(part: str, text: bytes) -> Any:
    """The schema of a part of the request. Raises ValueError."""
    try:
        return load(text)
    except ValueError as error:
        raise ValueError(f"{part}: {error}") from error


def compiled(part: str, make: Callable[[Any], S], documents: Mapping[str, Any]) -> S | None:
    """What `make` makes of the part's schema, None where it has none. Raises ValueError."""
    try:
        return make(documents[part]) if part in documents else None
    except ValueError as error:
        raise ValueError(f"{part}: {error}") from error


NO_VALIDATION: Final = Validation(Validate())
"""For routes that take anything."""
