"""The two heads of an exchange on the wire: ours rendered, the upstream's judged."""

from typing import Final

from gateway.core.errors import InternalError
from gateway.core.message import Outbound, is_lines, lines
from gateway.core.shape import Shape, Values, conclude

HEAD_LIMIT: Final = 64 * 1024
FIELD_LIMIT: Final = 200
BODILESS: Final = (204, 304)
VERSIONS: Final = ("1.1", "1.0")
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
    body, start = outbound.body, outbound.start
    if not start or authority is not None:
        start = start_lines(outbound.method, outbound.target, authority or outbound.authority)
    more = lines(outbound.headers) if outbound.headers else b""
    whole = body.whole if body.length != 0 else b""
    if whole is None:
        framing = b"transfer-encoding: chunked\r\n" if body.length is None else b"content-length: %d\r\n" % body.length
    else:
        framing = b"content-length: %d\r\n" % len(whole) if whole or outbound.method in ANTICIPATE_BODY else b""
    return b"".join((start, *outbound.lines, more, framing, CRLF, whole or b""))


def start_lines(method: str, target: bytes, authority: bytes) -> bytes:
    """Request line and Host field. Raises InternalError as `render` does."""
    start = b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method.encode("ascii"), target, authority)
    if not is_lines(start, 2) or target.find(b" ") >= 0:
        raise InternalError("the target or the host would have broken out of its line")
    return start


class Framing:
    """What the names of an answer's fields tell about its framing.

    `plain`: no transfer coding, nothing about the connection, no challenge. `sized` and `coded`: a length, a transfer coding.
    """

    __slots__ = ("challenged", "coded", "persistence", "plain", "sized")

    def __init__(self, shape: Shape) -> None:
        self.sized = b"content-length" in shape.present
        self.coded = b"transfer-encoding" in shape.present
        self.challenged = not CHALLENGES.isdisjoint(shape.present)
        self.persistence = not PERSISTENCE.isdisjoint(shape.present)
        self.plain = not self.coded and len(shape.names) <= FIELD_LIMIT


FRAMINGS: Final[dict[Shape, Framing]] = {}


def framing_of(shape: Shape) -> Framing:
    """The framing of answers of a shape."""
    return FRAMINGS.get(shape) or conclude(FRAMINGS, shape, Framing(shape))


def fault_of(status: int, shape: Shape, values: Values, *, version: str, seen: int) -> str | None:
    """What is wrong with an answer's head (RFC 9112), or None. `seen` is how many bytes have arrived, body included."""
    if not 200 <= status <= 599:
        return "the upstream switches protocols unasked" if status == 101 else "the answer's status is not one of HTTP"
    if version not in VERSIONS:
        return "the answer is of another HTTP version"
    if len(values) > FIELD_LIMIT or (seen > HEAD_LIMIT and size_of(shape.names) + size_of(values) + 4 * len(values) > HEAD_LIMIT):
        return "the answer's head is too large"
    codings = [value for name, value in zip(shape.names, values, strict=True) if name == b"transfer-encoding"]
    if not codings:
        return None
    # RFC 9112 6.1 and 7: we undo `chunked` and nothing else, once, and never beside Content-Length or in HTTP/1.0.
    if len(codings) > 1 or codings[0].lower() != b"chunked" or b"content-length" in shape.present or version == "1.0":
        return "the answer's framing is ambiguous"
    return None


def size_of(texts: Values) -> int:
    return sum(map(len, texts))


def binds_identity(shape: Shape, values: Values) -> bool:
    """Whether an answer begins authentication of the connection itself, which must not serve anybody else afterwards."""
    return any(name in CHALLENGES and is_bound(value) for name, value in zip(shape.names, values, strict=True))


def is_bound(challenge: bytes) -> bool:
    """Whether a list of challenges names a scheme that authenticates the connection (RFC 4559, MS-NTHT)."""
    return any(part.strip().lower().startswith(CONNECTION_BOUND) for part in challenge.split(b","))
