"""Policies that others published, rewritten in our format: their published decisions, all equal."""

from pathlib import Path

import pytest

from gateway.authz.cases import Match, Report, run
from gateway.authz.policy import RouteFact
from gateway.routing import parse
from tests.asking import documents
from tests.asking import policies as compiled
from tests.conftest import ROOT

PUBLISHED = ROOT / "tests" / "policies" / "published"
TASKS = {"users.one": "/users/{user}", "todos": "/todos", "todos.one": "/users/{owner}/todos/{todo}"}
SETS: dict[str, tuple[int, dict[str, str]]] = {
    "authzen_todo": (40, TASKS),
    "authzen_gateway": (25, TASKS | {"todos.one": "/todos/{todo}"}),
    "cedar_github": (
        7,
        {"repos.one": "/repos/{repo}", "repos.forks": "/repos/{repo}/forks", "repos.contents": "/repos/{repo}/contents"}
        | {"repos.members": "/repos/{repo}/members"},
    ),
    "cedar_hotels": (
        6,
        {
            "hotels.property": "/hotels/{hotel}/properties/{property}",
            "hotels.reservation": "/hotels/{hotel}/properties/{property}/reservations/{reservation}",
        },
    ),
}
"""How many decisions each publishes, and the routes it was rewritten for."""


def matching(routes: dict[str, str]) -> Match:
    """Routes whose segments are constants and parameters."""

    def match(_method: str, path: str, _host: str) -> tuple[str, dict[str, str]] | None:
        asked = path.split("/")
        for name, pattern in routes.items():
            parts = pattern.split("/")
            pairs = list(zip(parts, asked, strict=False))
            if len(parts) == len(asked) and all(part == text or part.startswith("{") for part, text in pairs):
                return name, {part[1:-1]: text for part, text in pairs if part.startswith("{")}
        return None

    return match


def report(name: str, folder: Path) -> Report:
    _, routes = SETS[name]
    facts = [RouteFact(route, None, "u", parse(pattern).parameters) for route, pattern in routes.items()]
    texts = [file.read_text() for file in sorted((PUBLISHED / name).glob("*.yaml")) if not file.name.endswith("_test.yaml")]
    return run(documents(PUBLISHED / name), compiled(folder, *texts, routes=facts), matching(routes))


@pytest.mark.parametrize("name", SETS)
def test_every_published_decision_is_ours_too(name: str, tmp_path: Path) -> None:
    found = report(name, tmp_path)
    assert [f"{result.case}: {result.subject}: {result.message}" for result in found.results if not result.passed] == []
    assert found.passed == SETS[name][0]


def test_every_set_is_run() -> None:
    assert {folder.name for folder in PUBLISHED.iterdir()} == set(SETS)


def test_the_page_counts_what_the_tests_run() -> None:
    page = (ROOT / "docs" / "explanation" / "published-policies.md").read_text()
    for name, (count, _) in SETS.items():
        assert any(f"`{name}`" in line and f"| {count} |" in line for line in page.splitlines()), name
