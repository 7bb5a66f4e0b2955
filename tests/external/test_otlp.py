"""What an OTLP receiver, reading with OpenTelemetry's own definitions, gets of requests through a whole gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.collector import Collector, attributes, collector
from tests.house import UPSTREAM_TOKEN, House, house

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
# OpenTelemetry's stable HTTP conventions: what a server span and a client span must have.
SERVER = {"http.request.method", "url.path", "url.scheme", "http.route", "http.response.status_code", "server.address"}
CLIENT = {"http.request.method", "url.full", "http.response.status_code", "server.address", "server.port"}


@asynccontextmanager
async def observed(folder: Path, **over: Any) -> AsyncIterator[tuple[House, Collector]]:
    """A gateway that sends every span and its metrics to a collector. What is still queued arrives when it ends."""
    with collector() as received:
        telemetry = {"service_name": "edge", "traces": {"otlp": received.url, "sample": 1.0}, "metrics": {"otlp": received.url}}
        async with house(folder, telemetry=telemetry, **over) as gateway:
            yield gateway, received


def of_kind(received: Collector, kind: int) -> list[Any]:
    return [span for span in received.spans if span.kind == kind]


def the_spans(received: Collector) -> tuple[Any, Any]:
    """The one server span and the one client span."""
    [server], [client] = of_kind(received, Span.SPAN_KIND_SERVER), of_kind(received, Span.SPAN_KIND_CLIENT)
    return server, client


async def test_a_forwarded_request_is_one_server_and_one_client_span_with_stable_attributes(tmp_path: Path) -> None:
    async with observed(tmp_path) as (gateway, received):
        reply = await gateway.get("/things/7?page=2&access_token=hidden", token=gateway.keys.token())
        assert reply.status == 200
        port = gateway.upstream.port
    server, client = the_spans(received)
    assert (server.name, client.name) == ("GET /things/{thing}", "GET")
    assert client.parent_span_id == server.span_id
    assert client.trace_id == server.trace_id
    assert server.start_time_unix_nano <= client.start_time_unix_nano <= client.end_time_unix_nano <= server.end_time_unix_nano
    inward, outward = attributes(server), attributes(client)
    assert set(inward) >= SERVER
    assert set(outward) >= CLIENT
    assert inward["http.route"] == "/things/{thing}"
    assert inward["url.path"] == "/things/7"
    assert inward["http.response.status_code"] == outward["http.response.status_code"] == 200
    assert (outward["server.address"], outward["server.port"]) == ("127.0.0.1", port)
    assert "hidden" not in str(received.traces)
    assert UPSTREAM_TOKEN not in str(received.traces)
    about = attributes(received.traces[0].resource_spans[0].resource)
    assert about["service.name"] == "edge"


async def test_a_refused_request_is_one_server_span_and_no_error_of_ours(tmp_path: Path) -> None:
    async with observed(tmp_path) as (gateway, received):
        assert (await gateway.get("/things/7")).status == 401
    [server] = received.spans
    assert server.kind == Span.SPAN_KIND_SERVER
    assert attributes(server)["http.response.status_code"] == 401
    assert server.status.code == Status.STATUS_CODE_UNSET  # a client's fault is no error of a server span


async def test_an_upstream_that_is_gone_is_an_error_on_both_spans(tmp_path: Path) -> None:
    async with observed(tmp_path) as (gateway, received):
        await gateway.upstream.__aexit__()
        assert (await gateway.get("/public/x")).status == 502
    for span in the_spans(received):
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes(span)["error.type"] == "upstream-unreachable"


async def test_the_audit_event_names_the_trace_that_the_collector_got(tmp_path: Path) -> None:
    async with observed(tmp_path) as (gateway, received):
        await gateway.get("/public/x")
        [event] = await gateway.requests()
    server, _ = the_spans(received)
    assert event["trace_id"] == server.trace_id.hex()


async def test_an_untrusted_traceparent_becomes_a_link_and_no_parent(tmp_path: Path) -> None:
    async with observed(tmp_path) as (gateway, received):
        await gateway.get("/public/x", headers=TRACEPARENT)
    server, client = the_spans(received)
    assert server.trace_id.hex() != TRACE
    assert client.trace_id == server.trace_id
    assert server.parent_span_id == b""
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in server.links] == [(TRACE, PARENT)]


async def test_a_trusted_proxys_traceparent_is_continued(tmp_path: Path) -> None:
    listen = {"address": "127.0.0.1:0", "trusted_proxies": ["127.0.0.1/32"]}
    async with observed(tmp_path, listen=listen) as (gateway, received):
        await gateway.get("/public/x", headers=TRACEPARENT)
    server, _ = the_spans(received)
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE, PARENT)


@pytest.mark.parametrize("presented", [{}, TRACEPARENT], ids=["none presented", "a stranger's presented"])
async def test_an_internal_upstream_is_told_our_trace(tmp_path: Path, presented: dict[str, str]) -> None:
    async with observed(tmp_path, upstream={"internal": True}) as (gateway, received):
        await gateway.get("/public/x", headers=presented)
        [seen] = gateway.upstream.seen
    server, client = the_spans(received)
    assert seen.all("traceparent") == [f"00-{server.trace_id.hex()}-{client.span_id.hex()}-01"]


async def test_another_upstream_is_told_no_trace(tmp_path: Path) -> None:
    async with observed(tmp_path) as (gateway, _):
        await gateway.get("/public/x", headers={**TRACEPARENT, "tracestate": "a=b", "baggage": "k=v"})
        [seen] = gateway.upstream.seen
    assert "traceparent" not in seen.names


async def test_a_push_of_metrics_arrives(tmp_path: Path) -> None:
    async with observed(tmp_path) as (gateway, received):
        for _ in range(3):
            await gateway.get("/public/x")
        await gateway.get("/admin/x")
    metrics = {metric.name: metric for scope in received.metrics[-1].resource_metrics[0].scope_metrics for metric in scope.metrics}
    points = metrics["http.server.request.duration"].histogram.data_points
    counted = {
        (attributes(point).get("http.route"), attributes(point)["http.response.status_code"]): point.count for point in points
    }
    assert counted == {("/public/**", 200): 3, ("/admin/**", 401): 1}
    assert metrics["http.server.request.duration"].unit == "s"


async def test_a_collector_that_is_down_delays_no_request(tmp_path: Path) -> None:
    async with observed(tmp_path) as (gateway, received):
        received.status = 503
        for _ in range(5):
            assert (await gateway.get("/public/x")).status == 200
    assert received.spans == []
