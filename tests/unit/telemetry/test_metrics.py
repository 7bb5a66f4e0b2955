"""What is measured, and how Prometheus reads it back."""

import ast
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decision import Decision
from gateway.core.reason import Reason
from gateway.telemetry.instruments import BOUNDS, COUNTED, INSTRUMENTS, prometheus_name
from gateway.telemetry.metrics import MAX_LABELS, Registry
from gateway.telemetry.model import Telemetry
from gateway.telemetry.names import Names
from gateway.telemetry.redact import visible
from gateway.telemetry.telemetry import new_registry
from tests.exchanges import STARTED, Ticks, exchange, principal, refused
from tests.exposition import Scraped, parse

ROOT = Path(__file__).parents[3]
NAMES = Names.of({"github.issues": "/github/repos/{owner}/{repo}/issues"}, {"github": "https://api.github.com"})


@pytest.fixture
def registry() -> Registry:
    made = Registry(version="1.2.3")
    made.describe(NAMES)
    return made


def value(families: dict[str, Scraped], name: str, **labels: str) -> float:
    """The one sample of `name` that carries at least these labels."""
    family = next(family for head, family in families.items() if name.startswith(head))
    (found,) = [
        number for (sample, have), number in family.samples.items() if sample == name and labels.items() <= dict(have).items()
    ]
    return found


def test_a_request_is_counted_everywhere_it_belongs(registry: Registry) -> None:
    registry.observe_request(exchange(), 0.045)
    found = parse(registry.render())
    server = {
        "http_request_method": "GET",
        "url_scheme": "https",
        "network_protocol_version": "1.1",
        "http_response_status_code": "200",
        "http_route": "/github/repos/{owner}/{repo}/issues",
        "gateway_route": "github.issues",
    }
    assert found["http_server_request_duration_seconds"].samples["http_server_request_duration_seconds_count", frozenset(server.items())] == 1  # fmt: skip
    assert value(found, "http_server_request_duration_seconds_sum") == 0.045
    assert value(found, "http_server_request_duration_seconds_bucket", le="0.025") == 0
    assert value(found, "http_server_request_duration_seconds_bucket", le="0.05") == 1
    client = {"gateway_upstream": "github", "server_address": "api.github.com", "server_port": "443"}
    assert value(found, "http_client_request_duration_seconds_count", http_response_status_code="200", **client) == 1
    assert value(found, "http_client_request_duration_seconds_sum") == 0.03
    assert value(found, "gateway_overhead_duration_seconds_sum") == pytest.approx(0.002)
    assert value(found, "gateway_requests_total", status_source="upstream", gateway_route="github.issues") == 1
    assert value(found, "gateway_authn_attempts_total", scheme="jwt", outcome="success") == 1
    assert value(found, "gateway_authz_decisions_total", effect="allow", policy="messages", mode="enforce") == 1
    assert value(found, "target_info", service_name="gateway", service_version="1.2.3") == 1


@pytest.mark.parametrize(
    ("changes", "name", "labels"),
    [
        ({"reason": Reason.CREDENTIAL_EXPIRED}, "gateway_authn_attempts_total", {"outcome": "failure", "reason": "credential-expired"}),
        ({"principal": principal(scheme="anonymous")}, "gateway_authn_attempts_total", {"outcome": "anonymous"}),
        ({"decision": Decision(False, None)}, "gateway_authz_decisions_total", {"effect": "deny", "policy": "default"}),
        ({"reason": Reason.BODY_INVALID}, "gateway_validation_rejections_total", {"rule": "body-invalid"}),
        ({"reason": Reason.NO_ROUTE, "status": 404}, "gateway_requests_total", {"reason": "no-route", "status_source": "gateway"}),
        ({"reason": Reason.DRAINING, "status": 503}, "http_server_request_duration_seconds_count", {"error_type": "draining"}),
        ({"status": 502, "source": "upstream"}, "http_server_request_duration_seconds_count", {"error_type": "502"}),
        ({"method": "BREW"}, "http_server_request_duration_seconds_count", {"http_request_method": "_OTHER"}),
        ({"reason": Reason.UPSTREAM_TIMEOUT, "status": 504}, "http_client_request_duration_seconds_count", {"error_type": "upstream-timeout"}),
    ],
    ids=lambda part: part if isinstance(part, str) else None,
)  # fmt: skip
def test_how_a_request_ended_shows(registry: Registry, changes: dict[str, Any], name: str, labels: dict[str, str]) -> None:
    registry.observe_request(refused(**changes), 0.001)
    assert value(parse(registry.render()), name, **labels) == 1


