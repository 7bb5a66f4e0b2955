"""OpenTelemetry: the only file that knows its SDK, and imported only where a collector is configured (OTLP/HTTP).

Spans arrive finished and are handed to the SDK's batch processor; metrics are handed over as data each minute.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gateway.core.ports import Clock, Metrics
from gateway.telemetry.metrics import Registry
from gateway.telemetry.series import Buckets, Family, Labels
from gateway.telemetry.span import Remote, Span

log = logging.getLogger(__name__)

QUEUE: Final = 2048
BATCH: Final = 512
EXPORT_TIMEOUT: Final = 5.0
NANO: Final = 1_000_000_000
KINDS: Final = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT}
INTEGERS: Final = frozenset({"http.response.status_code", "server.port"})
SCHEMA: Final = "https://opentelemetry.io/schemas/1.37.0"


def resource(service: str, version: str) -> Resource:
    """Who sends. Joined by what OTEL_RESOURCE_ATTRIBUTES names."""
    return Resource.create({"service.name": service, "service.version": version, "service.instance.id": os.urandom(16).hex()})


def endpoint(base: str, signal: str) -> str:
    """`http://collector:4318` -> `http://collector:4318/v1/traces` (OTLP specification, endpoint URLs for OTLP/HTTP)."""
    return base if base.rstrip("/").endswith(f"/v1/{signal}") else f"{base.rstrip('/')}/v1/{signal}"


class Counting(SpanExporter):
    """An exporter that counts what it took and what it lost."""

    def __init__(self, exporter: SpanExporter, lost: Callable[[int], None]) -> None:
        self.taken = 0
        self._exporter = exporter
        self._lost = lost

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class OtlpSpans:
    """Sends spans in batches from the SDK's own thread; drops and counts what the queue cannot hold."""

    def __init__(self, base: str, about: Resource, metrics: Metrics, *, delay: float = 2.0, queue: int = QUEUE) -> None:
        exporter = OTLPSpanExporter(endpoint=endpoint(base, "traces"), timeout=EXPORT_TIMEOUT)
        self._exporter = Counting(exporter, lambda count: metrics.count("gateway.spans.dropped", count))
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=queue,
            schedule_delay_millis=delay * 1000,
            max_export_batch_size=min(BATCH, queue),
        )
        self._about = about
        self._scope = InstrumentationScope("latchgate", schema_url=SCHEMA)
        self._metrics = metrics
        self._queue = queue
        self._emitted = 0

    def emit(self, span: Span) -> None:
        """Queue a finished span. When the queue is full the SDK drops its oldest."""
        if self._emitted - self._exporter.taken >= self._queue:
            self._metrics.count("gateway.spans.dropped")
        else:
            self._emitted += 1
        self._processor.on_end(
            ReadableSpan(
                name=span.name,
                context=_context(span.trace_id, span.span_id, remote=False),
                parent=_remote(span.parent, span.kind == "server") if span.parent is not None else None,
                resource=self._about,
                attributes=span.attributes,
                links=[Link(_remote(span.link, True))] if span.link is not None else [],
                kind=KINDS[span.kind],
                status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
                start_time=span.start,
                end_time=span.end,
                instrumentation_scope=self._scope,
            )
        )

    async def close(self, timeout: float) -> None:
        """Export what is queued for at most `timeout` seconds, then stop."""
        if not await _within(timeout, self._processor.force_flush):
            log.warning("spans lost at the end: the collector takes none")
        self._exporter.shutdown()
        await _within(1.0, self._processor.shutdown)


def _context(trace_id: str, span_id: str, *, remote: bool, sampled: bool = True) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=remote, trace_flags=flags)


def _remote(span: Remote, remote: bool) -> SpanContext:
    return _context(span.trace_id, span.span_id, remote=remote, sampled=span.sampled)


async def _within(timeout: float, work: Callable[[], object]) -> bool:
    """Run blocking `work` in a thread that nobody waits for longer than `timeout` seconds; did it end in time?"""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def run() -> None:
        try:
            work()
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, name="otlp-close", daemon=True).start()
    try:
        await asyncio.wait_for(done.wait(), timeout)
    except TimeoutError:
        return False
    return True


class OtlpMetrics:
    """Sends everything the registry holds each `interval` seconds, cumulative, from a thread of its own."""

    def __init__(self, base: str, about: Resource, registry: Registry, clock: Clock, *, interval: float = 60.0) -> None:
        self._exporter = OTLPMetricExporter(endpoint=endpoint(base, "metrics"), timeout=EXPORT_TIMEOUT)
        self._about = about
        self._registry = registry
        self._clock = clock
        self._interval = interval
        self._started = int(clock.now() * NANO)
        self._scope = InstrumentationScope("latchgate", schema_url=SCHEMA)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp-metrics", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self._push()
        self._push()

    def _push(self) -> None:
        try:
            self._exporter.export(self._all())
        except Exception:  # a bug in one push must not end the pushing
            log.exception("metrics not pushed")

    async def close(self, timeout: float) -> None:
        """Push once more, for at most `timeout` seconds."""
        self._stop.set()
        await _within(timeout, self._thread.join)
        self._exporter.shutdown()

    def _all(self) -> MetricsData:
        now = int(self._clock.now() * NANO)
        metrics = [self._metric(family, now) for family in self._registry.collect() if family.points]
        scope = ScopeMetrics(self._scope, metrics, SCHEMA)
        return MetricsData([ResourceMetrics(self._about, [scope], SCHEMA)])

    def _metric(self, family: Family, now: int) -> Metric:
        instrument = family.instrument
        cumulative = AggregationTemporality.CUMULATIVE
        numbers = [self._number(labels, value, now) for labels, value in family.points if not isinstance(value, Buckets)]
        data: Gauge | Sum | Histogram
        if instrument.type == "histogram":
            found = [(labels, value) for labels, value in family.points if isinstance(value, Buckets)]
            data = Histogram([self._histogram(labels, value, instrument.bounds, now) for labels, value in found], cumulative)
        elif instrument.type == "gauge":
            data = Gauge(numbers)
        else:
            data = Sum(numbers, cumulative, is_monotonic=instrument.type == "counter")
        return Metric(instrument.name, instrument.about, instrument.unit, data)

    def _number(self, labels: Labels, value: float, now: int) -> NumberDataPoint:
        return NumberDataPoint(typed(labels), self._started, now, value)

    def _histogram(self, labels: Labels, value: Buckets, bounds: tuple[float, ...], now: int) -> HistogramDataPoint:
        unknown: Any = None  # smallest and largest are optional in OTLP and not kept
        counts = list(value.counts)
        return HistogramDataPoint(
            typed(labels), self._started, now, sum(counts), value.total, counts, bounds, min=unknown, max=unknown
        )


def typed(labels: Labels) -> dict[str, str | int]:
    """Labels as attributes: a Prometheus label is always text, the conventions call these attributes integers."""
    return {name: int(value) if name in INTEGERS and value.isdecimal() else value for name, value in labels}
