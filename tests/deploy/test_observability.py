"""The dashboard and the alert rules: every metric and label they read is one the gateway gives, every alert has a runbook."""

import json
import re
from typing import Any

import pytest
import yaml

from gateway.telemetry.instrument import Instrument
from gateway.telemetry.instruments import COUNTED, INSTRUMENTS, prometheus_name
from tests.deploy.manifests import DEPLOY, ROOT

DASHBOARD = json.loads((DEPLOY / "grafana" / "latchgate.json").read_text())
RULES = [rule for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
RUNBOOKS = (ROOT / "docs" / "how-to" / "runbooks.md").read_text()
CODE = "".join(
    file.read_text() for file in (ROOT / "gateway").rglob("*.py") if file.name != "instruments.py" and file.parent.name != "cel"
)

SELECTOR = re.compile(r"\b([a-z][a-z0-9_]{5,})\s*(?:\{([^}]*)\}|\[)")
KEYWORDS = {"histogram_quantile", "rate", "increase", "ignoring", "group_left", "absent"}
ADDED = {"job", "instance", "le"}
"""Labels that Prometheus itself adds, and a histogram's bucket end."""
ALERTS = [pytest.param(rule, id=rule["alert"]) for rule in RULES]


def series() -> dict[str, Instrument]:
    """Every series name of the gateway, those of histograms included."""
    found = {}
    for instrument in INSTRUMENTS:
        name = prometheus_name(instrument)
        ends = ("_bucket", "_sum", "_count") if instrument.type == "histogram" else ("",)
        found.update({f"{name}{end}": instrument for end in ends})
    return found


SERIES = series()


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> list[Any]:
    shown = [
        pytest.param(target["expr"], id=f"{panel['title']}-{target['refId']}") for panel in panels() for target in panel["targets"]
    ]
    variables = [
        pytest.param(re.sub(r"label_values\((.*), \w+\)", r"\1 [", variable["query"]["query"]), id=f"${variable['name']}")
        for variable in DASHBOARD["templating"]["list"]
        if variable["type"] == "query"
    ]
    return shown + variables + [pytest.param(rule["expr"], id=rule["alert"]) for rule in RULES]


def missing(expression: str) -> list[str]:
    """What an expression reads and the gateway does not give."""
    bare = re.sub(r"\{[^}]*\}|\b(?:by|ignoring)\s*\([^)]*\)", "", expression)
    used = re.findall(r"\b(?:gateway|http|process|target)_[a-z_]+\b", bare)
    wrong = [name for name in used if name not in SERIES]
    for name, selector in SELECTOR.findall(expression):
        if name in KEYWORDS or name not in SERIES:
            continue
        labels = {label.replace(".", "_") for label in SERIES[name].labels} | ADDED
        wrong += [f"{name}{{{label}}}" for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", selector) if label not in labels]
    given = {label.replace(".", "_") for name in used if name in SERIES for label in SERIES[name].labels} | ADDED
    for group in re.findall(r"\b(?:by|ignoring)\s*\(([^)]*)\)", expression):
        wrong += [label.strip() for label in group.split(",") if label.strip() not in given]
    return wrong if used else ["no metric at all"]


@pytest.mark.parametrize("expression", expressions())
def test_every_expression_reads_metrics_and_labels_that_exist(expression: str) -> None:
    assert missing(expression) == []


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("rate(gateway_request_total[5m])", ["gateway_request_total"]),
        ('rate(gateway_requests_total{rout="x"}[5m])', ["gateway_requests_total{rout}"]),
        ("sum by (colour) (gateway_audit_queued{})", ["colour"]),
        ("vector(1)", ["no metric at all"]),
    ],
    ids=["metric", "label", "group", "nothing"],
)
def test_a_wrong_name_is_found(expression: str, found: list[str]) -> None:
    """A guard on the guard."""
    assert missing(expression) == found


@pytest.mark.parametrize("expression", expressions())
def test_every_series_read_is_one_that_something_counts(expression: str) -> None:
    """A metric may be declared and never written; a panel over it would show nothing and an alert would never come."""
    names = {SERIES[name].name for name in re.findall(r"\b[a-z]+_[a-z_]+\b", expression) if name in SERIES}
    ours = {name for name in names if name in {instrument.name for instrument in COUNTED}}
    assert [name for name in ours if f'"{name}"' not in CODE] == []


@pytest.mark.parametrize("expression", expressions())
def test_every_label_value_read_is_one_the_code_writes(expression: str) -> None:
    values = re.findall(r'[a-z_]+\s*!?="([^"]+)"', expression)
    assert [value for value in values if f'"{value}"' not in CODE] == []


def test_the_dashboard_has_a_fixed_uid_and_a_data_source_to_choose() -> None:
    assert DASHBOARD["uid"] == "latchgate-overview"
    assert "id" not in DASHBOARD
    (source,) = [variable for variable in DASHBOARD["templating"]["list"] if variable["type"] == "datasource"]
    assert source["query"] == "prometheus"
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}


def test_the_dashboard_has_the_rows_an_operator_looks_for() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == [
        "Traffic",
        "Decisions",
        "Authentication",
        "Limits and validation",
        "Upstreams",
        "Evidence and secrets",
        "Runtime",
    ]


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize("rule", ALERTS)
def test_every_alert_is_complete_and_leads_to_a_section_of_the_runbooks(rule: dict[str, Any]) -> None:
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"].keys() == {"summary", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/how-to/runbooks.md#{rule['alert'].lower()}"
    assert f"\n## {rule['alert']}\n" in RUNBOOKS


def test_every_runbook_belongs_to_an_alert() -> None:
    sections = re.findall(r"^## (\w+)$", RUNBOOKS, re.MULTILINE)
    assert sections == list(dict.fromkeys(sections))
    assert set(sections) == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", ALERTS)
def test_labels_in_a_summary_are_kept_by_the_expression(rule: dict[str, Any]) -> None:
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        kept = {name.strip() for group in re.findall(r"by \(([^)]*)\)", rule["expr"]) for name in group.split(",")}
        assert label in kept or " by (" not in rule["expr"]
