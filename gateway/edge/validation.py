"""Is the request what this route takes? Its query and header fields, its body's media type, size and content, by JSON Schemas.

What cannot be inspected is refused: a body too large to read here, an encoded one, one that parsers read differently.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar

from gateway.core.errors import BadRequest
from gateway.core.message import Request
from gateway.core.reason import Reason
from gateway.core.strict_json import InvalidJson, parse
from gateway.edge.model import Validate
from gateway.edge.parameters import HeaderSchema, QuerySchema
from gateway.edge.pointer import Finding
from gateway.edge.schema import Schema, load

S = TypeVar("S")

INSPECTED: Final = 1024 * 1024
"""The largest body that is inspected where the route states no `body_limit`."""

BODYLESS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


class Validation:
    """What one route's requests must look like. `schemas` are the texts of the files that `body`, `query` and `headers` name."""

    __slots__ = ("_headers", "_limit", "_media_types", "_query", "_schema", "wants_body")

    def __init__(self, config: Validate, schemas: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Raises ValueError, naming the place in the schema, for a schema that is none or looks beyond itself."""
        documents = {part: loaded(part, text) for part, text in schemas.items()}
        self._schema = compiled("body", Schema, documents)
        self._query = compiled("query", QuerySchema, documents)
        self._headers = compiled("headers", HeaderSchema, documents)
        self.wants_body = bool(documents)
        """Whether a request without a body has to be looked at."""
        self._limit = config.body_limit
        if self._limit is None and self._schema is not None:
            self._limit = INSPECTED
        self._media_types = None if config.content_types is None else frozenset(media_type(each) for each in config.content_types)

    async def validate(self, request: Request) -> None:
        """Raises BadRequest: query-invalid, param-invalid, body-too-large, media-type or body-invalid."""
        if self._query is not None and (findings := self._query.findings(request.query)):
            raise invalid("query", findings, Reason.QUERY_INVALID)
        if self._headers is not None and (findings := self._headers.findings(request.head)):
            raise invalid("headers", findings, Reason.PARAM_INVALID)
        await self._validate_body(request)

    async def _validate_body(self, request: Request) -> None:
        body = request.body
        if body.length == 0:
            if self._schema is not None and request.method not in BODYLESS:
                raise invalid("body", [("", "json")])  # an empty body is no JSON text
            return
        if self._limit is not None:
            self._bound(request, self._limit)
        if self._media_types is not None or self._schema is not None:
            self._demand_media_type(request)
        if self._schema is not None:
            self._inspect(self._schema, await body.read(body.limit))

    def _bound(self, request: Request, limit: int) -> None:
        """A declared length is compared at once; what streams is counted by the body itself."""
        body = request.body
        if (body.length or 0) > limit or body.received > limit:
            raise BadRequest(f"body_limit={limit}", reason=Reason.BODY_TOO_LARGE, close=True)
        body.limit = min(body.limit, limit)

    def _demand_media_type(self, request: Request) -> None:
        if b"content-type" in request.head.repeated:
            raise BadRequest("content-type repeated", reason=Reason.MEDIA_TYPE)
        presented = request.head.fields.get(b"content-type", b"").decode("latin-1")
        essence = media_type(presented)
        if not (is_json(essence) if self._media_types is None else essence in self._media_types):
            raise BadRequest("content-type is not listed", reason=Reason.MEDIA_TYPE)
        if self._schema is None:
            return
        if (
            request.head.fields.get(b"content-encoding", b"identity").lower() != b"identity"
            or b"content-encoding" in request.head.repeated
        ):
            raise BadRequest("an encoded body cannot be inspected", reason=Reason.MEDIA_TYPE)
        if charset(presented) not in {None, "utf-8"}:
            raise BadRequest("JSON is UTF-8 (RFC 8259 8.1)", reason=Reason.MEDIA_TYPE)

    def _inspect(self, schema: Schema, body: bytes) -> None:
        try:
            value = parse(body)
        except InvalidJson as error:
            raise invalid("body", [("", str(error))]) from error
        findings = schema.findings(value, len(body))
        if findings:
            raise invalid("body", findings)


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


def invalid(part: str, findings: Sequence[Finding], reason: Reason = Reason.BODY_INVALID) -> BadRequest:
    """A refusal that says where and by which keyword, never what was there."""
    errors = [{"pointer": pointer, "keyword": keyword} for pointer, keyword in findings]
    return BadRequest(f"{part}: {errors[0]['keyword']}", reason=reason, members={"errors": errors})


def media_type(value: str) -> str:
    """A media type without its parameters, in lower case (RFC 9110 8.3.1)."""
    return value.partition(";")[0].strip().lower()


def is_json(essence: str) -> bool:
    """What a schema reads where the route lists no types: application/json and the types built on it (RFC 6839 3.1)."""
    return essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))


def charset(value: str) -> str | None:
    """The charset parameter in lower case, None where there is none."""
    for parameter in value.split(";")[1:]:
        name, _, text = parameter.partition("=")
        if name.strip().lower() == "charset":
            return text.strip().strip('"').lower()
    return None


NO_VALIDATION: Final = Validation(Validate())
"""For routes that take anything."""
