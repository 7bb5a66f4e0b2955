"""Which protocol a listener's connections speak: the data path's, HTTP/2 beside it, or plain ASGI."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

from uvicorn.server import ServerState

from gateway.server.asgi import AsgiProtocol, quiet
from gateway.server.listener import Asgi, Bound
from gateway.server.protocol import GatewayProtocol

Connect = Callable[[str, bool], asyncio.BaseProtocol]
"""Makes a protocol for a peer; the second says whether it is over the limit of connections."""


def connector(bound: Bound) -> Connect:
    """What is spoken on a listener."""
    app = bound.listener.app
    if isinstance(app, Asgi):
        config, state = quiet(app.app), ServerState()
        return lambda _peer, _crowded: AsgiProtocol(config, state, bound)
    if not bound.listener.http2:
        return cast("Connect", partial(GatewayProtocol, bound))
    from gateway.server.h2.choice import Choice

    return cast("Connect", partial(Choice, bound))
