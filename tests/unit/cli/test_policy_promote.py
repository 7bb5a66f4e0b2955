"""`gateway policy promote`: what a shadow rule would have changed, and whether that is enough."""

import json
from pathlib import Path

import pytest

from gateway.settings import load
from tests.policyhouse import CONFIG, POLICY, TESTS, furnish
from tests.unit.cli.conftest import Command
from tests.unit.cli.test_policy_diff import an_event

RULE = "  - name: no-writes\n    mode: shadow\n    deny: [POST]\n    when: subject.id.startsWith('w')\n"
SHADOW = {"rule": "notes/no-writes", "decision": "deny", "would_change": True}


@pytest.fixture
def generation(folder: Path) -> str:
    furnish(folder, policy=POLICY + RULE, config=CONFIG + "audit: {file: audit.jsonl}\n")
    return load([folder / "config.yaml"]).generation


def written(folder: Path, *events: bytes) -> None:
    (folder / "audit.jsonl").write_bytes(b"".join(events))


def test_the_evidence_of_a_rule_that_was_watched_long_enough(folder: Path, command: Command, generation: str) -> None:
    changed = [an_event(request_id=f"c{number}", generation=generation, shadow=SHADOW) for number in range(7)]
    others = [an_event(subject="rita", generation=generation) for _ in range(100)]
    reads = [an_event(method="GET", generation=generation, rule="notes/read-own") for _ in range(3)]
    written(folder, *changed, *others, *reads)
    code, out, err = command("policy", "promote", "notes/no-writes")
    assert (code, err) == (0, "")
    assert out.rstrip().splitlines() == [
        "notes/no-writes   policies/notes.yaml:18   deny in shadow",
        "  asked on its routes and methods: 107, of these 107 under this configuration, 2026-11-20T10:00:00.000Z to 2026-11-20T10:00:00.000Z",
        "  matched: 7, without a value: 0, cannot be told: 0",
        "  would change: 7, from allow to deny",
        "    principals: corp:wanda 7",
        "    routes: notes.list 7",
        "    for instance: c0, c1, c2, c3, c4",
        "  cases: seen in both outcomes",
        "  enough to decide by",
        "  to enforce it: policies/notes.yaml:19: remove `mode: shadow`",
    ]


def test_what_was_recorded_under_another_configuration_is_asked_again(folder: Path, command: Command, generation: str) -> None:
    written(
        folder, an_event(generation="older"), an_event(generation="older", subject="rita"), an_event(subject="hmac:1"), b"torn\n"
    )
    code, out, _ = command("policy", "promote", "notes/no-writes", "--format", "json")
    [found] = json.loads(out)
    assert code == 1
    assert (found["asked"], found["under_this_configuration"], found["would_change"], found["undecidable"]) == (3, 0, 1, 1)
    assert found["lacking"] == [
        "fewer than 100 requests",
        "nothing recorded under this very configuration",
        "1 request cannot be told",
    ]


def test_a_match_behind_another_shadow_rule_is_asked_again(folder: Path, command: Command, generation: str) -> None:
    written(folder, an_event(generation=generation, shadow={"rule": "notes/other", "decision": "deny"}))
    [found] = json.loads(command("policy", "promote", "--format", "json")[1])
    assert (found["matched"], found["would_change"]) == (1, 1)


def test_a_rule_that_nothing_is_known_of_says_so(folder: Path, command: Command, generation: str) -> None:
    (folder / "policies" / "notes_test.yaml").write_text(TESTS.replace("POST", "DELETE"))
    written(folder)
    code, out, _ = command("policy", "promote", "notes/no-writes")
    lacking = "fewer than 100 requests; nothing recorded under this very configuration; no cases that see it in both outcomes"
    assert (code, f"  not enough evidence: {lacking}\n" in out) == (1, True)
    assert command("policy", "promote")[0] == 0


def test_a_mode_of_the_whole_file_is_told_as_such(folder: Path, command: Command) -> None:
    furnish(folder, policy=POLICY.replace("routes:", "mode: shadow\nroutes:"))
    written(folder)
    found = json.loads(command("policy", "promote", "notes/blocked", "--replay", "audit.jsonl", "--format", "json")[1])
    assert found[0]["edit"] == "policies/notes.yaml:4: remove `mode: shadow`, which holds for all 3 rules of the file"


@pytest.mark.parametrize(
    ("arguments", "code"), [((), 0), (("notes/none",), 2), (("notes/read-own",), 2), (("--replay", "missing.jsonl"), 0)], ids=str
)
def test_without_a_shadow_rule_there_is_nothing_to_promote(
    folder: Path, command: Command, arguments: tuple[str, ...], code: int
) -> None:
    furnish(folder)
    assert command("policy", "promote", *arguments)[0] == code


def test_nothing_is_edited(folder: Path, command: Command, generation: str) -> None:
    written(folder, an_event(generation=generation, shadow=SHADOW))
    before = (folder / "policies" / "notes.yaml").read_bytes()
    command("policy", "promote", "notes/no-writes")
    assert (folder / "policies" / "notes.yaml").read_bytes() == before
