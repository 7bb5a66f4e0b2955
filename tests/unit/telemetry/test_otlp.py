"""What a real OTLP/HTTP receiver gets."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.core.exchange import Exchange
from gateway.core.reason import Reason
from gateway.telemetry import model
from gateway.telemetry.names import Names
from gateway.telemetry.otlp import OtlpSpans, endpoint, resource
from gateway.telemetry.span import Span as Finished
from gateway.telemetry.telemetry import Telemetry
from tests.collector import Collector, attributes, collector
from tests.exchanges import Tally, Ticks, exchange, inbound, refused

ROOT = Path(__file__).parents[3]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())
NAMES = Names.of({"github.issues": "/github/repos/{owner}/{repo}/issues"}, {"github": "https://api.github.com"})


@pytest.fixture
def received() -> Iterator[Collector]:
    with collector() as found:
        yield found


def settings(received: Collector, *, traces: bool = True, metrics: bool = False) -> model.Telemetry:
    return model.Telemetry(
        traces=model.Traces(otlp=received.url, sample=1.0) if traces else None,
        metrics=model.MetricsOut(otlp=received.url if metrics else None),
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def sent(received: Collector, made: Exchange, *headers: tuple[bytes, bytes], trusted: bool = False) -> dict[int, Any]:
    telemetry = Telemetry(settings(received), clock=Ticks())
    telemetry.describe(NAMES, lambda _: trusted)
    arrived = inbound(*headers)
    telemetry.begin(made, arrived)
    telemetry.end([(made, 0.01)])
    await telemetry.close()
    return {span.kind: span for span in received.spans}


async def test_a_collector_sees_one_server_and_one_client_span_of_one_trace(received: Collector) -> None:
    made = exchange()
    spans = await sent(received, made, (b"user-agent", b"curl/8"))
    assert len(received.spans) == 2
    server, client = spans[Span.SPAN_KIND_SERVER], spans[Span.SPAN_KIND_CLIENT]
    assert server.trace_id.hex() == client.trace_id.hex() == made.trace_id
    assert server.parent_span_id == b""
    assert client.parent_span_id == server.span_id
    assert client.span_id.hex() == made.span_id
    assert server.name == "GET /github/repos/{owner}/{repo}/issues"
    assert client.name == "GET"
    assert attributes(server)["http.response.status_code"] == 200
    assert attributes(server)["user_agent.original"] == "curl/8"
    assert attributes(client)["url.full"] == "https://api.github.com/github/repos/acme/tools/issues?page=2"
    assert server.status.code == Status.STATUS_CODE_UNSET
    about = attributes(received.traces[0].resource_spans[0].resource)
    assert about["service.name"] == "gateway"
    assert about["service.version"]
    assert received.traces[0].resource_spans[0].scope_spans[0].scope.name == "latchgate"


async def test_an_untrusted_traceparent_arrives_as_a_link(received: Collector) -> None:
    spans = await sent(received, exchange(), TRACEPARENT)
    server = spans[Span.SPAN_KIND_SERVER]
    assert server.trace_id.hex() != TRACE
    assert server.parent_span_id == b""
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in server.links] == [(TRACE, PARENT)]


async def test_a_trusted_traceparent_arrives_as_the_parent(received: Collector) -> None:
    spans = await sent(received, exchange(), TRACEPARENT, trusted=True)
    server = spans[Span.SPAN_KIND_SERVER]
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, PARENT)
    assert list(server.links) == []
    assert spans[Span.SPAN_KIND_CLIENT].trace_id.hex() == TRACE


async def test_two_traceparents_are_none(received: Collector) -> None:
    spans = await sent(received, exchange(), TRACEPARENT, TRACEPARENT, trusted=True)
    assert spans[Span.SPAN_KIND_SERVER].trace_id.hex() != TRACE
    assert list(spans[Span.SPAN_KIND_SERVER].links) == []


async def test_a_failure_arrives_with_error_status(received: Collector) -> None:
    made = refused(status=502, reason=Reason.UPSTREAM_UNREACHABLE)
    spans = await sent(received, made)
    for span in spans.values():
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert span.status.message == ""
        assert attributes(span)["error.type"] == "upstream-unreachable"
    assert len(spans) == 2


async def test_unsampled_requests_send_nothing(received: Collector) -> None:
    telemetry = Telemetry(model.Telemetry(traces=model.Traces(otlp=received.url, sample=0.0)), clock=Ticks())
    for _ in range(50):
        made = exchange()
        telemetry.begin(made, inbound(TRACEPARENT))
        telemetry.end([(made, 0.01)])
    await telemetry.close()
    assert received.requests == 0
    assert telemetry.metrics.active == 0


def a_span(number: int) -> Finished:
    return Finished("server", "GET", f"{number + 1:032x}", f"{number + 1:016x}", None, None, 1, 2, {}, failed=False)


async def test_what_the_queue_cannot_hold_is_dropped_and_counted(received: Collector) -> None:
    tally = Tally()
    spans = OtlpSpans(received.url, resource("gateway", "1"), tally, delay=0.01, queue=10)
    received.hold.clear()
    for number in range(10):
        spans.emit(a_span(number))
    await until(lambda: received.requests == 1)
    for number in range(10, 35):
        spans.emit(a_span(number))
    received.hold.set()
    await spans.close(10.0)
    assert tally.sums["gateway.spans.dropped"] == 15
    assert len(received.spans) == 20


async def test_what_is_dropped_is_counted_and_not_logged(received: Collector, caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally()
    spans = OtlpSpans(received.url, resource("gateway", "1"), tally, queue=10)
    received.hold.clear()
    for number in range(10):
        spans.emit(a_span(number))
    await until(lambda: received.requests == 1)
    assert spans.room(10)
    for number in range(9):
        spans.emit(a_span(number))
    assert not spans.room(2)
    assert tally.sums["gateway.spans.dropped"] == 2
    assert spans.room(1)
    for number in range(1000):
        spans.emit(a_span(number))
    assert tally.sums["gateway.spans.dropped"] == 2 + 999
    received.hold.set()
    await spans.close(10.0)
    assert len(received.spans) == 20
    assert [record.message for record in caplog.records] == []


async def test_a_collector_that_refuses_is_left_alone_for_a_while(received: Collector) -> None:
    tally = Tally()
    spans = OtlpSpans(received.url, resource("gateway", "1"), tally, delay=3600.0, queue=10)
    received.status = 400
    for number in range(10):
        spans.emit(a_span(number))
    await until(lambda: tally.sums.get("gateway.spans.dropped") == 10)
    for number in range(100):
        spans.emit(a_span(number))
    assert tally.sums["gateway.spans.dropped"] == 10 + 90
    for _ in range(50):  # a thread that does not pause would ask at once
        await asyncio.sleep(0.002)
        assert received.requests == 1
    received.status = 200
    await spans.close(10.0)
    assert len(received.spans) == 10


async def test_spans_that_fill_no_batch_are_sent_after_a_delay(received: Collector) -> None:
    spans = OtlpSpans(received.url, resource("gateway", "1"), Tally(), delay=0.01)
    spans.emit(a_span(0))
    await until(lambda: len(received.spans) == 1)
    await spans.close(5.0)


async def test_what_a_collector_refuses_is_counted(received: Collector) -> None:
    tally = Tally()
    spans = OtlpSpans(received.url, resource("gateway", "1"), tally)
    received.status = 400
    spans.emit(a_span(0))
    await spans.close(5.0)
    assert tally.sums["gateway.spans.dropped"] == 1


@pytest.mark.parametrize("alive", [True, False], ids=["hanging", "absent"])
async def test_a_collector_that_does_not_answer_holds_up_neither_requests_nor_the_end(received: Collector, alive: bool) -> None:
    url = received.url if alive else "http://127.0.0.1:9"
    received.hold.clear()
    spans = OtlpSpans(url, resource("gateway", "1"), Tally(), queue=10)
    for number in range(100):
        spans.emit(a_span(number))
    async with asyncio.timeout(20):
        await spans.close(0.05)
    received.hold.set()


async def test_metrics_are_pushed_as_they_stand(received: Collector) -> None:
    telemetry = Telemetry(settings(received, traces=False, metrics=True), clock=Ticks(), push_interval=0.05)
    telemetry.describe(NAMES)
    made = exchange()
    telemetry.begin(made, inbound())
    telemetry.end([(made, 0.01)])
    telemetry.metrics.count("gateway.config.reloads", 3, outcome="applied")
    await until(lambda: len(received.metrics) >= 2)
    await telemetry.close()
    (scope,) = received.metrics[-1].resource_metrics[0].scope_metrics
    metrics = {metric.name: metric for metric in scope.metrics}
    assert attributes(received.metrics[-1].resource_metrics[0].resource)["service.name"] == "gateway"
    (point,) = metrics["http.server.request.duration"].histogram.data_points
    assert point.count == 1
    assert next(iter(point.explicit_bounds)) == 0.005
    assert sum(point.bucket_counts) == 1
    assert not point.HasField("min")
    assert attributes(point)["http.route"] == "/github/repos/{owner}/{repo}/issues"
    assert metrics["http.server.request.duration"].unit == "s"
    (reloads,) = metrics["gateway.config.reloads"].sum.data_points
    assert reloads.as_double == 3 or reloads.as_int == 3
    assert metrics["gateway.config.reloads"].sum.is_monotonic
    assert not metrics["http.server.active_requests"].sum.is_monotonic
    assert metrics["process.resident.memory"].gauge.data_points


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp", "https://c/otlp/v1/traces"),
        ("http://c/v1/traces", "http://c/v1/traces"),
    ],
)
def test_the_signals_path_is_added_to_a_base_url(base: str, url: str) -> None:
    assert endpoint(base, "traces") == url


def test_without_a_collector_opentelemetry_is_never_imported() -> None:
    code = """
import sys
from gateway.telemetry.model import Telemetry as Settings
from gateway.telemetry.telemetry import Telemetry
from gateway.telemetry import logs
from tests.exchanges import Ticks, exchange, inbound
telemetry = Telemetry(Settings(), clock=Ticks())
made = exchange()
telemetry.begin(made, inbound())
telemetry.end([(made, 0.01)])
telemetry.metrics.render()
print(sorted(name for name in sys.modules if name.split(".")[0] in {"opentelemetry", "requests", "google"}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


async def test_no_thread_is_left_behind(received: Collector) -> None:
    before = {thread.name for thread in threading.enumerate()}
    telemetry = Telemetry(settings(received, metrics=True), clock=Ticks())
    assert {thread.name for thread in threading.enumerate()} > before
    await telemetry.close()
    ours = ("otlp", "OtelBatch")
    await until(lambda: not any(thread.name.startswith(ours) for thread in threading.enumerate()))
