"""A plain ASGI application (the operators' listener) on the same accept loop, spoken to by uvicorn's own protocol.

Also uvicorn's settings for both protocols, with everything off that would speak for us.
"""

import asyncio
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway.server.listener import AsgiApp, Bound

KEEP_ALIVE: Final = 60
"""Seconds an operator's connection may wait for its next request."""


def quiet(app: AsgiApp) -> uvicorn.Config:
    """No Server field, no access log, no proxy headers, no websockets, no logging of its own."""
    config = uvicorn.Config(
        app,
        http=HttpToolsProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
    )
    config.load()
    return config


class AsgiProtocol(HttpToolsProtocol):
    """An operator's connection: uvicorn's, plus the bounds on heads that uvicorn lacks. Implements listener.Connection."""

    def __init__(self, config: uvicorn.Config, state: ServerState, bound: Bound) -> None:
        super().__init__(config, state, {}, asyncio.get_running_loop())
        self._bound = bound
        self._waiting_since: float | None = None
        self._head_size = 0

    @property
    def run(self) -> None:
        """None: uvicorn keeps its tasks to itself."""
        return

    @property
    def _reads_head(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def check(self, now: float) -> None:
        """Close a connection whose next head takes too long."""
        if not self._reads_head or self.timeout_keep_alive_task is not None:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now
        elif now - self._waiting_since > self._bound.listener.limits.header_timeout:
            self.transport.close()

    def kill(self) -> None:
        """End now."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # narrowed as uvicorn does
        super().connection_made(transport)
        self._bound.arrive(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._bound.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # What arrived without completing a head is held by the parser, which has no limit of its own.
        self._head_size = self._head_size + len(data) if self._reads_head else 0
        limits = self._bound.listener.limits
        if self._head_size > limits.request_line + limits.headers:
            self.transport.close()
