"""What the head of a stream asks for (RFC 9113 8.2, 8.3): judged, and put as every other request is.

From here on a request is read in one way only, whichever protocol it came by: lower-case fields, one Host, one Cookie.
"""

from collections.abc import Iterator
from typing import Final

from gateway.core.errors import BadRequest
from gateway.core.message import Field
from gateway.core.reason import Reason
from gateway.edge.model import ListenerLimits
from gateway.http2.names import CONNECTION, NAME, VALUE
from gateway.server.head import LONGEST_RECORD, too_large, too_long

METHODS: Final = frozenset(
    (
        "ACL", "BIND", "CHECKOUT", "CONNECT", "COPY", "DELETE", "GET", "HEAD", "LINK", "LOCK", "M-SEARCH", "MERGE", "MKACTIVITY",
        "MKCALENDAR", "MKCOL", "MOVE", "NOTIFY", "OPTIONS", "PATCH", "POST", "PROPFIND", "PROPPATCH", "PURGE", "PUT", "QUERY",
        "REBIND", "REPORT", "SEARCH", "SOURCE", "SUBSCRIBE", "TRACE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE",
    )
)  # fmt: skip
"""Those that llhttp knows: both protocols take the same."""
PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path"))
SCHEMES: Final = (b"http", b"https")
LINE: Final = len("  HTTP/1.1")
EACH: Final = 4
"""Bytes a field takes beside its name and its value, where it is written out."""


class Asked:
    """One request. `length` is the announced length of its body, None where none was, `expects` whether it waits for a 100."""

    __slots__ = ("expects", "headers", "length", "method", "target")

    def __init__(self, method: str, target: bytes, headers: list[Field], length: int | None, *, expects: bool) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.length = length
        self.expects = expects


def asked(fields: list[Field], limits: ListenerLimits, *, end: bool) -> Asked:
    """The request; `end` tells that it has no body. Raises BadRequest for what is malformed, or over a limit."""
    pseudo, others = divided(fields)
    method, path = pseudo.get(b":method", b"").decode("latin-1"), pseudo.get(b":path", b"")
    if method not in METHODS:
        raise BadRequest("method")
    if method == "CONNECT":
        # RFC 9113 8.5, RFC 8441: no tunnel is made here, whatever stands beside it.
        raise BadRequest("method", reason=Reason.METHOD_NOT_IMPLEMENTED)
    if pseudo.get(b":scheme") not in SCHEMES:
        raise BadRequest(":scheme")
    if len(method) + len(path) + LINE > limits.request_line:
        raise too_long()
    if not path.startswith(b"/"):
        raise BadRequest(":path does not begin with a slash", reason=Reason.PATH_REFUSED)
    headers = [(b"host", authority(pseudo.get(b":authority"), others)), *joined(others)]
    if len(headers) > limits.header_count:
        raise too_large("header count")
    if sum(len(name) + len(value) + EACH for name, value in headers) > limits.headers:
        raise too_large("header bytes")
    expects = any(name == b"expect" and value.lower() == b"100-continue" for name, value in others)
    return Asked(method, path, headers, announced(others, end=end), expects=expects and not end)


def divided(fields: list[Field]) -> tuple[dict[bytes, bytes], list[Field]]:
    """Pseudo-header fields and the others. Raises BadRequest where one is not what it may be, or not where it may be."""
    pseudo: dict[bytes, bytes] = {}
    others: list[Field] = []
    for name, value in fields:
        if VALUE.fullmatch(value) is None:
            raise BadRequest("a field's value")
        if name.startswith(b":"):
            if name not in PSEUDO or name in pseudo or others:
                raise BadRequest("a pseudo-header field")
            pseudo[name] = value
        elif NAME.fullmatch(name) is None:
            raise BadRequest("a field's name")
        elif name in CONNECTION or (name == b"te" and value.lower() != b"trailers"):
            raise BadRequest("a field about the connection")
        else:
            others.append((name, value))
    return pseudo, others


def authority(said: bytes | None, others: list[Field]) -> bytes:
    """The one authority of a request. Raises BadRequest where it is said twice and differs (RFC 9113 8.3.1), or not at all."""
    hosts = [value for name, value in others if name == b"host"]
    if len(hosts) > 1:
        raise BadRequest("host came more than once")
    if said is not None and hosts and hosts[0].lower() != said.lower():
        raise BadRequest(":authority and host differ")
    if said is None and not hosts:
        raise BadRequest("no :authority")
    return hosts[0] if said is None else said


def joined(others: list[Field]) -> Iterator[Field]:
    """The other fields, with the crumbs of Cookie as the one it was (RFC 9113 8.2.3)."""
    crumbs = [value for name, value in others if name == b"cookie"]
    for name, value in others:
        if name == b"cookie":
            if crumbs:
                yield name, b"; ".join(crumbs)
                crumbs = []
        elif name != b"host":
            yield name, value


def announced(others: list[Field], *, end: bool) -> int | None:
    """The length of the body, as far as it is said. Raises BadRequest where it cannot be true (RFC 9113 8.1.1)."""
    lengths = [value for name, value in others if name == b"content-length"]
    if not lengths:
        return 0 if end else None
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 18:
        raise BadRequest("Content-Length")
    length = int(lengths[0])
    if end and length:
        raise BadRequest("a body was announced, and does not come")
    return length


def known(fields: list[Field]) -> tuple[str, bytes]:
    """Method and path of a head that was refused, for its record only: ("-", b"") where they cannot be told."""
    first = dict(reversed(fields))
    method, path = first.get(b":method", b"").decode("latin-1"), first.get(b":path", b"")
    readable = path.isascii() and path.decode("ascii", "replace").isprintable()
    return method if method in METHODS else "-", path[:LONGEST_RECORD] if readable else b""
