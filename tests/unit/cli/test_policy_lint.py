"""`gateway policy lint`: the findings, in three forms, and what fails."""

import json
from pathlib import Path

from gateway.authz.lints import LINTS
from tests.conftest import ROOT
from tests.policyhouse import POLICY, ROLES, furnish
from tests.unit.cli.conftest import Command

OPEN = POLICY + "  - name: open\n    allow: [GET]\n"
WARNED = "policies/notes.yaml:18:5: warning: rules[3]: notes/open allows everybody whom the route lets in (ask for a permission) [open-allow]"


def test_sound_policies_give_nothing(folder: Path, command: Command) -> None:
    furnish(folder)
    assert command("policy", "lint", "--strict") == (0, "no problems\n", "")


def test_findings_carry_their_names_and_fail_when_asked_to(folder: Path, command: Command) -> None:
    furnish(folder, policy=OPEN, roles=ROLES.replace("notes:write]", "notes:write, notes:burn]"))
    code, out, _ = command("policy", "lint")
    assert (code, WARNED in out.splitlines(), out.splitlines()[-1]) == (0, True, "0 errors, 2 warnings, 1 note")
    assert "[shadowed]" in out
    assert "[unused-permission]" in out
    assert command("policy", "lint", "--strict")[0] == 1


def test_notes_alone_never_fail(folder: Path, command: Command) -> None:
    furnish(folder, policy=POLICY.replace("    reason: This network is blocked.\n", ""))
    code, out, _ = command("policy", "lint", "--strict")
    assert (code, "[silent-deny]" in out) == (0, True)


def test_sarif_names_each_rule_with_its_page(folder: Path, command: Command) -> None:
    furnish(folder, policy=OPEN)
    code, out, _ = command("policy", "lint", "--format", "sarif", "-o", "lint.sarif")
    assert (code, WARNED in out) == (0, True)
    [run] = json.loads((folder / "lint.sarif").read_text())["runs"]
    assert {result["ruleId"] for result in run["results"]} == {"open-allow", "shadowed"}
    assert {result["level"] for result in run["results"]} == {"warning"}
    named = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert named["open-allow"]["help"]["text"].endswith("(docs/reference/lint.md#open-allow)")


def test_json_has_the_names(folder: Path, command: Command) -> None:
    furnish(folder, policy=OPEN)
    found = json.loads(command("policy", "lint", "--format", "json")[1])
    assert sorted(problem["rule"] for problem in found["problems"]) == ["open-allow", "shadowed"]


def test_what_check_tells_too_is_told_once(folder: Path, command: Command) -> None:
    furnish(folder, policy=POLICY.replace("permission: notes:write", "permission: notes:burn"))
    told = "no role grants 'notes:burn'"
    assert command("policy", "lint")[1].count(told) == 1
    assert command("check")[1].count(told) == 1
    assert command("policy", "lint", "--config", "missing.yaml")[0] == 78


def test_every_finding_has_a_page() -> None:
    page = (ROOT / "docs" / "reference" / "lint.md").read_text()
    assert [name for name in LINTS if f"\n## {name}\n" not in page] == []
