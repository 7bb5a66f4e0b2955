"""Which of two protocols a connection speaks, on a listener that takes both: by ALPN under TLS, else by its first bytes.

There is no upgrade from HTTP/1.1 (RFC 9113 3.1 dropped it, and it is how requests are smuggled past proxies).
"""

import asyncio
from typing import Final, cast

from gateway.core.pace import NEVER
from gateway.http2.frames import PREFACE
from gateway.server.h2.protocol import Http2Protocol
from gateway.server.listener import Bound
from gateway.server.protocol import GatewayProtocol

H2: Final = "h2"


class Choice:
    """A connection of which it is not known yet; implements asyncio.Protocol and listener.Connection."""

    __slots__ = ("_begun", "_bound", "_crowded", "_deadline", "_peer", "_transport", "run")

    def __init__(self, bound: Bound, peer: str, crowded: bool) -> None:
        self._bound, self._peer, self._crowded = bound, peer, crowded
        self._begun = b""
        self._deadline = NEVER
        self.run: None = None

    # What the accept loop asks

    def check(self, now: float) -> None:
        """A client that says nothing is sent away; one that has begun something is told, as if it were HTTP/1.1."""
        if self._deadline > now:
            return
        if self._begun:
            self._choose(http2=False)
        else:
            self._transport.close()

    def shutdown(self) -> None:
        """Nothing is in flight."""
        self._transport.close()

    def kill(self) -> None:
        self._transport.abort()

    # What the transport tells

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._bound.arrive(self)
        session = transport.get_extra_info("ssl_object")
        if session is not None:
            self._choose(http2=session.selected_alpn_protocol() == H2)
            return
        self._deadline = asyncio.get_running_loop().time() + self._bound.listener.limits.header_timeout

    def connection_lost(self, exc: Exception | None) -> None:
        self._bound.leave(self)

    def data_received(self, data: bytes) -> None:
        self._begun += data
        if self._begun.startswith(PREFACE):
            self._choose(http2=True)
        elif not PREFACE.startswith(self._begun):
            self._choose(http2=False)

    def eof_received(self) -> None:
        """The transport closes next."""

    def _choose(self, *, http2: bool) -> None:
        kind = Http2Protocol if http2 else GatewayProtocol
        self._hand_over(kind(self._bound, self._peer, self._crowded))

    def _hand_over(self, chosen: Http2Protocol | GatewayProtocol) -> None:
        begun, self._begun = self._begun, b""
        self._deadline = NEVER
        self._transport.set_protocol(cast("asyncio.BaseProtocol", chosen))
        chosen.connection_made(self._transport)
        self._bound.leave(self)  # only now: the listener must not seem to be empty in between
        if begun:
            chosen.data_received(begun)
