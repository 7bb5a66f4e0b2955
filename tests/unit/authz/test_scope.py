"""`let` and named sets of addresses: what expressions of one document may use."""

from pathlib import Path
from typing import Any

import pytest

from tests.asking import a_subject, an_access, compiled, policies, policy, said

SETS = "apiVersion: gateway/v1\nkind: IpSets\nsets:\n  office: [10.0.0.0/8, '2001:db8::/32']\n  nobody: []\n"
LET = "let:\n  own: subject.claims.org == resource.params.org_id\n  calm: own && request.method == 'GET'\n"


def allowed(folder: Path, rules: str, *texts: str, head: str = "", claims: Any = None, **facts: Any) -> bool:
    found = policies(folder, policy(rules, head=head), *texts)
    return found.route("messages.get").decide(a_subject(claims=claims or {}), an_access(**facts)).allowed


def test_a_definition_stands_for_its_expression_in_every_rule_of_its_file(tmp_path: Path) -> None:
    rules = "- {name: a, allow: [GET], when: calm}\n- {name: b, allow: [POST], unless: '!own'}"
    assert allowed(tmp_path, rules, head=LET, claims={"org": "org_9"})
    assert allowed(tmp_path, rules, head=LET, claims={"org": "org_9"}, method="POST")
    assert not allowed(tmp_path, rules, head=LET, claims={"org": "org_1"})
    assert not allowed(tmp_path, rules, head=LET)


def test_a_definition_without_a_value_denies_what_it_denies(tmp_path: Path) -> None:
    assert not allowed(tmp_path, "- {name: a, allow: any}\n- {name: b, deny: any, when: own}", head=LET)


def test_definitions_are_one_files_own(tmp_path: Path) -> None:
    found, problems = compiled(
        tmp_path, policy("- {name: a, allow: any, when: own}", head=LET), policy("- {name: b, allow: any, when: own}", name="q")
    )
    assert found is None
    assert "'own'" in said(problems)[0]


def test_equal_texts_of_two_files_are_not_one_condition(tmp_path: Path) -> None:
    one = policy("- {name: a, allow: [GET], when: it}", head="let: {it: 'true'}\n")
    other = policy("- {name: a, deny: [GET], when: it}", name="q", head="let: {it: 'false'}\n")
    found = policies(tmp_path, one, other)
    assert found.route("messages.get").decide(a_subject(), an_access()).rule == "p/a"


@pytest.mark.parametrize(
    ("let", "message"),
    [
        ("{a: subject.nope}", "5:18: 'nope' is not a field"),
        ("{a: b, b: a}", "is defined by itself"),
        ("{subject: 'true'}", ""),
        ("{a-b: 'true'}", ""),
        ("{a: ''}", ""),
        ("{}", ""),
    ],
)
def test_a_definition_that_cannot_be_is_told_with_its_place(tmp_path: Path, let: str, message: str) -> None:
    found, problems = compiled(tmp_path, policy("- {name: a, allow: any}", head=f"let: {let}\n"))
    if let == "{}":
        assert found is not None
    else:
        assert found is None
        assert any(message in told for told in said(problems))


@pytest.mark.parametrize(
    ("client", "expected"),
    [("10.1.2.3", True), ("11.0.0.1", False), ("2001:db8::1", True), ("::ffff:10.0.0.1", True), ("x", False)],
)
def test_addresses_are_asked_of_named_sets(tmp_path: Path, client: str, expected: bool) -> None:
    rule = "- {name: a, allow: any, when: \"inSet(request.client_ip, 'office')\"}"
    assert allowed(tmp_path, rule, SETS, client=client) is expected


def test_an_address_that_is_none_triggers_a_deny_by_a_set(tmp_path: Path) -> None:
    rules = "- {name: a, allow: any}\n- {name: b, deny: any, when: \"inSet(request.client_ip, 'nobody')\"}"
    assert allowed(tmp_path, rules, SETS)
    assert not allowed(tmp_path, rules, SETS, client="")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sets: {office: [10.0.0.1/8]}", "3:17: 10.0.0.1/8 has host bits set"),
        ("sets: {office: [ten]}", "3:17: a network is written like 10.0.0.0/8"),
        ("sets: {office: [10.0.0.0/33]}", "3:17:"),
        ("sets: {}", "3:7:"),
        ("sets: {a b: []}", ""),
        ("sets: {office: 10.0.0.0/8}", ""),
        ("set: {}", "unknown key 'set' (did you mean 'sets'?)"),
    ],
)
def test_a_set_that_cannot_be_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    found, problems = compiled(tmp_path, f"apiVersion: gateway/v1\nkind: IpSets\n{text}\n")
    assert found is None
    assert any(message in told for told in said(problems))


def test_a_set_is_defined_once_over_all_files(tmp_path: Path) -> None:
    _, problems = compiled(tmp_path, SETS, SETS)
    assert [told for told in said(problems) if "twice" in told] == [
        f"4:3: the set 'office' is defined twice (first in {tmp_path}/0.yaml:4)",
        f"5:3: the set 'nobody' is defined twice (first in {tmp_path}/0.yaml:5)",
    ]


def test_a_set_that_is_nowhere_is_an_error_at_load(tmp_path: Path) -> None:
    found, problems = compiled(tmp_path, SETS, policy("- {name: a, allow: any, when: \"inSet(request.client_ip, 'offise')\"}"))
    assert found is None
    assert "office" in said(problems)[0]
