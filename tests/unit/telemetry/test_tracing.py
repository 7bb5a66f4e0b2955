"""Which trace a request belongs to, whether it is recorded, and what its spans say."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decision import Decision
from gateway.core.exchange import Exchange
from gateway.core.reason import Reason
from gateway.telemetry.model import Telemetry, Traces
from gateway.telemetry.names import Names, origin
from gateway.telemetry.span import Span, client_attributes, split_authority
from gateway.telemetry.tracing import Tracer, parse_traceparent
from tests.exchanges import STARTED, TIME, exchange, refused

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01".encode()
UNSAMPLED = f"00-{TRACE}-{PARENT}-00".encode()
NAMES = Names.of(
    {"github.issues": "/github/repos/{owner}/{repo}/issues"}, {"github": "https://api.github.com"}, ["injected_by_config"]
)


class Spans:
    """A collector in memory."""

    def __init__(self) -> None:
        self.all: list[Span] = []
        self.closed: float | None = None
        self.most = 1_000_000

    def room(self, spans: int) -> bool:
        return len(self.all) + spans <= self.most

    def emit(self, span: Span) -> None:
        self.all.append(span)

    async def close(self, timeout: float) -> None:
        self.closed = timeout


def tracer(sample: float, out: Spans | None = None) -> Tracer:
    made = Tracer(Telemetry(traces=Traces(otlp="http://127.0.0.1:1", sample=sample)), out=out or Spans())
    made.describe(NAMES)
    return made


def fresh() -> Exchange:
    return exchange(trace_id="", span_id="")


def spans_of(made: Exchange, traceparent: bytes | None = None, *, trusted: bool = False, duration: float = 0.05) -> dict[str, Span]:
    out = Spans()
    recording = tracer(1.0, out)
    recording.begin(made)
    if traceparent is not None:
        recording.adopt(made, traceparent, trusted)
    recording.end(made, duration)
    return {span.kind: span for span in out.all}


@pytest.mark.parametrize("sample", [0.0, 1.0], ids=["unsampled", "sampled"])
def test_every_request_has_ids_of_the_right_shape_and_its_own(sample: float) -> None:
    seen = set()
    naming = tracer(sample)
    for _ in range(500):
        made = fresh()
        naming.begin(made)
        assert re.fullmatch("[0-9a-f]{32}", made.trace_id)
        assert re.fullmatch("[0-9a-f]{16}", made.span_id)
        assert made.sampled is bool(sample)
        seen |= {made.trace_id, made.span_id}
    assert len(seen) == 1000


def test_two_processes_do_not_share_their_ids() -> None:
    first, second = fresh(), fresh()
    tracer(0).begin(first)
    tracer(0).begin(second)
    assert first.trace_id != second.trace_id


def test_about_the_configured_share_is_sampled_and_by_the_trace_id_as_other_samplers_do() -> None:
    naming = tracer(0.25)
    sampled = 0
    for _ in range(8000):
        made = fresh()
        naming.begin(made)
        sampled += made.sampled
        assert made.sampled is (int(made.trace_id[16:], 16) < round(0.25 * 2**64))
    assert 1700 < sampled < 2300  # seven standard deviations on either side


def test_without_a_collector_nothing_is_sampled_and_ids_are_given_all_the_same() -> None:
    naming = Tracer(Telemetry())
    made = fresh()
    naming.begin(made)
    naming.end(made, 0.1)
    assert made.trace_id
    assert not made.sampled


def test_an_untrusted_flag_never_makes_us_record() -> None:
    naming = tracer(0.0)
    for _ in range(100):
        made = fresh()
        naming.begin(made)
        naming.adopt(made, SAMPLED, False)
        assert not made.sampled
        assert made.trace_id != TRACE


def test_an_untrusted_trace_becomes_a_link_on_a_new_root() -> None:
    made = fresh()
    spans = spans_of(made, SAMPLED)
    server = spans["server"]
    assert server.trace_id == made.trace_id != TRACE
    assert server.parent is None
    assert server.link is not None
    assert (server.link.trace_id, server.link.span_id, server.link.sampled) == (TRACE, PARENT, True)
    assert spans["client"].link is None


def test_a_trusted_trace_is_continued() -> None:
    made = fresh()
    server = spans_of(made, SAMPLED, trusted=True)["server"]
    assert server.trace_id == made.trace_id == TRACE
    assert server.parent is not None
    assert server.parent.span_id == PARENT
    assert server.link is None


@pytest.mark.parametrize(("sample", "header", "sampled"), [(0.0, SAMPLED, True), (1.0, UNSAMPLED, False)], ids=["yes", "no"])
def test_a_trusted_parents_decision_is_kept(sample: float, header: bytes, sampled: bool) -> None:
    made = fresh()
    naming = tracer(sample)
    naming.begin(made)
    naming.adopt(made, header, True)
    assert made.sampled is sampled


def test_without_a_collector_a_trusted_trace_is_handed_on_unchanged() -> None:
    made = fresh()
    naming = Tracer(Telemetry())
    naming.begin(made)
    naming.adopt(made, SAMPLED, True)
    assert (made.trace_id, made.span_id, made.sampled) == (TRACE, PARENT, True)
    naming.end(made, 0.1)


MALFORMED = {
    "empty": b"",
    "version-ff": f"ff-{TRACE}-{PARENT}-01".encode(),
    "upper-case": SAMPLED.upper(),
    "zero-trace": f"00-{'0' * 32}-{PARENT}-01".encode(),
    "zero-span": f"00-{TRACE}-{'0' * 16}-01".encode(),
    "short": SAMPLED[:-1],
    "more-in-version-0": SAMPLED + b"-00",
    "trailing-text": SAMPLED + b"x",
    "trailing-newline": SAMPLED + b"\n",
    "not-hex": SAMPLED.replace(b"0af", b"0ag"),
    "not-ascii": SAMPLED.replace(b"0af", "\uff10af".encode()),
    "huge": f"01-{TRACE}-{PARENT}-01-".encode() + b"x" * 600,
}


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
@pytest.mark.parametrize("header", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_traceparent_is_ignored(header: bytes, trusted: bool) -> None:
    made = fresh()
    server = spans_of(made, header, trusted=trusted)["server"]
    assert server.parent is None
    assert server.link is None
    assert made.trace_id != TRACE


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    remote = parse_traceparent(f"cc-{TRACE}-{PARENT}-03-what-the-future-brings".encode())
    assert remote is not None
    assert (remote.trace_id, remote.span_id, remote.sampled) == (TRACE, PARENT, True)


@given(st.binary(max_size=80) | st.from_regex(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True))
def test_no_traceparent_breaks_a_request(header: bytes) -> None:
    remote = parse_traceparent(header)
    assert remote is None or (len(remote.trace_id), len(remote.span_id)) == (32, 16)


def test_the_client_span_is_the_servers_child_and_the_upstreams_parent() -> None:
    made = fresh()
    spans = spans_of(made)
    server, client = spans["server"], spans["client"]
    assert client.parent is not None
    assert client.parent.span_id == server.span_id
    assert client.span_id == made.span_id != server.span_id
    assert client.trace_id == server.trace_id == made.trace_id


@pytest.mark.parametrize(("most", "recorded"), [(1, 0), (2, 2)], ids=["room for one", "room for two"])
def test_of_a_request_both_spans_are_recorded_or_none(most: int, recorded: int) -> None:
    out = Spans()
    out.most = most
    recording = tracer(1.0, out)
    made = fresh()
    recording.begin(made)
    recording.end(made, 0.05)
    assert len(out.all) == recorded


def test_without_a_call_there_is_one_span() -> None:
    made = refused(reason=Reason.POLICY_DENIED, status=403)
    spans = spans_of(made)
    assert list(spans) == ["server"]
    assert spans["server"].span_id == made.span_id


def test_times_are_those_of_the_exchange() -> None:
    spans = spans_of(fresh(), duration=0.05)
    server, client = spans["server"], spans["client"]
    assert server.start == int(TIME * 1e9)
    assert server.end - server.start == 50_000_000
    assert client.start - server.start == pytest.approx(2_000_000, abs=1000)
    assert client.end - client.start == pytest.approx(30_000_000, abs=1000)


def test_a_call_without_an_answer_ends_with_the_request() -> None:
    made = refused(status=504, reason=Reason.UPSTREAM_TIMEOUT, upstream_started=STARTED + 0.01)
    client = spans_of(made, duration=0.05)["client"]
    assert client.end == int(TIME * 1e9) + 50_000_000
    assert client.failed
    assert client.attributes["error.type"] == "upstream-timeout"


def test_the_server_span_follows_the_http_conventions() -> None:
    made = exchange(user_agent=b"curl/8")
    server = spans_of(made)["server"]
    assert server.name == "GET /github/repos/{owner}/{repo}/issues"
    assert server.attributes == {
        "http.request.method": "GET",
        "url.path": "/github/repos/acme/tools/issues",
        "url.query": "page=2",
        "url.scheme": "https",
        "http.response.status_code": 200,
        "http.route": "/github/repos/{owner}/{repo}/issues",
        "server.address": "api.example.com",
        "server.port": 8443,
        "client.address": "203.0.113.9",
        "network.peer.address": "192.0.2.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "curl/8",
        "gateway.request_id": made.id,
        "gateway.route": "github.issues",
        "gateway.generation": "gen-1",
        "gateway.decision": "allow",
        "gateway.rule": "messages/read",
    }


def test_the_client_span_follows_the_http_conventions() -> None:
    made = exchange(upstream_target=b"/repos/acme/tools/issues?page=2&sig=canary&injected_by_config=canary", retries=1)
    client = spans_of(made)["client"]
    assert client.name == "GET"
    assert client.attributes == {
        "http.request.method": "GET",
        "server.address": "api.github.com",
        "server.port": 443,
        "url.full": "https://api.github.com/repos/acme/tools/issues?page=2&sig=REDACTED&injected_by_config=REDACTED",
        "http.response.status_code": 200,
        "http.request.resend_count": 1,
        "network.peer.address": "192.0.2.80",
        "network.peer.port": 443,
        "network.protocol.version": "1.1",
        "gateway.upstream": "github",
        "gateway.credential": "github-bot",
    }


def test_the_client_span_says_which_protocol_the_upstream_speaks() -> None:
    names = Names.of({}, {"github": "https://api.github.com", "other": "https://other.example"}, http2=["github"])
    assert client_attributes(exchange(upstream="github"), names)["network.protocol.version"] == "2"
    assert client_attributes(exchange(upstream="other"), names)["network.protocol.version"] == "1.1"


@pytest.mark.parametrize(
    ("changes", "server", "client"),
    [
        ({"status": 200, "upstream_status": 200}, (False, None), (False, None)),
        ({"status": 404, "upstream_status": 404}, (False, None), (True, "404")),
        ({"status": 503, "upstream_status": 503}, (True, "503"), (True, "503")),
        ({"status": 502, "upstream_status": None, "reason": Reason.UPSTREAM_UNREACHABLE}, (True, "upstream-unreachable"), (True, "upstream-unreachable")),
        ({"status": None, "upstream_status": None, "error": "client-gone"}, (False, None), (False, None)),
        ({"status": 200, "upstream_status": 200, "error": "free text"}, (True, "broken"), (False, None)),
        ({"status": 200, "upstream_status": 200, "error": "upstream-protocol"}, (True, "upstream-protocol"), (False, None)),
    ],
    ids=["ok", "not-found", "unavailable", "unreachable", "client-gone", "free-text", "broken-stream"],
)  # fmt: skip
def test_what_counts_as_an_error(changes: dict[str, Any], server: tuple[bool, str | None], client: tuple[bool, str | None]) -> None:
    spans = spans_of(exchange(**changes))
    assert (spans["server"].failed, spans["server"].attributes.get("error.type")) == server
    assert (spans["client"].failed, spans["client"].attributes.get("error.type")) == client


def test_a_refusal_tells_reason_and_decision() -> None:
    made = refused(reason=Reason.POLICY_DENIED, status=403, decision=Decision(False, "messages/no-writes"))
    told = spans_of(made)["server"].attributes
    assert (told["gateway.reason"], told["gateway.decision"], told["gateway.rule"]) == (
        "policy-denied",
        "deny",
        "messages/no-writes",
    )


def test_an_invented_method_names_no_span() -> None:
    server = spans_of(refused(method="BREW" * 100, route=None))["server"]
    assert server.name == "HTTP"
    assert server.attributes["http.request.method"] == "_OTHER"
    assert server.attributes["http.request.method_original"] == ("BREW" * 100)[:64]


def test_an_unrouted_path_names_no_span() -> None:
    assert spans_of(refused(route=None, path="/canary"))["server"].name == "GET"


def test_attributes_are_bounded_and_on_one_line() -> None:
    made = exchange(path="/" + "a" * 9000, query=b"q=" + b"b" * 9000, user_agent=b"x\r\ny\x1b" * 500)
    for span in spans_of(made).values():
        for value in span.attributes.values():
            assert len(str(value)) < 8000
            assert not set(str(value)) & set("\r\n\x1b")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", (None, None)),
        ("host", ("host", None)),
        ("host:8080", ("host", 8080)),
        ("[::1]:443", ("::1", 443)),
        ("[::1]", ("::1", None)),
        ("2001:db8::1", ("2001:db8::1", None)),
        ("https://host:1/x", ("host", 1)),
        ("host:abc", ("host", None)),
        ("host:999999", ("host", None)),
    ],
)
def test_an_authority_is_split_into_host_and_port(text: str, parts: tuple[str | None, int | None]) -> None:
    assert split_authority(text) == parts


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.github.com/v3", "https://api.github.com"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("http://h:80", "http://h"),
    ],
)
def test_an_origin_is_shown_without_its_default_port_and_path(url: str, shown: str) -> None:
    assert origin(url).url == shown


async def test_closing_hands_over_what_is_queued() -> None:
    out = Spans()
    await tracer(1.0, out).close(3.0)
    assert out.closed == 3.0
    await Tracer(Telemetry()).close()
