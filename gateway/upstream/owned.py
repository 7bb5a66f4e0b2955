"""Which header fields are the gateway's to speak for, so that nobody outside may send them.

One list serves both purposes: what is removed from a client's request, and what `headers.set` may not touch.
"""

from typing import Final

from gateway.core.names import folded

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"proxy-connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"http2-settings",
    }
)
"""RFC 9110 7.6.1: about one connection, never forwarded; both ways."""

FRAMING: Final = frozenset({b"host", b"content-length", b"expect", b"via", b"max-forwards"})
"""Written anew for each hop."""

OWNED: Final = frozenset(
    {
        b"x-gateway-*",
        b"x-request-id",
        b"forwarded",
        b"x-forwarded-*",
        b"x-forwarded",
        b"x-forwarder-for",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"true-client-ip",
        b"x-original-*",
        b"x-rewrite-*",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-http-path-override",
        b"x-envoy-*",
        b"client-cert",
        b"client-cert-chain",
        b"x-ssl-client-*",
        b"x-client-cert*",
        b"remote-user",
        b"x-remote-*",
        b"x-auth-request-*",
        b"x-webauth-*",
        b"x-userinfo",
        b"x-access-token",
        b"x-id-token",
        b"traceparent",
        b"tracestate",
        b"baggage",
    }
)
"""Who is asking, from where, for what, in which trace: said by the gateway or by nobody. A final `*` covers what follows."""

HANDSHAKE: Final = frozenset({b"sec-websocket-*"})
"""Where WebSockets are taken: the handshake with the upstream is the gateway's own."""


class Names:
    """A set of header names, compared by letters and digits only (`X_Gateway.Subject` is `x-gateway-subject`)."""

    def __init__(self, names: frozenset[bytes]) -> None:
        self._exact = frozenset(folded(name) for name in names if not name.endswith(b"*"))
        self._beginnings = tuple(sorted(folded(name) for name in names if name.endswith(b"*")))

    def __contains__(self, name: bytes) -> bool:
        plain = folded(name)
        return plain in self._exact or plain.startswith(self._beginnings)
