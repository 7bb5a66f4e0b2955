"""What is written down about exchanges: metrics, spans and the audit trail, told together."""

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Final

from gateway.audit.record import Record
from gateway.core.exchange import Exchange
from gateway.core.message import Inbound
from gateway.core.outbox import outbox_of
from gateway.telemetry.telemetry import Telemetry

GATHERED: Final = 0.01
"""Seconds for which ended exchanges are gathered before they are written down."""
MOST_GATHERED: Final = 64


class Evidence:
    """What is written down about every exchange: a moment after its end and many at once, which costs half as much.

    `first`: before its answer leaves, with those of the same turn of the event loop, so that this process may die at any time.
    """

    def __init__(self, telemetry: Telemetry, trail: Record, *, first: bool = False) -> None:
        self._telemetry = telemetry
        self._trail = trail
        self._ended: list[tuple[Exchange, float]] = []
        loop = asyncio.get_running_loop()
        self._soon: Callable[[Callable[[], None]], object] = loop.call_soon if first else partial(loop.call_later, GATHERED)
        if first:
            outbox_of(loop).hold(self.write)
        self.begin: Callable[[Exchange, Inbound], None] = telemetry.begin

    def opened(self, exchange: Exchange) -> None:
        """A WebSocket was opened. Its request's event comes when it is over, which may be never where the process dies."""
        principal = exchange.principal
        self._trail.event(
            "websocket.opened",
            request_id=exchange.id,
            trace_id=exchange.trace_id or None,
            client=exchange.client,
            issuer=principal and principal.issuer,
            subject=principal and principal.id,
            scheme=principal and principal.scheme,
            credential_id=principal and principal.credential_id,
            route=exchange.route,
            upstream=exchange.upstream,
            credential=exchange.credential,
        )

    def end(self, exchange: Exchange) -> None:
        """Note the end now, write it down within `GATHERED` seconds."""
        ended = self._ended
        if not ended:
            self._soon(self.write)
        ended.append((exchange, monotonic() - exchange.started))
        if len(ended) >= MOST_GATHERED:
            self.write()

    def write(self) -> None:
        """Write down everything noted so far."""
        if not self._ended:
            return
        ended, self._ended = self._ended, []
        self._trail.record(ended)
        self._telemetry.end(ended)
