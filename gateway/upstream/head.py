"""The two heads of an exchange on the wire: ours rendered, the upstream's judged."""

from typing import Final

from gateway.core.errors import InternalError
from gateway.core.message import Field, Outbound, is_lines

HEAD_LIMIT: Final = 64 * 1024
FIELD_LIMIT: Final = 200
BODILESS: Final = (204, 304)
COLON: Final = b": "
CRLF: Final = b"\r\n"
ANTICIPATE_BODY: Final = ("POST", "PUT", "PATCH")
CONNECTION_BOUND: Final = (b"negotiate", b"ntlm")
PERSISTENCE: Final = frozenset({b"connection", b"proxy-connection"})
"""Without one of them llhttp keeps a connection alive in HTTP/1.1 only."""
CHALLENGES: Final = frozenset({b"www-authenticate", b"proxy-authenticate", b"authentication-info", b"proxy-authentication-info"})


def render(outbound: Outbound, authority: bytes | None = None) -> bytes:
    """The request's head, framed, with the whole body behind it where that is known.

    `authority` replaces the Host field (an upstream of several targets). Raises InternalError when a field would break out of
    its line: CR, LF or NUL never leave (CVE-2023-27493).
    """
    headers, body = outbound.headers, outbound.body
    if authority is not None:
        headers = [(name, authority if name == b"host" else value) for name, value in headers]
    lines = [b"%b %b HTTP/1.1" % (outbound.method.encode("ascii"), outbound.target), *map(COLON.join, headers)]
    whole = body.whole if body.length != 0 else b""
    if whole is None:
        lines.append(b"transfer-encoding: chunked" if body.length is None else b"content-length: %d" % body.length)
    elif whole or outbound.method in ANTICIPATE_BODY:
        lines.append(b"content-length: %d" % len(whole))
    head = CRLF.join(lines)
    if not is_lines(head, len(lines) - 1) or b" " in outbound.target:
        raise InternalError("a header field or the target would have broken out of its line")
    return b"%b\r\n%b\r\n%b" % (head, outbound.lines, whole or b"")


def fault_of(status: int, fields: list[Field], names: dict[bytes, bytes], *, version: str, seen: int) -> str | None:
    """What is wrong with an answer's head (RFC 9112), or None. `seen` is how many bytes have arrived, body included."""
    if not 200 <= status <= 599:
        return "the upstream switches protocols unasked" if status == 101 else "the answer's status is not one of HTTP"
    if version not in ("1.1", "1.0"):
        return "the answer is of another HTTP version"
    if len(fields) > FIELD_LIMIT or (seen > HEAD_LIMIT and sum(len(name) + len(value) + 4 for name, value in fields) > HEAD_LIMIT):
        return "the answer's head is too large"
    coding = names.get(b"transfer-encoding")
    if coding is None:
        return None
    # RFC 9112 6.1 and 7: we undo `chunked` and nothing else, once, and never beside Content-Length or in HTTP/1.0.
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if codings != [coding] or coding.lower() != b"chunked" or b"content-length" in names or version == "1.0":
        return "the answer's framing is ambiguous"
    return None


def binds_identity(fields: list[Field]) -> bool:
    """Whether an answer begins authentication of the connection itself, which must not serve anybody else afterwards."""
    return any(name in CHALLENGES and is_bound(value) for name, value in fields)


def is_bound(challenge: bytes) -> bool:
    """Whether a list of challenges names a scheme that authenticates the connection (RFC 4559, MS-NTHT)."""
    return any(part.strip().lower().startswith(CONNECTION_BOUND) for part in challenge.split(b","))
