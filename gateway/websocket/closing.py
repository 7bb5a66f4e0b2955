"""Close frames: the codes, making one, judging one (RFC 6455 5.5.1, 7.4)."""

import os
from typing import Final

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
NO_STATUS: Final = 1005
ABNORMAL: Final = 1006
INVALID_DATA: Final = 1007
POLICY: Final = 1008
TOO_LARGE: Final = 1009
INTERNAL: Final = 1011
TRY_LATER: Final = 1013

ASSIGNED: Final = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))
"""What IANA's registry of WebSocket close codes lets an endpoint send; 1004 to 1006 and 1015 are never on the wire."""
OWN: Final = range(3000, 5000)
"""For frameworks and applications."""

CLOSE: Final = 0x8


def is_sendable(code: int) -> bool:
    """Whether a Close may carry this code."""
    return code in ASSIGNED or code in OWN


def close_frame(code: int, *, masked: bool) -> bytes:
    """A whole Close without a reason in words; masked as a client's, which the gateway is to its upstream."""
    payload = code.to_bytes(2, "big")
    if not masked:
        return bytes((0x80 | CLOSE, len(payload))) + payload
    mask = os.urandom(4)
    return bytes((0x80 | CLOSE, 0x80 | len(payload))) + mask + unmasked(payload, mask)


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """RFC 6455 5.3: the same either way. As two large numbers, which is a hundred times as fast as octet by octet."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def code_of(payload: bytes) -> int:
    """The code of a Close's payload. Raises ValueError for one that must not be sent."""
    if not payload:
        return NO_STATUS
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not is_sendable(code):
        raise ValueError("a Close with a code that is not for sending")
    payload[2:].decode("utf-8")
    return code
