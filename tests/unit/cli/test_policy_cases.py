"""`gateway policy test`: which cases run, what their results look like, and when the command fails."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.policyhouse import TESTS, furnish
from tests.unit.cli.conftest import Command

FAILING = TESTS.replace("expect: {wanda: allow}", "expect: {rita: allow, wanda: allow}")
SUITE = {"name", "package", "id", "timestamp", "hostname", "tests", "failures", "errors", "skipped", "time"}
"""What Apache Ant's schema demands of a suite in a document of several, and what both schemas allow."""


def parsed(text: str | bytes) -> ElementTree.Element:
    return ElementTree.XML(text)


def test_all_cases_pass(folder: Path, command: Command) -> None:
    furnish(folder)
    assert command("policy", "test", "--coverage") == (0, "9 passed, 0 failed; 3 of 3 rules seen in both outcomes\n", "")


def test_a_failure_names_place_case_and_subject_and_is_explained_when_asked(folder: Path, command: Command) -> None:
    furnish(folder, tests=FAILING)
    code, out, _ = command("policy", "test")
    where = "policies/notes_test.yaml:13: writers write as rita: expected allow, got deny\n"
    assert (code, where in out, out.count("\n")) == (1, True, 2)
    code, out, _ = command("policy", "test", "--explain")
    assert (code, "permission notes:write: no" in out) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--filter", "WRITE"), 0, "3 passed, 0 failed"),
        (("--filter", "GET /orgs/acme"), 0, "6 passed, 0 failed"),
        (("policies/notes_test.yaml",), 0, "9 passed, 0 failed"),
        (("policies",), 0, "9 passed, 0 failed"),
        (("policies/roles.yaml",), 2, ""),
        (("--filter", "absent"), 2, ""),
        (("--filter", "write", "--coverage"), 2, ""),
        (("--now", "noon"), 2, ""),
        (("--min-coverage", "101"), 2, ""),
        (("-o", "missing/out.xml"), 2, ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_cases_can_be_chosen(folder: Path, command: Command, arguments: tuple[str, ...], code: int, told: str) -> None:
    furnish(folder)
    found, out, _ = command("policy", "test", *arguments)
    assert (found, out.startswith(told)) == (code, True)


def test_coverage_fails_below_what_is_asked_for(folder: Path, command: Command) -> None:
    furnish(folder, tests=TESTS[: TESTS.index("  - name: a blocked")])
    assert command("policy", "test", "--min-coverage", "60")[0] == 0
    for asked in (("--min-coverage", "70"), ("--coverage",)):
        code, out, _ = command("policy", "test", *asked)
        assert (code, "notes/blocked was never matched by a case" in out) == (1, True)


def test_the_time_of_a_case_without_one_is_fixed_and_can_be_chosen(folder: Path, command: Command) -> None:
    policy = "apiVersion: gateway/v1\nkind: Policy\nname: n\nroutes: ['*']\nrules:\n  - {name: a, allow: any, when: \"env.now < timestamp('2026-06-01T00:00:00Z')\"}\n"
    tests = "apiVersion: gateway/v1\nkind: PolicyTest\nname: n\nsubjects: {a: {}}\ncases:\n  - {request: GET /orgs/a/notes, expect: {a: allow}}\n"
    furnish(folder, policy=policy, tests=tests)
    assert command("policy", "test")[0] == 0
    assert command("policy", "test", "--now", "2027-01-01T00:00:00Z")[0] == 1


def test_json_has_everything(folder: Path, command: Command) -> None:
    furnish(folder, tests=FAILING)
    code, out, _ = command("policy", "test", "--format", "json", "--explain")
    found = json.loads(out)
    assert (code, found["passed"], found["failed"], found["percent"]) == (1, 8, 1, 100.0)
    [failed] = [each for each in found["results"] if each["message"]]
    assert (failed["test"], failed["case"], failed["subject"], failed["expected"]) == ("notes", "writers write", "rita", "allow")
    assert failed["place"].endswith("notes_test.yaml:13")
    assert failed["explanation"]["decision"] == "deny"
    assert {each["rule"] for each in found["coverage"]} == {"notes/read-own", "notes/write-own", "notes/blocked"}


def test_junit_keeps_to_the_schemas_of_ant_and_jenkins(folder: Path, command: Command) -> None:
    furnish(folder, tests=FAILING)
    code, out, _ = command("policy", "test", "--format", "junit", "--coverage", "-o", "found.xml")
    assert (code, out.endswith("8 passed, 1 failed; 3 of 3 rules seen in both outcomes\n")) == (1, True)
    root = parsed((folder / "found.xml").read_bytes())
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in root] == [
        ("notes", "9", "1"),
        ("coverage", "3", "0"),
    ]
    for number, suite in enumerate(root):
        assert set(suite.attrib) == SUITE
        assert suite.get("id") == str(number)
        tags = [child.tag for child in suite]
        assert tags == ["properties", *["testcase"] * int(suite.attrib["tests"]), "system-out", "system-err"]
        assert all(set(case.attrib) == {"name", "classname", "time"} for case in suite.iter("testcase"))
    [failure] = root.iter("failure")
    assert set(failure.attrib) == {"message", "type"}
    assert failure.get("message") == "expected allow, got deny"
    assert "notes_test.yaml:13" in (failure.text or "")


def test_rules_that_are_not_covered_are_failures_in_junit(folder: Path, command: Command) -> None:
    furnish(folder, tests=TESTS[: TESTS.index("  - name: a blocked")])
    code, out, _ = command("policy", "test", "--format", "junit", "--coverage")
    failed = [case.get("name") for case in parsed(out).iter("testcase") if len(case)]
    assert (code, failed) == (1, ["notes/blocked"])


def test_a_folder_with_a_hostile_name_reaches_neither_terminal_nor_xml(tmp_path: Path, folder: Path, command: Command) -> None:
    hostile = tmp_path / "a\x1b[31m\x01b\u202e"
    hostile.mkdir()
    furnish(hostile, tests=FAILING.replace("name: writers write", "name: \"odd \\u2028 ]]> <a & 'b'\""))
    outputs = {}
    for form in ("text", "json", "junit"):
        code, outputs[form], err = command("policy", "test", "--config", str(hostile / "config.yaml"), "--format", form)
        assert code == 1
        assert all(line.isprintable() for line in (outputs[form] + err).split("\n"))
    assert json.loads(outputs["json"])["failed"] == 1
    failed = [case.get("name") for case in parsed(outputs["junit"]).iter("testcase") if len(case)]
    assert failed == ["odd \\u2028 ]]> <a & 'b' as rita"]
