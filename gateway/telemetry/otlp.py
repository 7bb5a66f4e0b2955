"""OpenTelemetry: with `encoding` the only file that knows its SDK, imported only where a collector is configured (OTLP/HTTP).

Spans arrive finished, are encoded and sent in batches by the SDK's exporter; metrics are handed over as data each minute.
"""

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
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
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from gateway.core.ports import Clock, Metrics
from gateway.telemetry.encoding import Encoder
from gateway.telemetry.metrics import Registry
from gateway.telemetry.series import Buckets, Family, Labels
from gateway.telemetry.span import Span

log = logging.getLogger(__name__)

QUEUE: Final = 2048
"""Spans that wait to be sent; further ones are dropped and counted."""
BATCH: Final = 512
DELAY: Final = 5.0
"""Seconds after which fewer than BATCH are sent too, as the SDK has it: sending costs a millisecond, however few they are."""
EXPORT_TIMEOUT: Final = 5.0
NANO: Final = 1_000_000_000
INTEGERS: Final = frozenset({"http.response.status_code", "server.port"})
SCHEMA: Final = "https://opentelemetry.io/schemas/1.37.0"


def resource(service: str, version: str) -> Resource:
    """Who sends. Joined by what OTEL_RESOURCE_ATTRIBUTES names."""
    return Resource.create({"service.name": service, "service.version": version, "service.instance.id": os.urandom(16).hex()})


def endpoint(base: str, signal: str) -> str:
    """`http://collector:4318` -> `http://collector:4318/v1/traces` (OTLP specification, endpoint URLs for OTLP/HTTP)."""
    return base if base.rstrip("/").endswith(f"/v1/{signal}") else f"{base.rstrip('/')}/v1/{signal}"


class OtlpSpans:
    """Sends spans in batches from a thread of its own; drops and counts what the queue cannot hold.

    Spans are encoded as they come, many requests at a time and after their answers (see Evidence): that is short, and a thread
    that encodes holds the interpreter's lock for milliseconds. The thread only sends, which is mostly waiting.
    """

    def __init__(self, base: str, about: Resource, metrics: Metrics, *, delay: float = DELAY, queue: int = QUEUE) -> None:
        self._exporter: Any = OTLPSpanExporter(endpoint=endpoint(base, "traces"), timeout=EXPORT_TIMEOUT)
        # The exporter keeps its connections, retries and OTEL_EXPORTER_OTLP_* settings; only its encoding is too slow for us. It
        # has no public name for what comes after that, which is why pyproject.toml names the releases that have this one.
        self._send: Callable[[bytes], Any] = self._exporter._client.export
        self._encoder = Encoder(about, InstrumentationScope("latchgate", schema_url=SCHEMA))
        self._metrics = metrics
        self._delay = delay
        self._most = queue
        self._batch = min(BATCH, queue)
        self._queue: deque[bytes] = deque()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp-spans", daemon=True)
        self._thread.start()

    def room(self, spans: int) -> bool:
        """May so many be emitted? If not they are counted as lost and need not be made."""
        if len(self._queue) + spans <= self._most:
            return True
        self._lost(spans)
        return False

    def emit(self, span: Span) -> None:
        """Queue a finished span. Never waits."""
        queue = self._queue
        if len(queue) >= self._most:
            self._lost(1)
            return
        queue.append(self._encoder.span(span))
        if len(queue) >= self._batch and not self._wake.is_set():
            self._wake.set()

    def _lost(self, spans: int) -> None:
        self._metrics.count("gateway.spans.dropped", spans)

    def _run(self) -> None:
        while not self._stop.is_set():
            full = self._wake.wait(self._delay)
            self._wake.clear()
            if not self._flush(self._batch if full and not self._stop.is_set() else 1):
                self._stop.wait(self._delay)  # a collector that refuses is not asked again at once, nor complained of
        self._flush(1)

    def _flush(self, least: int) -> bool:
        """Send until fewer than `least` wait or the collector takes none; did it take all?"""
        queue = self._queue
        while len(queue) >= least:
            spans = [queue.popleft() for _ in range(min(self._batch, len(queue)))]
            if not self._sent(spans):
                self._lost(len(spans))
                return False
        return True

    def _sent(self, spans: list[bytes]) -> bool:
        try:
            return bool(self._send(self._encoder.request(spans)).success)
        except Exception:  # a bug in one batch must not end the sending
            log.exception("spans not sent")
            return False

    async def close(self, timeout: float) -> None:
        """Send what is queued for at most `timeout` seconds, then stop."""
        self._stop.set()
        self._wake.set()
        if not await _within(timeout, self._thread.join) or self._queue:
            log.warning("spans lost at the end: the collector takes none")
            self._lost(len(self._queue))
        self._exporter.shutdown()


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
