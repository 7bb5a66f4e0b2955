"""Is this a decent WebSocket handshake, and may the page that began it?

The client's half only (RFC 6455 4.2.1, 10.2): the upstream gets a handshake of the gateway's own making.
"""

import re
from typing import Final

from gateway.core.errors import BadRequest, Forbidden
from gateway.core.handshake import VERSION, accept_of, listed
from gateway.core.message import NO_BODY, Head, Request
from gateway.core.origin import own_origin
from gateway.core.reason import Reason
from gateway.core.upgrade import WEBSOCKET, asks_websocket, values
from gateway.edge.cors import ANY, MAX_ORIGIN, pattern
from gateway.edge.model import WebSocket

KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
"""Sixteen bytes in base64, written the one way there is."""
TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
MOST_PROTOCOLS: Final = 32


class Offer:
    """A client's handshake, found in order: the subprotocols it offers that may be, and the Sec-WebSocket-Accept it expects."""

    __slots__ = ("accept", "protocols")

    def __init__(self, protocols: tuple[bytes, ...], accept: bytes) -> None:
        self.protocols = protocols
        self.accept = accept


class Handshakes:
    """One route's judgement of WebSocket handshakes. Raises ValueError for an origin that is none."""

    __slots__ = ("_every", "_exact", "_patterns", "_protocols")

    def __init__(self, config: WebSocket) -> None:
        self._every = ANY in config.origins
        patterns = [pattern(origin) for origin in config.origins if origin != ANY]
        self._exact = frozenset(each for each in patterns if isinstance(each, bytes))
        self._patterns = tuple(each for each in patterns if not isinstance(each, bytes))
        self._protocols = None if config.subprotocols is None else frozenset(name.encode() for name in config.subprotocols)

    def asked(self, request: Request) -> Offer | None:
        """The handshake of a request that asks for a WebSocket, None for any other request.

        Raises BadRequest for one that breaks RFC 6455 4.2.1 (426 for another version), and Forbidden (origin-denied) for one
        that a page of an origin not listed began: a browser adds cookies and certificates whoever asked it to.
        """
        head = request.head
        if not asks_websocket(head):
            return None
        self._judge(request)
        self._check_origin(head)
        return Offer(self._offered(head), accept_of(head.fields[b"sec-websocket-key"]))

    def _judge(self, request: Request) -> None:
        head = request.head
        if request.method != "GET" or request.body is not NO_BODY:
            raise BadRequest("websocket: not a GET without a body", close=True)
        if b"upgrade" not in [option.lower() for option in listed(values(head, b"connection"))]:
            raise BadRequest("websocket: Connection does not name Upgrade")
        if values(head, b"sec-websocket-version") != [VERSION]:
            version = ((b"sec-websocket-version", VERSION),)  # RFC 6455 4.4
            raise BadRequest("websocket: not version 13", reason=Reason.UPGRADE_REQUIRED, headers=(*version, *UPGRADE))
        keys = values(head, b"sec-websocket-key")
        if len(keys) != 1 or not KEY.fullmatch(keys[0]):
            raise BadRequest("websocket: Sec-WebSocket-Key is not sixteen bytes in base64")

    def _offered(self, head: Head) -> tuple[bytes, ...]:
        """The subprotocols the upstream may choose of. Raises BadRequest for what is no list of different tokens."""
        offered = listed(values(head, b"sec-websocket-protocol"))
        if len(offered) > MOST_PROTOCOLS or len(set(offered)) < len(offered) or not all(map(TOKEN.fullmatch, offered)):
            raise BadRequest("websocket: Sec-WebSocket-Protocol")
        return tuple(name for name in offered if self._protocols is None or name in self._protocols)

    def _check_origin(self, head: Head) -> None:
        """RFC 6455 10.2. Who sends no Origin is no browser; a cookie without one is refused where cookies count (authn)."""
        origin = head.fields.get(b"origin")
        if origin is not None and (b"origin" in head.repeated or not self._may(origin.lower(), head)):
            raise Forbidden("websocket: origin is not listed", reason=Reason.ORIGIN_DENIED)

    def _may(self, origin: bytes, head: Head) -> bool:
        if len(origin) > MAX_ORIGIN or origin == b"null":
            return False
        if self._every or origin in self._exact or origin == own_origin(head).encode("ascii"):
            return True
        return any(each.fullmatch(origin) for each in self._patterns)


UPGRADE: Final = ((b"upgrade", WEBSOCKET),)
"""RFC 9110 15.5.22: a 426 names what to upgrade to."""
