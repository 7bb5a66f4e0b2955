"""Form data as a query carries it: `&` separates, `+` is a space, escapes are UTF-8. What is ambiguous is an error.

And what is encoded so within a header field: the name and secret of a client of OAuth.
"""

import base64
from typing import Final
from urllib.parse import quote_plus, unquote_to_bytes

from gateway.core.errors import BadRequest
from gateway.core.reason import Reason

HEX: Final = frozenset(b"0123456789abcdefABCDEF")


def decode_query(raw: bytes, most: int | None = None) -> dict[str, list[str]]:
    """Name -> values in order: WHATWG URL 5.1 (application/x-www-form-urlencoded), but strict.

    Raises BadRequest query-invalid for a bad escape, for bad UTF-8 and, before anything is decoded, for more than `most` pairs.
    """
    if most is not None and raw.count(b"&") >= most:
        raise BadRequest(f"query: more than {most} pairs", reason=Reason.QUERY_INVALID)
    found: dict[str, list[str]] = {}
    for pair in raw.split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            found.setdefault(_decoded(name), []).append(_decoded(value))
    return found


def basic(id: str, secret: str) -> str:
    """RFC 6749 2.3.1: both are form-encoded first, so that a colon in the id or a letter beyond ASCII says what it says."""
    return "Basic " + base64.b64encode(f"{quote_plus(id)}:{quote_plus(secret)}".encode("ascii")).decode("ascii")


def _decoded(raw: bytes) -> str:
    for part in raw.split(b"%")[1:]:
        if len(part) < 2 or part[0] not in HEX or part[1] not in HEX:
            raise BadRequest("query: bad percent escape", reason=Reason.QUERY_INVALID)
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError as error:
        raise BadRequest("query: not UTF-8", reason=Reason.QUERY_INVALID) from error
