"""An OPTIONS that may be forwarded no further: the gateway answers it as its final recipient (RFC 9110 7.6.2, 9.3.7)."""

from collections.abc import Iterable
from typing import Final

from gateway.core.message import Request, Response

EVERY: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""What is told of a path that takes any method."""


def ends_here(request: Request) -> bool:
    """Whether Max-Forwards of an OPTIONS is zero; where it is said twice, in either. Not a number, it says nothing."""
    head = request.head
    if b"max-forwards" not in head.fields:
        return False
    return any(name == b"max-forwards" and value and not value.strip(b"0") for name, value in head.headers)


def told(methods: Iterable[str] | None) -> Response:
    """The answer: which methods the path takes, None for any."""
    allow = ", ".join(sorted(EVERY if methods is None else methods))
    return Response(204, [(b"allow", allow.encode("ascii"))])
