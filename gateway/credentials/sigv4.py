"""AWS Signature Version 4: the algorithm, without any request of ours in it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. Nothing here reads a clock or waits.
"""

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from gateway.core.message import Field

ALGORITHM: Final = b"AWS4-HMAC-SHA256"
TERMINATOR: Final = b"aws4_request"
NOTHING: Final = sha256(b"").hexdigest().encode("ascii")
"""The hash of a body that is not there."""
BLANKS: Final = re.compile(rb" +")


class Canonical(NamedTuple):
    """A canonical request, and the names that it covers, as they stand in `SignedHeaders`."""

    text: bytes
    names: bytes


class Scope(NamedTuple):
    """When and where a signature counts: `date` is YYYYMMDDTHHMMSSZ."""

    date: bytes
    region: bytes
    service: bytes

    def __bytes__(self) -> bytes:
        return b"/".join((self.date[:8], self.region, self.service, TERMINATOR))


def encoded(text: bytes, safe: str = "") -> bytes:
    """Percent-encoded as AWS wants it: everything but RFC 3986's unreserved characters, upper case."""
    return quote(text, safe=safe).encode("ascii")


def sent_form(target: bytes) -> bytes:
    """Path and query in the one spelling that is both signed and sent, so that no reader can take them for something else.

    A space of the query, which forms write as `+`, becomes %20; a parameter without `=` stays without.
    """
    path, mark, query = target.partition(b"?")
    segments = [encoded(unquote_to_bytes(segment)) for segment in path.split(b"/")]
    pieces = [piece for piece in query.split(b"&") if piece]
    parts = [b"=".join(encoded(unquote_to_bytes(part)) for part in _spaced(piece).split(b"=", 1)) for piece in pieces]
    return b"/".join(segments) + (mark if parts else b"") + b"&".join(parts)


def canonical_path(path: bytes, *, once: bool) -> bytes:
    """`path` as it is sent. Amazon S3 takes it as it is (`once`); all others normalise it and encode it a second time."""
    if once:
        return path or b"/"
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    closed = b"/" if kept and path.endswith((b"/", b"/.", b"/..")) else b""
    return encoded(b"/" + b"/".join(kept) + closed, safe="/")


def canonical_query(query: bytes) -> bytes:
    """The parameters of a query in its sent form, sorted by name and value."""
    pairs = (piece.partition(b"=") for piece in query.split(b"&") if piece)
    return b"&".join(name + b"=" + value for name, value in sorted((name, value) for name, _, value in pairs))


def canonical_headers(fields: Iterable[Field]) -> tuple[bytes, bytes]:
    """The header fields, one a line with its values joined, trimmed and their blanks collapsed; and their names, sorted."""
    joined: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        joined.setdefault(name, []).append(BLANKS.sub(b" ", value.strip(b" \t")))
    names = sorted(joined)
    return b"".join(name + b":" + b",".join(joined[name]) + b"\n" for name in names), b";".join(names)


def canonical(method: bytes, target: bytes, fields: Iterable[Field], payload: bytes, *, once: bool = False) -> Canonical:
    """The canonical request of what is sent. `target` is in its sent form, `payload` the hash of the body or what stands for it."""
    path, _, query = target.partition(b"?")
    headers, names = canonical_headers(fields)
    lines = (method, canonical_path(path, once=once), canonical_query(query), headers, names, payload)
    return Canonical(b"\n".join(lines), names)


def string_to_sign(scope: Scope, request: bytes) -> bytes:
    return b"\n".join((ALGORITHM, scope.date, bytes(scope), sha256(request).hexdigest().encode("ascii")))


def signing_key(secret: bytes, scope: Scope) -> bytes:
    """The key of one day, region and service."""
    key = hmac.digest(b"AWS4" + secret, scope.date[:8], "sha256")
    for part in (scope.region, scope.service, TERMINATOR):
        key = hmac.digest(key, part, "sha256")
    return key


def signature(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256").hex().encode("ascii")


def authorization(key_id: bytes, scope: Scope, names: bytes, signed: bytes) -> bytes:
    """The value of the Authorization field."""
    return b"%b Credential=%b/%b, SignedHeaders=%b, Signature=%b" % (ALGORITHM, key_id, bytes(scope), names, signed)


def _spaced(piece: bytes) -> bytes:
    return piece.replace(b"+", b" ")
