"""The one renderer of the gateway's own refusals and failures: RFC 9457 problem documents, byte-stable (CONTRACT 5).

What a client learns is the reason's slug and a fixed sentence for its status: never the detail, rule, upstream or stack.
"""

import json
import re
from collections.abc import Mapping
from time import gmtime, strftime
from typing import Any, Final

from gateway.core.errors import GatewayError
from gateway.core.message import Field, Response
from gateway.core.reason import IN_DOUBT, STATUS, Reason, title

CONTENT_TYPE: Final = b"application/problem+json"
UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)

QUOTA_EXCEEDED: Final = ("https://iana.org/assignments/http-problem-types#quota-exceeded", "Quota Exceeded")
"""draft-ietf-httpapi-ratelimit-headers-11 section 5 names this problem type and its title."""

FAILED: Final = "An error occurred while processing the request"
TEXTS: Final = {
    400: "The request is malformed",
    401: "The request requires valid authentication",
    403: "The request was denied",
    404: "The requested resource was not found",
    405: "The method is not allowed for this resource",
    408: "The request was not completed in time",
    413: "The request body is too large",
    414: "The request target is too long",
    415: "The media type is not supported",
    417: "The expectation cannot be met",
    421: "The request was sent to the wrong host",
    422: "The request body is invalid",
    426: "The request requires another version of the protocol",
    429: "Too many requests were sent",
    431: "The request header fields are too large",
}


def kind(reason: Reason) -> tuple[str, str]:
    """A reason's problem type and title."""
    if reason is Reason.RATE_LIMITED:
        return QUOTA_EXCEEDED
    return f"urn:latchgate:problem:{reason}", title(STATUS[reason])


KINDS: Final = {reason: kind(reason) for reason in Reason}


def render(error: GatewayError, *, request_id: str, now: float) -> Response:
    """The answer to an error. `now` is Unix time in seconds; `request_id` consists of letters, digits, `.`, `_` and `-`."""
    if error.document is not None:
        return plain(error, error.document)
    type_, name = KINDS[error.reason]
    document: dict[str, Any] = {
        "type": type_,
        "title": name,
        "status": error.status,
        "instance": instance(request_id),
        "error": TEXTS.get(error.status, FAILED),
        "timestamp": strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(now)),
        "request_id": request_id,
    }
    for member, value in (error.members or {}).items():
        document.setdefault(member, value)
    body = json.dumps(document, separators=(",", ":")).encode("ascii")
    headers: list[Field] = [(b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store"), *error.headers]
    return Response(error.status, headers, body, close=error.close or error.reason in IN_DOUBT)


def plain(error: GatewayError, document: Mapping[str, str]) -> Response:
    """The answer that another standard than RFC 9457 asks for."""
    body = json.dumps(document, separators=(",", ":")).encode("ascii")
    fields: list[Field] = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *error.headers]
    return Response(error.status, fields, body, close=error.close)


def instance(request_id: str) -> str:
    """The URI of this occurrence; an id that a trusted proxy chose need not be a UUID."""
    return f"urn:uuid:{request_id}" if UUID.fullmatch(request_id) else f"urn:latchgate:request:{request_id}"
