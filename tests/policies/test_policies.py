"""The example policies: they load, compile without a finding, pass their tests, and every rule is seen in both outcomes."""

import pytest

from gateway.authz.cases import Report, run
from gateway.authz.compile import compile_policies
from gateway.authz.policy import RouteFact
from gateway.routing import Parameters, parse
from tests.asking import documents
from tests.conftest import ROOT

ISSUES = parse("/github/repos/{owner}/{repo}/issues")
FACTS = [
    RouteFact("github.issues", ("GET", "HEAD", "POST"), "github", ("owner", "repo")),
    RouteFact("status", None, "internal", ()),
]


def match(_method: str, path: str, _host: str) -> tuple[str, dict[str, str]] | None:
    """The routes of the example configuration."""
    parts = path.split("/")[1:]
    if parts[0] == "status":
        return "status", {}
    captured = (parts[2], parts[3])
    return "github.issues", Parameters(ISSUES, {"owner": "[A-Za-z0-9_-]{1,39}"}, ()).decoded(captured)


@pytest.fixture(scope="module")
def report() -> Report:
    found = documents(ROOT / "policies")
    policies, problems = compile_policies(found, routes=FACTS, issuers=frozenset({"corp", "api_keys", "mtls"}), now=lambda: 0.0)
    assert [str(problem) for problem in problems] == []
    assert policies is not None
    return run(found, policies, match)


def test_all_cases_pass(report: Report) -> None:
    assert [f"{result.case}: {result.subject}: {result.message}" for result in report.results if not result.passed] == []
    assert report.passed >= 70


def test_every_rule_is_seen_in_both_outcomes(report: Report) -> None:
    assert [coverage.rule for coverage in report.coverage if not coverage.complete] == []


def test_every_policy_has_its_tests_beside_it() -> None:
    found = documents(ROOT / "policies")
    assert {loaded.model.name for loaded in found.policies} == {loaded.model.name for loaded in found.tests}
