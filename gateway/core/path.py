"""The canonical path: the one form that is matched, authorised, audited and forwarded (CONTRACT 2).

Two parsers that read a path differently are how requests get past a gateway, so everything ambiguous is refused here:
dot segments, empty segments, encoded slashes and control characters, double encoding, whatever RFC 3986 does not allow.
"""

import re
from typing import Final

from gateway.core.errors import BadRequest
from gateway.core.reason import Reason

# A path without escapes whose segments are not empty, not "." or ".." (also before ";", which some servers cut off).
PLAIN: Final = re.compile(rb"/|(?:/(?!\.{1,2}(?:[/;]|\Z))[A-Za-z0-9._~!$&'()*+,;=:@-]+)+/?")
ESCAPED: Final = re.compile(rb"(?:[/A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+")
ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
CONTROL: Final = frozenset(range(0x20)) | {0x7F}
# What may not hide behind a second round of decoding: `%252e` is `%2e` to whoever decodes twice.
NESTED: Final = CONTROL | frozenset(b"./\\#?;%")
TWICE: Final = re.compile(rb"%25([0-9A-Fa-f]{2})")
DOTS: Final = frozenset((b".", b".."))


def refuse(detail: str) -> BadRequest:
    return BadRequest(detail, reason=Reason.PATH_REFUSED)


def canonical(path: bytes) -> str:
    """The canonical form of a raw path, ASCII. Keeps `%2F` (the route decides about it). Raises BadRequest path-refused."""
    if PLAIN.fullmatch(path):
        return path.decode("ascii")
    if not path.startswith(b"/"):
        raise refuse("the path does not begin with /")
    if b"%" not in path:
        raise refuse("dot segment, empty segment or a character RFC 3986 does not allow")
    if not ESCAPED.fullmatch(path):
        raise refuse("a character or escape RFC 3986 does not allow")
    result = ESCAPE.sub(_escape, path)
    _refuse_nested(result)
    _refuse_segments(result)
    _refuse_text(result)
    return result.decode("ascii")


def _escape(found: re.Match[bytes]) -> bytes:
    """One escape in canonical form: unreserved characters decoded (RFC 3986 6.2.2.2), the rest with upper-case hex."""
    octet = int(found[1], 16)
    if octet in UNRESERVED:
        return bytes((octet,))
    if octet in CONTROL or octet == 0x5C:
        raise refuse("encoded control character or backslash")
    return found[0].upper()


def _refuse_nested(path: bytes) -> None:
    """Escapes of escapes, looked for in the result: the digits behind `%25` may have been escapes themselves (`%25%32%65`)."""
    if any(int(digits, 16) in NESTED for digits in TWICE.findall(path)):
        raise refuse("double encoding")


def _refuse_segments(path: bytes) -> None:
    """Dot segments and empty ones, also where an encoded slash would make them."""
    segments = path.replace(b"%2F", b"/").split(b"/")[1:]
    for segment in segments:
        if segment.partition(b";")[0] in DOTS or segment.partition(b"%3B")[0] in DOTS:
            raise refuse("dot segment")
    if b"" in segments[:-1]:
        raise refuse("empty segment")


def _refuse_text(path: bytes) -> None:
    try:
        text = ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise refuse("not UTF-8") from error
    if any("\x80" <= character <= "\x9f" for character in text):
        raise refuse("encoded control character")


def refuse_query(query: bytes) -> None:
    """A query whose escapes do not decode to UTF-8 text without NUL. Raises BadRequest query-invalid."""
    if b"%" not in query:
        return
    try:
        text = ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), query).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest("the query is not UTF-8", reason=Reason.QUERY_INVALID) from error
    if "\x00" in text or query.count(b"%") != len(ESCAPE.findall(query)):
        raise BadRequest("broken escape or NUL in the query", reason=Reason.QUERY_INVALID)


def decode_segment(segment: str) -> str:
    """The text of one canonical segment."""
    if "%" not in segment:
        return segment
    return ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), segment.encode("ascii")).decode("utf-8")
