"""Spans as bytes of the OpenTelemetry protocol (opentelemetry-proto v1), by its own generated classes.

What spans have in common is encoded once and kept as bytes: of some thirty attributes a request's spans have, four are its own.
Protocol Buffers allows to put encoded fields one behind another, in any order; repeated fields add up (protobuf.dev, encoding).
"""

from collections.abc import Iterable
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.proto.trace.v1.trace_pb2 import SpanFlags, Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from gateway.telemetry.span import Remote, Span

OWN: Final = frozenset({"gateway.request_id", "url.path", "url.query", "url.full"})
"""Attributes whose values seldom come again."""
REMEMBERED: Final = 4096
"""Attributes kept as bytes; when there are more, all are forgotten."""
LONGEST: Final = 256
"""Characters of a value that is kept."""
KINDS: Final = {"server": Message.SpanKind.SPAN_KIND_SERVER, "client": Message.SpanKind.SPAN_KIND_CLIENT}
LOCAL: Final = int(SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
REMOTE: Final = LOCAL | int(SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
RESOURCE_SPANS: Final = b"\x0a"
SCOPE_SPANS: Final = b"\x12"
SPANS: Final = b"\x12"
"""Field number and wire type of ExportTraceServiceRequest.resource_spans, ResourceSpans.scope_spans and ScopeSpans.spans."""


class Encoder:
    """Encodes the spans of one resource and scope, and the requests that carry them."""

    def __init__(self, about: Resource, scope: InstrumentationScope) -> None:
        self._known: dict[tuple[str, str | int], bytes] = {}
        self._resource, self._scope = envelope(about, scope)

    def span(self, span: Span) -> bytes:
        """One span as an element of a request's list. Text must be sayable in UTF-8."""
        message = Message(
            trace_id=bytes.fromhex(span.trace_id),
            span_id=bytes.fromhex(span.span_id),
            name=span.name,
            kind=KINDS[span.kind],
            start_time_unix_nano=span.start,
            end_time_unix_nano=span.end,
            flags=REMOTE if span.parent is not None and span.kind == "server" else LOCAL,
        )
        if span.parent is not None:
            message.parent_span_id = bytes.fromhex(span.parent.span_id)
        if span.link is not None:
            message.links.append(_link(span.link))
        if span.failed:
            message.status.code = Status.STATUS_CODE_ERROR
        common = self._attributes(span, message)
        return field(SPANS, message.SerializeToString() + common)

    def _attributes(self, span: Span, message: Message) -> bytes:
        """Add a span's own attributes to its message; gives the others, encoded."""
        known = self._known
        common = []
        for pair in span.attributes.items():
            encoded = known.get(pair)
            if encoded is not None:
                common.append(encoded)
            elif pair[0] in OWN:
                added = message.attributes.add()
                added.key = pair[0]
                added.value.string_value = str(pair[1])
            else:
                common.append(self._learned(*pair))
        return b"".join(common)

    def _learned(self, name: str, value: str | int) -> bytes:
        encoded = attribute(name, value)
        if isinstance(value, int) or len(value) <= LONGEST:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[name, value] = encoded
        return encoded

    def request(self, spans: Iterable[bytes]) -> bytes:
        """An ExportTraceServiceRequest of spans that `span` made."""
        return field(RESOURCE_SPANS, self._resource + field(SCOPE_SPANS, self._scope + b"".join(spans)))


def attribute(name: str, value: str | int) -> bytes:
    """A span that has this attribute and nothing else."""
    told = AnyValue(string_value=str(value)) if isinstance(value, str) else AnyValue(int_value=value)
    encoded: bytes = Message(attributes=[KeyValue(key=name, value=told)]).SerializeToString()
    return encoded


def envelope(about: Resource, scope: InstrumentationScope) -> tuple[bytes, bytes]:
    """A ResourceSpans without scopes and a ScopeSpans without spans, as the SDK's own encoder makes them."""
    context = SpanContext(1, 1, is_remote=False)
    [resource] = encode_spans([ReadableSpan("", context=context, resource=about, instrumentation_scope=scope)]).resource_spans
    [within] = resource.scope_spans
    within.ClearField("spans")
    said = within.SerializeToString()
    resource.ClearField("scope_spans")
    return resource.SerializeToString(), said


def field(tag: bytes, content: bytes) -> bytes:
    """A field of the wire type LEN: tag, length as a varint, content (protobuf.dev, encoding)."""
    size = len(content)
    head = bytearray(tag)
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + content


def _link(remote: Remote) -> Message.Link:
    return Message.Link(trace_id=bytes.fromhex(remote.trace_id), span_id=bytes.fromhex(remote.span_id), flags=REMOTE)
