"""Traces: ids for every request, spans for the sampled ones. Whether to sample is decided before anything else is done.

A `traceparent` of a client we do not trust never continues a trace and never makes us record: its trace becomes a link on a
new root (W3C Trace Context, section on privacy and security; OpenTelemetry: links across trust boundaries).
"""

import random
import re
from typing import Final, Protocol

from gateway.core.exchange import Exchange
from gateway.telemetry.model import Telemetry
from gateway.telemetry.names import Names
from gateway.telemetry.series import was_called
from gateway.telemetry.span import (
    Remote,
    Span,
    client_attributes,
    client_failed,
    server_attributes,
    server_failed,
    server_name,
)

TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
LOW: Final = (1 << 64) - 1
ABOVE: Final = "g"
"""Greater than any hexadecimal digits."""
PAGE: Final = 64
"""Traces named at once."""
NANO: Final = 1_000_000_000


class SpanOut(Protocol):
    """Where finished spans go. Never waits. Where there is no `room` for so many, they are counted as lost and need not be made."""

    def room(self, spans: int) -> bool: ...
    def emit(self, span: Span) -> None: ...
    async def close(self, timeout: float) -> None: ...


def parse_traceparent(value: bytes) -> Remote | None:
    """The span a `traceparent` names, None if it is malformed (W3C Trace Context 3.2.2, 4.3): the caller then starts anew."""
    found = TRACEPARENT.fullmatch(value) if len(value) <= 512 else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    if not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    return Remote(trace_id.decode("ascii"), span_id.decode("ascii"), bool(int(flags, 16) & 1))


class Tracer:
    """Names traces, decides which are recorded, and makes the spans of those."""

    def __init__(self, model: Telemetry, *, out: SpanOut | None = None) -> None:
        """Without `out` nothing is recorded; ids are given all the same, for logs, the audit trail and upstreams."""
        self.names = Names()
        self._out = out
        share = model.traces.sample if model.traces is not None and out is not None else 0.0
        # As OpenTelemetry's TraceIdRatioBased: the low 64 bits of a trace id are compared with the share, here as digits.
        bound = round(share * (1 << 64))
        self._threshold = f"{bound:016x}" if bound <= LOW else ABOVE
        self._ids: list[tuple[str, str]] = []
        # Seeded by the operating system. Ids must not collide; they are no secrets.
        self._octets = random.Random().randbytes  # noqa: S311

    def begin(self, exchange: Exchange) -> None:
        """Give the exchange its ids and the sampling decision."""
        if not self._ids:
            self._ids = self._page()
        exchange.trace_id, exchange.span_id = self._ids.pop()
        exchange.sampled = exchange.trace_id[16:] < self._threshold

    def _page(self) -> list[tuple[str, str]]:
        """Ids of PAGE traces and their first spans."""
        traces, spans = self._octets(PAGE * 16).hex("-", 16), self._octets(PAGE * 8).hex("-", 8)
        return list(zip(traces.split("-"), spans.split("-"), strict=True))

    def adopt(self, exchange: Exchange, traceparent: bytes, trusted: bool) -> None:
        """Continue a trusted client's trace; link an untrusted one's to ours, if ours is recorded. Malformed: neither."""
        remote = parse_traceparent(traceparent)
        if remote is None:
            return
        exchange.span = remote, trusted
        if not trusted:
            return
        exchange.trace_id = remote.trace_id
        exchange.sampled = remote.sampled
        if self._out is None:  # we record nothing: the upstream's parent is the span we were told
            exchange.span_id = remote.span_id

    def end(self, exchange: Exchange, duration: float) -> None:
        """Record the spans of a sampled exchange. `exchange.span_id` is the CLIENT span, where there was a call."""
        called = was_called(exchange)
        if not exchange.sampled or self._out is None or not self._out.room(2 if called else 1):
            return
        remote, trusted = exchange.span if isinstance(exchange.span, tuple) else (None, False)
        start = int(exchange.time * NANO)
        server_id = self._octets(8).hex() if called else exchange.span_id
        server = Span(
            kind="server",
            name=server_name(exchange, self.names),
            trace_id=exchange.trace_id,
            span_id=server_id,
            parent=remote if trusted else None,
            link=None if trusted else remote,
            start=start,
            end=start + int(duration * NANO),
            attributes=server_attributes(exchange, self.names),
            failed=server_failed(exchange),
        )
        if called:
            self._out.emit(self._client(exchange, server))
        self._out.emit(server)

    def _client(self, exchange: Exchange, server: Span) -> Span:
        begun = exchange.upstream_started
        start = server.start if begun is None else server.start + int((begun - exchange.started) * NANO)
        seconds = exchange.upstream_seconds
        return Span(
            kind="client",
            name=str(server.attributes["http.request.method"]).replace("_OTHER", "HTTP"),
            trace_id=exchange.trace_id,
            span_id=exchange.span_id,
            parent=Remote(server.trace_id, server.span_id, sampled=True),
            link=None,
            start=min(start, server.end),
            end=server.end if seconds is None else min(start + int(seconds * NANO), server.end),
            attributes=client_attributes(exchange, self.names),
            failed=client_failed(exchange),
        )

    def describe(self, names: Names) -> None:
        """Take over a new configuration's names."""
        self.names = names

    async def close(self, timeout: float = 5.0) -> None:
        """Send what was recorded, for at most `timeout` seconds."""
        if self._out is not None:
            await self._out.close(timeout)
