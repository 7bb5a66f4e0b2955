"""Which protocol a listener's connections speak: the data path's, or plain ASGI."""

import asyncio
from typing import Protocol, cast

import uvicorn
from uvicorn.server import ServerState

from gateway.server.asgi import AsgiProtocol, quiet
from gateway.server.listener import Asgi, AsgiApp, Bound
from gateway.server.protocol import GatewayProtocol


class Connect(Protocol):
    """Makes a protocol for a peer; `crowded` for one that is over the limit of connections."""

    def __call__(self, peer: str, crowded: bool) -> asyncio.BaseProtocol: ...


def connector(bound: Bound) -> Connect:
    """What is spoken on a listener."""
    app = bound.listener.app
    if isinstance(app, Asgi):
        return AsgiConnector(bound, app.app)
    return Http2Connector(bound) if bound.listener.http2 else Connector(bound)


class Connector:
    """Makes the protocol objects of the data path's connections."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound

    def __call__(self, peer: str, crowded: bool) -> asyncio.BaseProtocol:
        return cast("asyncio.BaseProtocol", GatewayProtocol(self._bound, peer, crowded))


class Http2Connector:
    """Makes the protocol objects of a listener that takes HTTP/2 beside HTTP/1.1."""

    def __init__(self, bound: Bound) -> None:
        from gateway.server.h2.choice import Choice

        self._bound = bound
        self._choice = Choice

    def __call__(self, peer: str, crowded: bool) -> asyncio.BaseProtocol:
        return cast("asyncio.BaseProtocol", self._choice(self._bound, peer, crowded))


class AsgiConnector:
    """Makes the protocol objects of an operators' listener."""

    def __init__(self, bound: Bound, app: AsgiApp) -> None:
        self._bound = bound
        self._config: uvicorn.Config = quiet(app)
        self._state = ServerState()

    def __call__(self, peer: str, crowded: bool) -> asyncio.BaseProtocol:
        return AsgiProtocol(self._config, self._state, self._bound)
