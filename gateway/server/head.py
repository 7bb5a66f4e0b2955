"""What is wrong with the head of a request before, or beside, what llhttp says about it.

llhttp knows no limits, takes HTTP/0.9, HTTP/2.0, RTSP and ICE lines and runs of spaces for HTTP/1.x; we do not.
"""

from typing import Final

from gateway.core.errors import BadRequest
from gateway.core.reason import Reason
from gateway.edge.model import ListenerLimits

BLANK_LINE: Final = b"\r\n\r\n"
VERSIONS: Final = (b" HTTP/1.1", b" HTTP/1.0")
LONGEST_METHOD: Final = 20
LONGEST_RECORD: Final = 1024


def head_fault(head: bytes, limits: ListenerLimits) -> BadRequest | None:
    """What forbids this head, complete or only begun, as far as its request line and its size tell. None: nothing so far.

    The request line must be `method SP target SP HTTP/1.x` to the byte (RFC 9112 3), so that no two readers split it
    differently; 414 and 431 as CONTRACT 5.
    """
    end = head.find(b"\r\n")
    if end < 0:
        return too_long() if len(head) > limits.request_line else None
    if end > limits.request_line:
        return too_long()
    if head[max(0, end - 9) : end] not in VERSIONS or head.count(b" ", 0, end) != 2:
        return line_fault(head[:end])
    return too_large("header bytes") if len(head) - end - 4 > limits.headers else None


def line_fault(line: bytes) -> BadRequest:
    """505 for a request line of another HTTP version, HTTP/0.9 included; 400 for what is no request line."""
    words = line.split(b" ")
    other = len(words) == 2 or (len(words) == 3 and words[2].startswith(b"HTTP/"))
    if other and words[0].isalpha() and words[0].isupper():
        return BadRequest("HTTP version", reason=Reason.VERSION_NOT_SUPPORTED, close=True)
    return BadRequest("request line", close=True)


def too_long() -> BadRequest:
    """414: the request line passes its limit."""
    return BadRequest("request line over its limit", reason=Reason.TARGET_TOO_LONG, close=True)


def too_large(what: str) -> BadRequest:
    """431: the header section or the trailers pass a limit."""
    return BadRequest(f"{what} over the limit", reason=Reason.HEADERS_TOO_LARGE, close=True)


def too_slow(what: str) -> BadRequest:
    """408: the client kept us waiting."""
    return BadRequest(f"{what} took too long", reason=Reason.REQUEST_TIMEOUT, close=True)


def known(head: bytes) -> tuple[str, bytes]:
    """Method and target of a head that was refused, for its record only: ("-", b"") where they cannot be told."""
    method, space, _ = head[: LONGEST_METHOD + 1].partition(b" ")
    if not (space and method.isalpha() and method.isupper()):
        return "-", b""
    line, end, _ = head.partition(b"\r\n")
    target = line.split(b" ")[1] if end else b""
    readable = target.isascii() and target.decode("ascii", "replace").isprintable()
    return method.decode("ascii"), target[:LONGEST_RECORD] if readable else b""