def test_rate_limits_are_counted_by_limit_where_they_allow(registry: Registry) -> None:
    registry.observe_request(exchange(policies=("per-address", "writes")), 0.001)
    registry.observe_request(refused(policies=("per-address",), reason=Reason.RATE_LIMITED, status=429), 0.001)
    found = parse(registry.render())
    assert value(found, "gateway_ratelimit_decisions_total", policy="per-address", outcome="allowed") == 2
    assert value(found, "gateway_ratelimit_decisions_total", policy="writes", outcome="allowed") == 1
    assert value(found, "gateway_ratelimit_decisions_total", outcome="refused") == 1


def test_shadow_decisions_are_counted_beside_the_enforced_ones(registry: Registry) -> None:
    registry.observe_request(exchange(decision=Decision(True, "a/b", shadow=("next/c", False))), 0.001)
    found = parse(registry.render())
    assert value(found, "gateway_authz_decisions_total", mode="enforce", effect="allow", policy="a") == 1
    assert value(found, "gateway_authz_decisions_total", mode="shadow", effect="deny", policy="next") == 1


def test_a_request_without_a_route_has_no_route_label(registry: Registry) -> None:
    registry.observe_request(refused(route=None, status=404, reason=Reason.NO_ROUTE, path="/canary"), 0.001)
    exposition = registry.render()
    assert b"canary" not in exposition
    assert b"http_route=" not in exposition
    assert b"gateway_route=" not in exposition


def test_an_upstream_that_never_answered_is_timed_from_the_moment_of_sending(registry: Registry) -> None:
    registry.observe_request(
        refused(status=504, reason=Reason.UPSTREAM_TIMEOUT, upstream="github", upstream_started=STARTED + 1.0), 4.0
    )
    found = parse(registry.render())
    assert value(found, "http_client_request_duration_seconds_sum") == 3.0
    assert value(found, "gateway_overhead_duration_seconds_sum") == 1.0


def test_a_refused_request_has_no_client_duration(registry: Registry) -> None:
    registry.observe_request(refused(reason=Reason.POLICY_DENIED, status=403), 0.001)
    assert parse(registry.render())["http_client_request_duration_seconds"].samples == {}


@pytest.mark.parametrize("duration", [0.0, *BOUNDS, 0.0051, 11.0, 1e9], ids=str)
def test_a_duration_falls_into_the_first_bucket_that_holds_it(registry: Registry, duration: float) -> None:
    registry.observe_request(exchange(), duration)
    found = parse(registry.render())
    for bound in BOUNDS:
        end = str(int(bound)) if bound.is_integer() else str(bound)
        assert value(found, "http_server_request_duration_seconds_bucket", le=end) == (1 if duration <= bound else 0)


def test_kinds_of_requests_beyond_the_limit_share_one_series() -> None:
    registry = Registry(max_series=10)
    for number in range(50):
        registry.observe_request(exchange(route=f"route-{number}", params=None), 0.001)
    found = parse(registry.render())
    assert value(found, "http_server_request_duration_seconds_count", otel_metric_overflow="true") == 40
    family = found["http_server_request_duration_seconds"].samples
    assert sum(number for (sample, _), number in family.items() if sample.endswith("_count")) == 50
    registry.observe_request(exchange(route="route-3", params=None), 0.001)
    assert value(parse(registry.render()), "http_server_request_duration_seconds_count", gateway_route="route-3") == 2


def test_no_client_can_make_series_with_invented_methods_or_versions(registry: Registry) -> None:
    for number in range(1000):
        registry.observe_request(refused(method=f"M{number}", version=f"3.{number}"), 0.001)
    assert len(registry._series) == 1


def test_label_sets_of_a_counter_beyond_the_limit_share_one(registry: Registry) -> None:
    for number in range(MAX_LABELS + 25):
        registry.count("gateway.jwks.fetches", issuer=str(number), outcome="success")
    found = parse(registry.render())
    assert value(found, "gateway_jwks_fetches_total", otel_metric_overflow="true") == 25
    assert len(found["gateway_jwks_fetches_total"].samples) == MAX_LABELS + 1


def test_counters_add_and_gauges_replace(registry: Registry) -> None:
    registry.count("gateway.config.reloads", outcome="applied")
    registry.count("gateway.config.reloads", 2, outcome="applied")
    registry.gauge("gateway.config.last_success", 1)
    registry.gauge("gateway.config.last_success", 0)
    registry.gauge("gateway.tls.certificate.not_after", 1_800_000_000.5, listener="public")
    found = parse(registry.render())
    assert value(found, "gateway_config_reloads_total", outcome="applied") == 3
    assert value(found, "gateway_config_last_success") == 0
    assert value(found, "gateway_tls_certificate_not_after_seconds", listener="public") == 1_800_000_000.5


