"""What conditions can read: the names of CONTRACT 4, their types, and where in a principal or access request they stand."""

from typing import Any, Final

from gateway.authz.cel.environment import Environment
from gateway.authz.cel.errors import EvaluationError
from gateway.authz.cel.tree import Variable
from gateway.authz.cel.types import DYN, INT, NAMED, STRING, TIMESTAMP, list_of, map_of
from gateway.authz.cel.values import Timestamp
from gateway.core.decision import UNREAD, AccessRequest
from gateway.core.form import decode_query
from gateway.core.message import Request
from gateway.core.names import folded

PRINCIPAL: Final = 0
ACCESS: Final = 1
ANSWER: Final = 2


class Headers:
    """A request's header fields by lower-case name, as the upstream will read them.

    Reading one that came more than once is an error, whatever its values: a rule that saw only one of them could be made to
    see the wrong one (CVE-2026-26308, CVE-2021-32777). So is one beside which another spelling came that CGI, WSGI and PHP
    take for the same field (CVE-2025-64484), and one that `Connection` names: the upstream never gets that.
    """

    __slots__ = ("_request",)

    def __init__(self, request: Request) -> None:
        self._request = request

    def __getitem__(self, name: str) -> str:
        """The value as text. Raises EvaluationError when it is absent, repeated or not UTF-8."""
        key = self._key(name)
        value = self._request.head.fields.get(key)
        if value is None:
            raise EvaluationError("no such header")
        return _text(value)

    def __contains__(self, name: str) -> bool:
        return self._key(name) in self._request.head.fields

    def _key(self, name: str) -> bytes:
        key, request = name.encode(), self._request
        if key in request.head.repeated:
            raise EvaluationError("the header came more than once")
        plain = folded(key)
        if any(folded(other) == plain and other != key for other in request.head.fields):
            raise EvaluationError("the header came in another spelling")
        if b"connection" in request.head.fields and key in _connection_options(request):
            raise EvaluationError("the header is named by Connection")
        return key


def _connection_options(request: Request) -> frozenset[bytes]:
    """What is about the client's own connection and goes no further (RFC 9110 7.6.1), lower case."""
    lines = [value for name, value in request.head.headers if name == b"connection"]
    return frozenset(option.strip(b" \t").lower() for option in b",".join(lines).split(b","))


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise EvaluationError("the header is not UTF-8") from error


def query(access: AccessRequest) -> dict[str, list[str]]:
    """The query as form data, name -> values in order; decoded once a request. Raises BadRequest query-invalid."""
    if access.query is None:
        access.query = decode_query(access.request.query or b"")
    return access.query


def content_type(request: Request) -> str:
    """The media type in lower case without parameters, "" when there is none. Raises EvaluationError for two of them."""
    headers = Headers(request)
    return headers["content-type"].partition(";")[0].strip().lower() if "content-type" in headers else ""


def judged_body(access: AccessRequest) -> Any:
    """The parsed body. Raises EvaluationError where it was not, or could not be, inspected."""
    if access.body is UNREAD:
        raise EvaluationError("the body was not inspected")
    return access.body


STRINGS: Final = list_of(STRING)

IDENTITY: Final[dict[str, Variable]] = {
    "subject.id": Variable(STRING, PRINCIPAL, ("id",)),
    "subject.issuer": Variable(STRING, PRINCIPAL, ("issuer",)),
    "subject.scheme": Variable(STRING, PRINCIPAL, ("scheme",)),
    "subject.groups": Variable(STRINGS, PRINCIPAL, ("groups",)),
    "subject.scopes": Variable(STRINGS, PRINCIPAL, ("scopes",)),
    "subject.claims": Variable(map_of(DYN), PRINCIPAL, ("claims",)),
}
"""What is known of a subject before it has roles."""

GRANTED: Final[dict[str, Variable]] = {
    "subject.roles": Variable(STRINGS, PRINCIPAL, ("roles",)),
    "subject.permissions": Variable(STRINGS, PRINCIPAL, ("permissions",)),
}

RESOURCE: Final[dict[str, Variable]] = {
    "resource.route": Variable(STRING, ACCESS, ("route",)),
    "resource.params": Variable(map_of(STRING), ACCESS, ("params",)),
    "resource.path": Variable(STRING, ACCESS, ("request", "path")),
    "resource.upstream": Variable(STRING, ACCESS, ("upstream",)),
}

REQUEST: Final[dict[str, Variable]] = {
    "request.method": Variable(STRING, ACCESS, ("request", "method")),
    "request.host": Variable(STRING, ACCESS, ("request", "head", "host")),
    "request.headers": Variable(NAMED, ACCESS, ("request",), Headers),
    "request.query": Variable(map_of(list_of(STRING)), ACCESS, (), query),
    "request.client_ip": Variable(STRING, ACCESS, ("request", "head", "client")),
    "request.content_type": Variable(STRING, ACCESS, ("request",), content_type),
}

BODY: Final[dict[str, Variable]] = {"request.body": Variable(DYN, ACCESS, (), judged_body)}

CLOCK: Final[dict[str, Variable]] = {"env.now": Variable(TIMESTAMP, ACCESS, ("now",), Timestamp.of)}

BINDINGS: Final = Environment.of(IDENTITY)
"""What the `when` of a binding can read: who it is, never what is asked."""

POLICIES: Final = Environment.of({**IDENTITY, **GRANTED, **RESOURCE, **REQUEST, **BODY, **CLOCK})
"""What the conditions of rules can read."""

RESPONSE: Final[dict[str, Variable]] = {
    "response.body": Variable(DYN, ANSWER, ("body",)),
    "response.status": Variable(INT, ANSWER, ("status",)),
}
"""What else `require_response` can read."""
