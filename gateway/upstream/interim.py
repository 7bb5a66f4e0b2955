"""Interim answers of an upstream on their way to the client (RFC 9110 15.2): told at once, and told little."""

from http import HTTPStatus
from typing import Final

from gateway.core.handshake import SWITCHING
from gateway.core.message import lines
from gateway.core.shape import Values
from gateway.upstream.answer import clean
from gateway.upstream.owner import Owner

CONTINUE: Final = 100
PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
HINTS: Final = b"link"
"""RFC 8297 2: what an early hint is for. Nothing else of an interim answer counts before the final one, so nothing else passes."""


def interim(owner: Owner | None, status: int, names: Values, values: Values) -> bool:
    """Whether an answer is an interim one; it is passed on then. A 101 is not: see `switch`.

    A 100 goes nowhere: whether the client may send its body was said by the gateway, which sends no Expect itself.
    """
    if status == SWITCHING or not 100 <= status < 200:
        return False
    outbound = None if owner is None else getattr(owner, "asked", None)
    if status != CONTINUE and outbound is not None and outbound.interim is not None:
        hints = [(HINTS, value) for name, value in zip(names, values, strict=True) if name.lower() == HINTS]
        told = lines(clean(hints, outbound))
        outbound.interim(f"HTTP/1.1 {status} {PHRASES.get(status, '')}\r\n".encode("ascii") + told + b"\r\n")
    return True
