"""`gateway policy diff`: by cases and by what the trail recorded."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.policyhouse import CONFIG, POLICY, TESTS, furnish
from tests.unit.cli.conftest import Command

STRICTER = POLICY.replace("  - name: blocked", "  - name: no-writes\n    deny: [POST]\n  - name: blocked")


def an_event(**changes: Any) -> bytes:
    fields = {
        "ts": "2026-11-20T10:00:00.000Z",
        "event": "request",
        "request_id": "r1",
        "client": "192.0.2.1",
        "issuer": "corp",
        "subject": "wanda",
        "scheme": "jwt",
        "roles": ["reader", "writer"],
        "route": "notes.list",
        "params": {"org": "acme"},
        "method": "POST",
        "path": "/orgs/acme/notes",
        "decision": "allow",
        "rule": "notes/write-own",
    }
    return orjson.dumps(fields | changes) + b"\n"


@pytest.fixture
def house(folder: Path) -> Path:
    """The configuration's policies are the new ones; the old ones stand in a folder beside them."""
    furnish(folder, policy=STRICTER)
    (folder / "old").mkdir()
    furnish(folder / "old")
    return folder


def test_the_same_policies_differ_in_nothing(house: Path, command: Command) -> None:
    told = "9 questions of the cases\n0 change their answer, 9 keep it, 0 cannot be told\n"
    assert command("policy", "diff", "policies", "policies", "--exit-code") == (0, told, "")


def test_cases_show_what_changes_and_for_whom(house: Path, command: Command) -> None:
    code, out, _ = command("policy", "diff", "old/policies")
    assert code == 0
    assert out.splitlines() == [
        "9 questions of the cases",
        "1 change their answer, 8 keep it, 0 cannot be told",
        "",
        "allow by notes/write-own  ->  deny by notes/no-writes: 1",
        "  wanda 1",
        "  for instance writers write",
    ]
    assert command("policy", "diff", "old/policies", "--exit-code")[0] == 1


def test_an_allow_that_demands_less_is_a_change_of_its_own_kind(house: Path, command: Command) -> None:
    demanding = STRICTER.replace("  - name: write-own", "    then: {redact: {response: [$.ssn]}}\n  - name: write-own")
    (house / "old" / "policies" / "notes.yaml").write_text(demanding)
    code, out, _ = command("policy", "diff", "old/policies", "--exit-code")
    assert (code, out.splitlines()[1:4]) == (
        1,
        [
            "0 change their answer, 2 are allowed with other demands, 7 keep it, 0 cannot be told",
            "",
            "allow by notes/read-own  ->  allow by notes/read-own, demands less: redact $.ssn remove: 2",
        ],
    )
    found = json.loads(command("policy", "diff", "old/policies", "--format", "json")[1])
    assert (found["changed"], found["demands_changed"], len(found["demands"])) == (0, 2, 1)


def test_cases_that_expect_a_path_at_any_depth_are_compared(house: Path, command: Command) -> None:
    told = TESTS.replace("    rule: notes/read-own\n", "    rule: notes/read-own\n    then: {redact: {response: [$..ssn]}}\n", 1)
    (house / "policies" / "notes_test.yaml").write_text(told)
    assert command("policy", "diff", "old/policies")[::2] == (0, "")


def test_another_configuration_brings_its_own_routes(house: Path, command: Command) -> None:
    (house / "old" / "config.yaml").write_text(CONFIG.replace("methods: [GET, POST]", "methods: [GET]"))
    found = json.loads(command("policy", "diff", "old/config.yaml", "config.yaml", "--format", "json")[1])
    assert {(change["old"], change["new"]) for change in found["changes"]} == {("no route", "deny by notes/no-writes")}


def test_the_trail_shows_which_real_requests_change(house: Path, command: Command) -> None:
    lines = [
        an_event(),
        b'{"event":"request","ts":\n',
        an_event(request_id="r2", method="GET", rule="notes/read-own"),
        an_event(request_id="r3", subject="\x1b[31mred", roles=["writer", "reader"]),
        an_event(request_id="r4", decision=None),
        an_event(request_id="r5", route="gone"),
        an_event(request_id="r6", decision="deny", rule=None),
        an_event(request_id="r7", rule="notes/elsewhere", ts="2026-11-21T10:00:00.000Z"),
    ]
    (house / "audit.jsonl").write_bytes(b"".join(lines))
    code, out, err = command("policy", "diff", "old/policies", "--replay", "audit.jsonl", "--exit-code")
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "5 requests, 2026-11-20T10:00:00.000Z to 2026-11-21T10:00:00.000Z",
        "2 change their answer, 2 keep it, 1 cannot be told",
        "",
        "allow by notes/write-own  ->  deny by notes/no-writes: 2",
        "  corp:\\u001b[31mred 1, corp:wanda 1",
        "  for instance r1, r3",
        "",
        "cannot be told from the trail, because of",
        "  notes/write-own, which reads subject.claims: 1, for instance r7",
        "",
        "1 were answered otherwise than OLD answers: the trail was written under other policies",
        "1 left out: refused before any policy, or not as the trail writes them",
        "1 left out: of routes that these policies do not know",
        "1 line left out: audit.jsonl:2: not JSON",
    ]
    found = json.loads(command("policy", "diff", "old/policies", "--replay", "audit.jsonl", "--format", "json")[1])
    assert (found["asked"], found["changed"], found["skipped_lines"]) == (5, 2, 1)
    assert found["changes"][0]["principals"] == {"corp:wanda": 1, "corp:\x1b[31mred": 1}
    assert found["undecided"][0]["reads"] == ["subject.claims"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("missing",), 78),
        (("empty",), 2),
        (("old/policies", "--replay", "none.jsonl"), 2),
        (("old/policies", "--replay", "old"), 2),
        (("old/policies", "old/policies/notes.yaml", "--format", "xml"), 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_compared_is_said(house: Path, command: Command, arguments: tuple[str, ...], code: int) -> None:
    (house / "empty").mkdir()
    found, _, err = command("policy", "diff", *arguments)
    assert (found, "Traceback" in err, bool(err)) == (code, False, True)


def test_mistakes_of_either_side_are_told_with_their_place(house: Path, command: Command) -> None:
    (house / "old" / "policies" / "notes.yaml").write_text(POLICY.replace("allow: [GET]", "alow: [GET]"))
    code, _, err = command("policy", "diff", "old/policies")
    assert (code, "notes.yaml:7:5" in err, "alow" in err) == (78, True, True)
