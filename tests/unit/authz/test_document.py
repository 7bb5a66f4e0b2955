"""Policy files: every mistake at once, each with its place."""

from pathlib import Path

import pytest

from tests.asking import documents, policy, roles, said

GOOD = policy("- {name: a, allow: [GET]}")


def problems(folder: Path, text: str, name: str = "p.yaml") -> list[str]:
    folder.joinpath(name).write_text(text, encoding="utf-8")
    return said(documents(folder).problems)


def test_documents_are_told_apart_by_kind_in_the_order_they_were_read(tmp_path: Path) -> None:
    for name in ("b", "a"):
        tmp_path.joinpath(f"{name}.yml").write_text(policy("- {name: r, allow: any}", name=name))
    tmp_path.joinpath("note.txt").write_text("not a policy")
    tmp_path.joinpath("c_test.yaml").write_text(
        "apiVersion: gateway/v1\nkind: PolicyTest\nname: t\nsubjects: {alice: {}}\ncases: [{request: GET /}]\n"
    )
    tmp_path.joinpath("r.yaml").write_text(roles("roles: {viewer: ['messages:read']}"))
    found = documents(tmp_path)
    assert found.problems == []
    assert [loaded.model.name for loaded in found.policies] == ["a", "b"]
    assert [loaded.model.name for loaded in found.tests] == ["t"]
    assert len(found.roles) == 1


def test_the_revision_changes_with_the_texts_and_only_with_them(tmp_path: Path) -> None:
    tmp_path.joinpath("p.yaml").write_text(GOOD)
    first = documents(tmp_path).revision
    assert documents(tmp_path / "p.yaml").revision == first
    tmp_path.joinpath("p.yaml").write_text(GOOD + "# comment\n")
    assert documents(tmp_path).revision != first


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("- {name: a, permision: x:y, allow: [GET]}", "6:13: unknown key 'permision' (did you mean 'permission'?)"),
        ("- {name: a}", "6:3: a rule has exactly one of `allow` and `deny`"),
        ("- {name: a, allow: [GET], deny: [GET]}", "6:3: a rule has exactly one of `allow` and `deny`"),
        ("- {name: a, allow: [GTE]}", "did you mean 'GET'?"),
        ("- {name: a, allow: []}", "6:20: "),
        ("- {name: a, allow: all}", "6:20: expected"),
        ("- {name: a, deny: any, permission: 'a:b'}", "6:3: a deny applies to everybody"),
        ("- {name: a, allow: any, reason: no}", "`reason` belongs to a deny"),
        ("- {name: a, allow: any, permission: 'a:*'}", "6:37: a permission that a rule asks for is written resource:action"),
        ("- {name: a, allow: any, permission: read}", "6:37: a permission that a rule asks for"),
        ("- {name: a, deny: any, then: {max_body: 1KiB}}", "`then` belongs to an allow"),
        ("- {name: a, allow: any, then: {}}", "`then` names at least one obligation"),
        ("- {name: a, allow: any, then: {redacted: {}}}", "unknown key 'redacted' (did you mean 'redact'?)"),
        ("- {name: a, allow: any, tools: ['get_*']}", "6:32: this is not available yet"),
        ("- {name: a, allow: any, when: 1}", "6:31: expected text"),
        ("- {name: a, allow: any, when: []}", "6:31: "),
        ("- {name: a, allow: any, mode: dry}", "6:31: expected 'enforce' or 'shadow'"),
        ("- {name: a, allow: any}\n- {name: a, allow: any}", "7:10: the rule name 'a' is used twice"),
    ],
)
def test_a_mistake_in_a_rule_is_told_with_its_place(tmp_path: Path, rules: str, message: str) -> None:
    found = problems(tmp_path, policy(rules))
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Polcy\n", "1:7: unknown kind 'Polcy' (did you mean 'Policy'?)"),
        ("name: a\n", "1:1: `kind` is required"),
        ("kind: [Policy]\n", "1:7: `kind` is required"),
        ("[]\n", "1:1: is not a policy document"),
        (GOOD.replace("gateway/v1", "gateway/v2"), "1:13: expected 'gateway/v1'"),
        (GOOD + "extra: 1\n", "7:1: unknown key 'extra'"),
        (GOOD.replace("['*']", "[]"), "4:9: "),
        ("apiVersion: gateway/v1\nkind: Policy\nname: p\nroutes: [a]\nrules: []\n", "5:8: "),
        (GOOD + "---\n" + GOOD, "a file holds one document"),
        (GOOD.replace("name: p", "name: &p p"), "anchors are not allowed"),
        (roles("roles: {viewer: [messages]}"), "3:18: a permission is written resource:action; either may be *"),
        (roles("roles: {viewer: {extend: [a]}}"), "unknown key 'extend' (did you mean 'extends'?)"),
        (roles("bindings: [{from_claim: roles, only: [a]}]"), "3:12: `from_claim` needs `issuer` and `only`"),
        (roles("bindings: [{from_claim: roles, issuer: corp}]"), "`from_claim` needs `issuer` and `only`"),
        (roles("bindings: [{from_claim: roles, issuer: corp, only: []}]"), "3:52: "),
        (roles("bindings: [{from_claim: roles, issuer: corp, only: [a], when: 'true'}]"), "nothing else"),
        (roles("bindings: [{role: a}]"), "exactly one of `when`, `groups` and `subjects`"),
        (roles("bindings: [{role: a, when: 'true', subjects: ['corp:a']}]"), "exactly one of `when`, `groups` and `subjects`"),
        (roles("bindings: [{role: a, when: 'true', only: [a]}]"), "belong to `from_claim`"),
        (roles("bindings: [{when: 'true'}]"), "3:12: a binding has `from_claim`, or `role`"),
        (roles("bindings: [{role: a, subjects: [alice]}]"), "3:33: a subject is written issuer:id"),
    ],
)
def test_a_mistake_in_a_document_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    found = problems(tmp_path, text)
    assert found
    assert message in found[0]


