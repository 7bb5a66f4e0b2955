"""Who is at the other end of a connection, settled once; every request of the connection carries it."""

import asyncio
from typing import Any

from gateway.core.errors import GatewayError
from gateway.core.message import NO_BODY, Body, Field, Inbound
from gateway.server.head import known
from gateway.server.listener import Listener


class Origin:
    """A connection's peer: its address, and what TLS told about it."""

    __slots__ = ("_certificate", "_listener", "_peer", "_secure", "_server_name")

    def __init__(self, listener: Listener, peer: str, transport: asyncio.Transport) -> None:
        session = transport.get_extra_info("ssl_object")
        self._listener = listener.name
        self._peer = peer
        self._secure = session is not None
        self._certificate: bytes | None = None
        self._server_name: str | None = None
        if session is not None:
            self._certificate = session.getpeercert(True)
            self._server_name = listener.tls.requested_name(session) if listener.tls is not None else None

    def inbound(
        self,
        method: str,
        target: bytes,
        version: str,
        headers: list[Field],
        body: Body = NO_BODY,
        fault: GatewayError | None = None,
        memo: dict[object, Any] | None = None,
    ) -> Inbound:
        """A request that came from here."""
        return Inbound(
            method,
            target,
            version,
            headers,
            self._peer,
            self._listener,
            self._secure,
            self._server_name,
            self._certificate,
            body,
            fault,
            memo,
        )

    def refused(self, head: bytes, headers: list[Field], fault: GatewayError) -> Inbound:
        """What is known of a request with a bad head, or half of one; to be answered with its fault."""
        method, target = known(head)
        version = "1.0" if b" HTTP/1.0\r\n" in head else "1.1"
        return self.inbound(method, target, version, headers, fault=fault)