def test_counting_from_many_threads_loses_nothing(registry: Registry) -> None:
    def work() -> None:
        for _ in range(2000):
            registry.count("gateway.audit.written")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(parse(registry.render()), "gateway_audit_written_total") == 8000


def test_observed_values_are_read_when_somebody_looks(registry: Registry) -> None:
    lost = [0.0]
    registry.observe("gateway.log.dropped", lambda: lost[0])
    lost[0] = 7.0
    assert value(parse(registry.render()), "gateway_log_dropped_total") == 7
    with pytest.raises(KeyError):
        registry.observe("gateway.unheard.of", lambda: 0.0)


def test_requests_being_answered_are_shown(registry: Registry) -> None:
    registry.active += 2
    assert value(parse(registry.render()), "http_server_active_requests") == 2


def test_the_process_tells_its_processor_time_memory_and_descriptors() -> None:
    found = parse(new_registry(Telemetry(), Ticks()).render())
    assert value(found, "process_cpu_seconds_total") > 0
    assert value(found, "process_resident_memory_bytes") > 1 << 20
    assert value(found, "process_open_fds") > 2
    assert value(found, "process_start_time_seconds") == Ticks().now()


@given(st.text(st.characters(codec="utf-8"), max_size=128), st.text(max_size=50))
def test_any_label_value_is_read_back_as_it_was_or_escaped(issuer: str, name: str) -> None:
    registry = Registry(service=name)
    registry.count("gateway.jwks.fetches", issuer=issuer, outcome="x")
    found = parse(registry.render())
    ((_, labels),) = found["gateway_jwks_fetches_total"].samples
    assert dict(labels)["issuer"] == visible(issuer)


def test_a_label_value_cannot_forge_a_sample(registry: Registry) -> None:
    registry.count("gateway.jwks.fetches", issuer='x"} 1\nforged_total 99\n', outcome="\\")
    found = parse(registry.render())
    assert "forged_total" not in found
    assert value(found, "gateway_jwks_fetches_total", issuer='x"} 1\\u000aforged_total 99\\u000a', outcome="\\") == 1


def test_lone_surrogates_do_not_break_the_exposition() -> None:
    registry = Registry(service="\udc80")
    registry.count("gateway.jwks.fetches", issuer="\udc80", outcome="x")
    assert value(parse(registry.render()), "gateway_jwks_fetches_total", issuer="\\udc80") == 1


def test_prometheus_names_are_distinct_and_carry_their_units() -> None:
    names = [prometheus_name(instrument) for instrument in INSTRUMENTS]
    assert len(set(names)) == len(names)
    for instrument, name in zip(INSTRUMENTS, names, strict=True):
        assert name.endswith("_total") == (instrument.type == "counter")
        assert ("_seconds" in name) == (instrument.unit == "s")
        assert ("_bytes" in name) == (instrument.unit == "By")


def test_every_metric_the_code_counts_is_in_the_reference_with_its_labels() -> None:
    known = {instrument.name: set(instrument.labels) for instrument in INSTRUMENTS}
    found = []
    for file in (ROOT / "gateway").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        constants = {
            node.target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"count", "gauge"}):
                continue
            first = node.args[0] if node.args else None
            name = constants.get(first.id) if isinstance(first, ast.Name) else getattr(first, "value", None)
            if isinstance(name, str) and name.startswith("gateway."):
                found.append((file.name, name, {word.arg for word in node.keywords if word.arg}))
    assert {name for _, name, _ in found} >= {"gateway.audit.dropped", "gateway.jwks.fetches", "gateway.config.reloads"}
    assert [(file, name) for file, name, _ in found if name not in known] == []
    assert [(file, name, labels) for file, name, labels in found if not labels <= known[name]] == []


def test_every_metric_of_the_reference_is_counted_somewhere() -> None:
    files = [file for file in (ROOT / "gateway").rglob("*.py") if file.name != "instruments.py"]
    code = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [instrument.name for instrument in COUNTED if f'"{instrument.name}"' not in code] == []


def test_the_reference_lists_every_metric_and_no_other() -> None:
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|", text, re.MULTILINE)
    assert listed == [(instrument.name, prometheus_name(instrument)) for instrument in INSTRUMENTS]
