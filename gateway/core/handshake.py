"""The words of RFC 6455's opening handshake that both sides of the gateway share, and a connection given away after it."""

import hashlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final, Protocol

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455 1.3."""
SWITCHING: Final = 101
VERSION: Final = b"13"


def accept_of(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 4.2.2)."""
    return b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())


def listed(values: list[bytes]) -> list[bytes]:
    """The elements of a field that is a list, of all its lines (RFC 9110 5.6.1): empty ones are none."""
    return [part for value in values for each in value.split(b",") if (part := each.strip(b" \t"))]


class Switched(Protocol):
    """An upstream's connection after its 101: an asyncio.Transport nobody reads. `early` is what came behind the head already."""

    transport: Any
    early: bytes
    lost: bool
    """Whether it was lost before somebody took it over."""
    scrub: Callable[[bytes], bytes | None] | None
    """What of the frames it sends may go on, None where nothing may any more; None itself where all do as they are."""
