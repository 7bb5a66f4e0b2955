"""The heads of an exchange over HTTP/2: ours put into fields, the upstream's judged before anybody sees it (RFC 9113 8)."""

from typing import Final

from gateway.core.errors import InternalError
from gateway.core.message import Field, Outbound, fields_of
from gateway.core.names import folded
from gateway.http2.names import CONNECTION, is_sound
from gateway.upstream.answer import LOCATIONS, clean
from gateway.upstream.head import ANTICIPATE_BODY, FIELD_LIMIT
from gateway.upstream.owned import FRAMING, HOP_BY_HOP, OWNED, Names

LENGTH: Final = b"content-length"
TRAILERS: Final = b"trailers"
DEFERRED: Final = Names(
    HOP_BY_HOP
    | FRAMING
    | OWNED
    | LOCATIONS
    | frozenset(
        (
            b"access-control-* alt-svc authorization cache-control clear-site-data content-* cookie cross-origin-* date expires "
            b"permissions-policy pragma ratelimit* referrer-policy retry-after server set-cookie strict-transport-security "
            b"www-authenticate x-content-type-options x-frame-options x-powered-by x-ratelimit-* x-xss-protection"
        ).split()
    )
)
"""What means something before the body or nothing (RFC 9110 6.5.1), and what the last stage of every answer would have judged."""


class MalformedError(Exception):
    """The upstream's head is none."""


def asking(outbound: Outbound, scheme: bytes, authority: bytes | None) -> list[Field]:
    """The request's head. `authority` replaces what stands in Host. Raises InternalError for a field that must not leave."""
    body = outbound.body
    fields = [
        (b":method", outbound.method.encode("ascii")),
        (b":scheme", scheme),
        (b":authority", authority or outbound.authority),
        (b":path", outbound.target),
    ]
    if not all(value and is_sound(b"x", value) and b" " not in value for _, value in fields):
        raise InternalError("the target or the host would have been another one")
    rest = [*fields_of(b"".join(outbound.lines)), *outbound.headers]
    if not all(is_sound(name, value) for name, value in rest):
        raise InternalError("a header field would have broken out of its line")
    head = outbound.request.head
    if head.version == "2" and head.fields.get(b"te") == TRAILERS:
        rest.append((b"te", TRAILERS))  # about this connection as well: we pass them on
    length = body.length if body.whole is None else len(body.whole)
    if length or (length == 0 and outbound.method in ANTICIPATE_BODY):
        rest.append((LENGTH, b"%d" % length))
    return fields + rest


def status_of(fields: list[Field]) -> int:
    """The status of an answer's head, which is taken out of its fields. Raises MalformedError."""
    if not fields or fields[0][0] != b":status":
        raise MalformedError("the answer has no status")
    _, status = fields.pop(0)
    if not (len(status) == 3 and status.isdigit() and b"100" <= status <= b"599") or status == b"101":
        raise MalformedError("the answer's status is not one of HTTP/2")
    judge(fields)
    return int(status)


def judge(fields: list[Field]) -> None:
    """Raises MalformedError for a field that an answer must not have."""
    if len(fields) > FIELD_LIMIT:
        raise MalformedError("the answer's head is too large")
    for name, value in fields:
        if not is_sound(name, value) or name in CONNECTION:
            raise MalformedError("a field of the answer")


def length_of(fields: list[Field]) -> int | None:
    """The announced length of an answer's body. Raises MalformedError."""
    lengths = [value for name, value in fields if name == LENGTH]
    if not lengths:
        return None
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 18:
        raise MalformedError("the answer's length")
    return int(lengths[0])


def trailing(fields: list[Field], outbound: Outbound) -> list[Field]:
    """What of an answer's trailers the client gets, injected secrets replaced. Raises MalformedError."""
    judge(fields)
    return clean([(name, value) for name, value in fields if folded(name) and name not in DEFERRED], outbound)
