"""What may be configured of an upstream's health: bounded, and nothing that leaves a request's line."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.settings import load
from gateway.upstream.check import span_of
from gateway.upstream.model import Upstream

REFUSED: dict[str, dict[str, Any]] = {
    "a check of another site": {"health_check": {"path": "https://b.example/h"}},
    "a check without a path": {"health_check": {"interval": "1s"}},
    "a path that ends its line": {"health_check": {"path": "/h HTTP/1.1\r\nx: y"}},
    "a path with a final line feed": {"health_check": {"path": "/h\n"}},
    "a path with a space": {"health_check": {"path": "/a b"}},
    "a path with a fragment": {"health_check": {"path": "/a#b"}},
    "a path outside ASCII": {"health_check": {"path": "/ä"}},
    "a host that ends its line": {"health_check": {"path": "/h", "host": "a\r\nx: y"}},
    "a host with a final line feed": {"health_check": {"path": "/h", "host": "a\n"}},
    "checks without a pause": {"health_check": {"path": "/h", "interval": "0s"}},
    "checks without time": {"health_check": {"path": "/h", "timeout": "0s"}},
    "no status expected": {"health_check": {"path": "/h", "expected_statuses": []}},
    "a status that is none": {"health_check": {"path": "/h", "expected_statuses": ["2xx"]}},
    "a status beyond all": {"health_check": {"path": "/h", "expected_statuses": ["600"]}},
    "more retries than a fifth": {"retry_budget": {"budget_percent": 21}},
    "every address ejected": {"outlier_detection": {"max_ejection_percent": 100}},
    "ejection for nothing": {"outlier_detection": {"consecutive_failures": 0}},
    "no pause": {"circuit_breaker": {"base_open_time": "0s"}},
    "a client's mistake that counts as a failure": {"failure_statuses": [404]},
    "a key of another proxy": {"circuit_breaker": {"threshold": 3}},
}


@pytest.mark.parametrize("keys", REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Upstream.model_validate({"url": "https://a.example", **keys})


def test_the_defaults_are_those_of_the_reference() -> None:
    model = Upstream(url="https://a.example")
    assert (model.health_check, model.circuit_breaker, model.failure_statuses) == (None, None, [])
    assert (model.retry_budget.budget_percent, model.outlier_detection.max_ejection_percent) == (20, 50)


@pytest.mark.parametrize(("text", "span"), [("204", (204, 204)), ("200-399", (200, 399))])
def test_expected_statuses_are_one_or_a_range(text: str, span: tuple[int, int]) -> None:
    assert span_of(text) == span


def test_a_mistake_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "version: 1\n"
        "upstreams:\n"
        "  api:\n"
        "    url: https://api.example.com\n"
        "    health_check: {path: healthz}\n"
        "    outlier_detection:\n"
        "      consecutive_failure: 3\n"
        "    circuit_breaker: {base_open_time: 2m}\n"
        "policies: []\n"
        "routes: []\n"
    )
    told = [str(problem).removeprefix(f"{tmp_path}/") for problem in load([tmp_path / "config.yaml"], environ={}).problems]
    assert any(problem.startswith("config.yaml:5:26: upstreams.api.health_check.path: ") for problem in told), told
    assert any(problem.startswith("config.yaml:7:7: upstreams.api.outlier_detection.consecutive_failure: ") for problem in told), (
        told
    )
    assert any("did you mean 'consecutive_failures'?" in problem for problem in told)
