"""What is encoded from remembered pieces says what OpenTelemetry's own encoder says, for any span."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gateway.core.reason import Reason
from gateway.telemetry.encoding import LONGEST, OWN, REMEMBERED, Encoder, field
from gateway.telemetry.model import Telemetry, Traces
from gateway.telemetry.span import Remote, Span
from gateway.telemetry.tracing import Tracer
from tests.collector import attributes
from tests.exchanges import STARTED, exchange

ABOUT = Resource({"service.name": "edge", "service.version": "1", "weight": 7}, schema_url="https://schemas.test/1")
SCOPE = InstrumentationScope("latchgate", schema_url="https://schemas.test/2")
KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT}
ENCODER = Encoder(ABOUT, SCOPE)
"""Of all examples of a run, so that what it remembers of one meets the next."""

remotes = st.builds(
    Remote,
    st.integers(1, 2**128 - 1).map("{:032x}".format),
    st.integers(1, 2**64 - 1).map("{:016x}".format),
    st.booleans(),
)
names = st.sampled_from(
    ["http.route", "url.path", "url.query", "url.full", "gateway.request_id", "server.port", "gateway.reason", "x"]
)
values = (
    st.sampled_from(["a", "b", "1", 1, 2])
    | st.text(max_size=8)
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([*Reason, "a" * LONGEST, "ü" * (LONGEST + 1)])
)
spans = st.builds(
    Span,
    kind=st.sampled_from(sorted(KINDS)),
    name=st.text(max_size=200),
    trace_id=remotes.map(lambda remote: remote.trace_id),
    span_id=remotes.map(lambda remote: remote.span_id),
    parent=st.none() | remotes,
    link=st.none() | remotes,
    start=st.integers(0, 2**64 - 1),
    end=st.integers(0, 2**64 - 1),
    attributes=st.dictionaries(names, values),
    failed=st.booleans(),
)


def context(span: Remote, *, remote: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if span.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(span.trace_id, 16), int(span.span_id, 16), is_remote=remote, trace_flags=flags)


def readable(span: Span) -> ReadableSpan:
    """The SDK's form of a span."""
    return ReadableSpan(
        name=span.name,
        context=context(Remote(span.trace_id, span.span_id, sampled=True), remote=False),
        parent=context(span.parent, remote=span.kind == "server") if span.parent is not None else None,
        resource=ABOUT,
        attributes={name: value if name not in OWN else str(value) for name, value in span.attributes.items()},
        links=[Link(context(span.link, remote=True))] if span.link is not None else [],
        kind=KINDS[span.kind],
        status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
        start_time=span.start,
        end_time=span.end,
        instrumentation_scope=SCOPE,
    )


def comparable(request: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """With attributes in the order of their names, which has no meaning, and a status that is unset left out."""
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                ordered = sorted(span.attributes, key=lambda pair: str(pair.key))
                del span.attributes[:]
                span.attributes.extend(ordered)
                if not span.status.code:
                    span.ClearField("status")
    return request


@given(st.lists(spans, min_size=1, max_size=4))
def test_a_request_says_what_the_sdks_own_encoder_says(made: list[Span]) -> None:
    for _ in range(2):  # the second time of what the first left behind
        sent = ExportTraceServiceRequest.FromString(ENCODER.request([ENCODER.span(span) for span in made]))
        assert comparable(sent) == comparable(encode_spans([readable(span) for span in made]))


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 16_383, 16_384, 300_000, 2_097_152])
def test_a_field_is_read_back_as_long_as_it_was(size: int) -> None:
    resource = field(b"\x1a", b"a" * size)  # ResourceSpans.schema_url = 3
    [found] = ExportTraceServiceRequest.FromString(field(b"\x0a", resource)).resource_spans
    assert found.schema_url == "a" * size


def a_span(**told: Any) -> Span:
    return Span("server", "GET", "1" * 32, "1" * 16, None, None, 1, 2, told, failed=False)


def test_what_is_remembered_is_bounded() -> None:
    encoder = Encoder(ABOUT, SCOPE)
    for number in range(REMEMBERED + 10):
        encoder.span(a_span(some=f"value {number}", long=f"{number}".zfill(LONGEST + 1)))
    assert len(encoder._known) <= REMEMBERED
    assert max(len(value) for value in encoder._known.values()) < LONGEST + 20
    [again] = ExportTraceServiceRequest.FromString(encoder.request([encoder.span(a_span(some="value 0"))])).resource_spans
    assert attributes(again.scope_spans[0].spans[0]) == {"some": "value 0"}


def test_a_requests_own_words_are_not_remembered() -> None:
    encoder = Encoder(ABOUT, SCOPE)
    encoder.span(a_span(**{"gateway.request_id": "1", "url.path": "/a", "url.query": "b", "url.full": "c"}))
    assert encoder._known == {}


odd = st.text(max_size=30) | st.sampled_from(
    ["\ud800", "\udfff/x", "a" * 3000, "é" * 2000, "\x00\x1b", "host:99999", "[", "://@", "%zz"]
)
octets = st.binary(max_size=30) | st.just(b"\xff" * 3000)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(
                ("path", "host", "method", "client", "route", "upstream_address", "credential", "version", "error"), odd
            ),
            **dict.fromkeys(("query", "user_agent", "upstream_target"), octets),
            "upstream": st.none() | odd,
            "status": st.none() | st.integers(0, 999),
            "upstream_status": st.none() | st.integers(0, 999),
            "retries": st.integers(0, 2**31),
            "reason": st.none() | st.sampled_from(list(Reason)),
            "time": st.floats(0, 1e10),
            "upstream_started": st.none() | st.floats(STARTED, STARTED + 1e6),
        },
    ),
    st.floats(0, 1e6),
)
def test_whatever_a_request_brings_its_spans_can_be_encoded(changes: dict[str, Any], duration: float) -> None:
    """A failure here would be one of the event loop, and take the audit trail's lines of other requests with it."""
    frames: list[bytes] = []
    made = exchange(sampled=True, **changes)

    class Out:
        def room(self, spans: int) -> bool:
            return True

        def emit(self, span: Span) -> None:
            frames.append(ENCODER.span(span))

        async def close(self, timeout: float) -> None:
            pass

    Tracer(Telemetry(traces=Traces(otlp="http://127.0.0.1:1", sample=1.0)), out=Out()).end(made, duration)
    [resource] = ExportTraceServiceRequest.FromString(ENCODER.request(frames)).resource_spans
    sent = resource.scope_spans[0].spans
    assert [span.trace_id.hex() for span in sent] == [made.trace_id] * len(frames)
    assert {attributes(span).get("gateway.request_id") for span in sent if span.kind == 2} == {made.id}
