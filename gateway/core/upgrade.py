"""Whether a request asks for a WebSocket, as everybody here reads it."""

from typing import Final

from gateway.core.handshake import listed
from gateway.core.message import Head

WEBSOCKET: Final = b"websocket"


def asks_websocket(head: Head) -> bool:
    """RFC 6455 4.2.1. In HTTP/1.0 the field means nothing (RFC 9110 7.8)."""
    if b"upgrade" not in head.fields or head.version != "1.1":
        return False
    return WEBSOCKET in [name.lower() for name in listed(values(head, b"upgrade"))]


def values(head: Head, name: bytes) -> list[bytes]:
    """A field's values, line by line."""
    if name not in head.fields:
        return []
    if name not in head.repeated:
        return [head.fields[name]]
    return [value for key, value in head.headers if key == name]