def test_kinds_and_file_names_go_together(tmp_path: Path) -> None:
    assert "Policy in a file of this name (…_test.yaml files are of kind PolicyTest)" in problems(tmp_path, GOOD, "p_test.yaml")[0]
    tmp_path.joinpath("p_test.yaml").unlink()
    test = "apiVersion: gateway/v1\nkind: PolicyTest\nname: t\nsubjects: {alice: {}}\ncases: [{request: GET /}]\n"
    assert "PolicyTest in a file of this name" in problems(tmp_path, test)[0]


def test_a_policy_name_stands_once_over_all_files(tmp_path: Path) -> None:
    tmp_path.joinpath("a.yaml").write_text(GOOD)
    assert problems(tmp_path, GOOD) == [f"3:7: the name 'p' is used twice (first in {tmp_path}/a.yaml:3)"]


def test_the_mistakes_of_all_files_are_told_together(tmp_path: Path) -> None:
    tmp_path.joinpath("a.yaml").write_text(
        policy("- {name: a, allow: [GTE]}\n- {nam: b, allow: any}\n- {name: a b, allow: any, whn: 'true'}")
    )
    tmp_path.joinpath("b.yaml").write_text(roles("roles: {viewer: [messages], x: {extends: y}}\nbindings: [{role: a}]"))
    tmp_path.joinpath("c.yaml").write_text("kind: Polcy\n")
    found = documents(tmp_path).problems
    assert len(found) == 9
    assert {Path(problem.file).name for problem in found} == {"a.yaml", "b.yaml", "c.yaml"}
    assert all(problem.line > 0 and problem.column > 0 for problem in found)


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    assert "cannot be read" in str(documents(tmp_path / "none.yaml").problems[0])


def test_what_is_good_in_a_broken_roles_document_is_kept(tmp_path: Path) -> None:
    tmp_path.joinpath("r.yaml").write_text(
        roles(
            "roles: {viewer: [messages], member: {extends: [viewer]}}\nbindings: [{role: x}, {role: member, when: 'true'}]\nextra: 1"
        )
    )
    found = documents(tmp_path)
    assert len(found.problems) == 3
    assert not found.complete
    assert list(found.roles[0].model.roles) == ["viewer", "member"]
    assert found.roles[0].numbers == (1,)
    assert found.roles[0].model.bindings[0].role == "member"
