"""Evidence keeps no secrets and cannot be forged: audit lines, logs, spans, metrics."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.model import Audit
from gateway.audit.trail import Trail
from gateway.core.decision import Decision
from gateway.core.exchange import Exchange
from gateway.core.reason import Reason
from gateway.core.secret import Secret
from gateway.telemetry import model
from gateway.telemetry.logs import configure
from gateway.telemetry.names import Names
from gateway.telemetry.telemetry import Telemetry
from tests.collector import Collector, collector
from tests.exchanges import Ticks, exchange, inbound, principal, refused
from tests.exposition import parse

CANARY = "canary-7f3a9c51d2"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.{CANARY}"
QUERY = f"page=2&access_token={CANARY}&%73ig={CANARY}&map%6Bey={CANARY}&x={JWT}&y=Bearer%20{CANARY}".encode()
HEADERS = (
    (b"authorization", f"Bearer {CANARY}".encode()),
    (b"cookie", f"sid={CANARY}".encode()),
    (b"x-api-key", f"lgk_{CANARY}".encode()),
    (b"baggage", f"k={CANARY}".encode()),
    (b"tracestate", f"k={CANARY}".encode()),
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
)


class Everything:
    """All that is written about requests, with everything switched on."""

    def __init__(self, folder: Path, received: Collector) -> None:
        self.folder = folder
        self.received = received
        self.reading, self.writing = os.pipe()

    async def about(self, *exchanges: Exchange) -> bytes:
        """What the exchanges leave behind: audit file, log with debug on, spans and metrics as sent, exposition."""
        logs = configure(model.Log(level="debug"), descriptor=self.writing)
        settings = model.Telemetry(
            traces=model.Traces(otlp=self.received.url, sample=1.0), metrics=model.MetricsOut(otlp=self.received.url)
        )
        telemetry = Telemetry(settings, clock=Ticks())
        telemetry.describe(Names.of({}, {"github": "https://api.github.com"}, ["mapkey"]), lambda _: True)
        trail = Trail(Audit(file=self.folder / "audit.jsonl"), clock=Ticks(), metrics=telemetry.metrics)
        await trail.start()
        for made in exchanges:
            telemetry.begin(made, inbound(*HEADERS))
            telemetry.end([(made, 0.01)])
            trail.record([(made, 0.01)])
            extra = {"exchange": made, "authorization": CANARY, "value": Secret(CANARY.encode()), "headers": dict(HEADERS)}
            logging.getLogger("gateway.test").debug("refused: %s", made.detail, extra=extra)
        exposition = telemetry.metrics.render()
        await trail.close()
        await telemetry.close()
        logs.close()
        os.close(self.writing)
        with os.fdopen(self.reading, "rb") as stream:
            logged = stream.read()
        assert len(self.received.spans) >= len(exchanges)
        assert self.received.metrics
        assert logged.count(b"refused: ") == len(exchanges)
        audited = (self.folder / "audit.jsonl").read_bytes()
        assert audited.count(b"\n") == len(exchanges)
        return b"\n".join([audited, logged, exposition, *self.received.raw])


@pytest.fixture
def everything(tmp_path: Path) -> Iterator[Everything]:
    with collector() as received:
        yield Everything(tmp_path, received)


def secretive() -> list[Exchange]:
    claims = {"secret_claim": CANARY}
    return [
        exchange(query=QUERY, upstream_target=b"/x?" + QUERY, principal=principal(claims=claims)),
        refused(query=QUERY, status=401, reason=Reason.CREDENTIAL_INVALID, detail=f"bad token {JWT}"),
        refused(query=QUERY, status=503, reason=Reason.DEPENDENCY_DOWN, detail=f"https://user:{CANARY}@idp.example.com/ refused"),
        exchange(query=QUERY, error=f"Bearer {CANARY}", detail=f"sent Basic {CANARY}"),
    ]


async def test_cve_2022_23469_no_credential_reaches_any_evidence_with_debug_logging_on(everything: Everything) -> None:
    """attacks.md row 113: Authorization in debug logs. Every header, secret parameter, token shape and claim is planted."""
    written = await everything.about(*secretive())
    assert CANARY.encode() not in written
    assert b"page=2" in written  # the query was shown, without its secrets


async def test_query_and_headers_are_in_no_audit_line(everything: Everything) -> None:
    """CONTRACT 7: never header values, query values, bodies, tokens, secrets."""
    await everything.about(exchange(query=b"page=2&q=visible", user_agent=b"agent-string"))
    line = (everything.folder / "audit.jsonl").read_bytes()
    assert b"page=2" not in line
    assert b"agent-string" not in line


FORGERIES = {
    "crlf": 'x\r\n{"event":"gateway.stopped","subject":"root"}\r\n',
    "unicode-lines": "x\u2028{}\u2029\x85{}",
    "terminal": "x\x1b[2K\x1b]0;owned\x07\x9b1A\x7f",
    "bidi": "x\u202egnissim\u2066",
    "quotes": 'x","event":"gateway.stopped","y":"',
    "backslash": "x\\",
    "nul": "x\x00y",
    "surrogate": "x\udc80\ud800",
    "prometheus": 'x"} 1\nforged_total{a="b',
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
async def test_cve_2023_27493_control_characters_forge_no_line_of_evidence(everything: Everything, forgery: str) -> None:
    """attacks.md rows 44 and 56, ASVS V16.4.1: whatever a client puts into any field, a line stays one line."""
    made = refused(
        path=f"/{forgery}",
        query=forgery.encode("utf-8", "surrogatepass"),
        method=f"GET{forgery}",
        host=forgery,
        params={forgery: forgery},
        principal=principal(id=forgery, issuer=forgery, credential_id=forgery),
        decision=Decision(False, forgery),
        detail=forgery,
        error=forgery,
        route=forgery,
        client=forgery,
        user_agent=forgery.encode("utf-8", "surrogatepass"),
        status=403,
        reason=Reason.POLICY_DENIED,
    )
    await everything.about(made)
    text = (everything.folder / "audit.jsonl").read_bytes().decode("utf-8")
    assert len(text.splitlines()) == 1
    assert not set(text[:-1]) & {chr(code) for code in (*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029, 0x202E, 0x2066)}
    found = json.loads(text)
    assert found["event"] == "request"
    assert found["status"] == 403
    assert list(found).count("event") == 1


async def test_a_label_of_any_content_leaves_the_exposition_readable() -> None:
    """The values a policy or route name may hold are an operator's; even a hostile one must not add a sample."""
    telemetry = Telemetry(model.Telemetry(), clock=Ticks())
    for number, forgery in enumerate(FORGERIES.values()):
        telemetry.metrics.observe_request(exchange(route=f"{number}{forgery}", decision=Decision(True, forgery)), 0.001)
    found = parse(telemetry.metrics.render())
    assert "forged_total" not in found
    routes = {dict(labels).get("gateway_route") for _, labels in found["gateway_requests_total"].samples}
    assert len(routes) == len(FORGERIES)


async def test_an_untrusted_client_cannot_choose_trace_sampling_or_label_cardinality() -> None:
    """Trace and metric poisoning: flags, ids and methods of a client we do not trust decide nothing."""
    telemetry = Telemetry(model.Telemetry(), clock=Ticks())
    seen = set()
    for number in range(300):
        made = refused(method=f"M{number}", route=None, status=404, reason=Reason.NO_ROUTE)
        telemetry.begin(made, inbound((b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")))
        assert not made.sampled
        seen.add(made.trace_id)
        telemetry.end([(made, 0.01)])
    assert len(seen) == 300
    assert "0af7651916cd43dd8448eb211c80319c" not in seen
    assert len(parse(telemetry.metrics.render())["gateway_requests_total"].samples) == 1
