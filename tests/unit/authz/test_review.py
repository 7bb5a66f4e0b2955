"""What `policy lint` finds, and what it leaves alone."""

from pathlib import Path

import pytest

from gateway.authz.compile import compile_policies
from gateway.authz.lints import LINTS
from gateway.authz.policy import RouteFact
from gateway.authz.review import Reviewed, review
from tests.asking import ISSUERS, MESSAGES, NOW, documents, policy, roles

ROLES = roles(
    """
    roles: {reader: ['messages:read']}
    bindings: [{from_claim: roles, issuer: corp, only: [reader]}]
    """
)
READ = "{name: read, allow: [GET], permission: 'messages:read', when: subject.claims.org == resource.params.org_id}"


def found(
    folder: Path,
    *texts: str,
    routes: tuple[RouteFact, ...] = (MESSAGES,),
    anonymous: frozenset[str] = frozenset(),
    keyed: frozenset[str] = frozenset(),
) -> list[str]:
    for number, text in enumerate(texts):
        folder.joinpath(f"{number}{'_test' if 'kind: PolicyTest' in text else ''}.yaml").write_text(text)
    read = documents(folder)
    policies, problems = compile_policies(read, routes=routes, issuers=ISSUERS, now=lambda: NOW)
    assert policies is not None, [str(problem) for problem in problems]
    told = [*(problem for problem in problems if problem.rule), *review(Reviewed(read, policies, anonymous, keyed))]
    assert all(problem.severity == LINTS[problem.rule].severity and problem.line for problem in told)
    return [f"{problem.rule} {problem.line}" for problem in told if problem.rule != "silent-deny"]


def rules(folder: Path, *lines: str) -> list[str]:
    """Findings about rules; the first stands in line 6."""
    told = found(folder, policy("\n".join(f"- {line}" for line in lines), routes="[messages.*]"), ROLES)
    return [line for line in told if not line.startswith(("unused-permission", "uncovered-route"))]


def test_ordinary_policies_are_left_alone(tmp_path: Path) -> None:
    assert rules(tmp_path, READ, "{name: b, deny: any, when: \"subject.claims.x == 'y'\", reason: because}") == []


@pytest.mark.parametrize(
    ("condition", "never"),
    [
        ("subject.id == 'a' && subject.id == 'b'", True),
        ("subject.id == 'a' && 'b' == subject.id", True),
        ("subject.id == 'a' && subject.id != 'a'", True),
        ("subject.id in ['a', 'b'] && subject.id == 'c'", True),
        ("subject.id in ['a', 'b'] && subject.id == 'b'", False),
        ("subject.id == 'a' || subject.id == 'b'", False),
        ("subject.id != 'a' && subject.id != 'b'", False),
        ("has(subject.claims.a) && !has(subject.claims.a)", True),
        ("subject.claims.n == 1 && subject.claims.n == 1.0", False),
        ("subject.claims.n == 1 && subject.claims.n == true", True),
        ("request.method == 'POST'", True),
        ("request.method != 'POST'", False),
        ("resource.route == 'status'", True),
        ("resource.upstream == 'chat'", False),
        ("1 == 2", True),
        ("subject.id == 'a' && false", True),
    ],
)
def test_conditions_that_cannot_hold(tmp_path: Path, condition: str, never: bool) -> None:
    rule = f'{{name: x, allow: [GET], when: "{condition}"}}'
    assert rules(tmp_path, rule) == (["never-matches 6"] if never else [])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((READ, "{name: b, deny: any}"), ["shadowed 6"]),
        ((READ, "{name: b, deny: [GET]}"), ["shadowed 6"]),
        ((READ, "{name: b, deny: [POST]}"), []),
        ((READ, "{name: b, deny: any, mode: shadow}"), []),
        ((READ, "{name: b, deny: any, when: subject.claims.a}"), []),
        ((READ, READ.replace("read", "again", 1)), ["shadowed 7"]),
        ((READ, "{name: b, allow: any, permission: 'messages:read'}"), ["shadowed 6"]),
        ((READ, "{name: b, allow: [POST], permission: 'messages:read'}"), []),
        (("{name: b, allow: [GET], permission: 'messages:read', then: {max_body: 1KiB}}", READ), ["shadowed 7"]),
        ((READ.replace("when", "then: {max_body: 1KiB}, when"), "{name: b, allow: [GET], permission: 'messages:read'}"), []),
        (
            ("{name: a, deny: any, when: subject.claims.a}", "{name: b, deny: [GET], when: subject.claims.a && subject.claims.b}"),
            ["shadowed 7"],
        ),
        (
            ("{name: a, deny: any, when: subject.claims.a && subject.claims.b}", "{name: b, deny: any, when: subject.claims.b}"),
            ["shadowed 6"],
        ),
        (("{name: a, deny: any, when: subject.claims.a || subject.claims.b}", "{name: b, deny: any, when: subject.claims.b}"), []),
        (("{name: a, deny: any}", "{name: b, deny: any}"), ["shadowed 7"]),
        (("{name: a, deny: [GET]}", "{name: b, deny: any}"), ["shadowed 6"]),
    ],
)
def test_rules_that_another_one_answers_for(tmp_path: Path, lines: tuple[str, ...], expected: list[str]) -> None:
    assert rules(tmp_path, *lines) == expected


def test_a_rule_that_still_speaks_on_one_route_is_not_shadowed(tmp_path: Path) -> None:
    two = policy("- {name: r, allow: [GET], when: subject.claims.a}", routes="['*']")
    one = policy("- {name: d, deny: any}", name="q", routes="[status]")
    placed = RouteFact("status", None, "internal", (), "config.yaml", 3, 1)
    assert not any(line.startswith("shadowed") for line in found(tmp_path, two, one, routes=(MESSAGES, placed)))


def test_an_open_allow_is_told_where_somebody_is_asked_who_he_is(tmp_path: Path) -> None:
    text = policy("- {name: a, allow: any}", routes="[messages.*]")
    assert found(tmp_path, text) == ["open-allow 6"]
    assert found(tmp_path, text, anonymous=frozenset({"messages.get"})) == []


@pytest.mark.parametrize(
    ("written", "keyed", "expected"),
    [
        ("roles: {reader: ['messages:read']}", (), ["unbound-role 3", "unreachable-permission 6"]),
        ("roles: {reader: ['messages:read']}", ("reader",), []),
        ("roles: {reader: ['messages:read'], top: {extends: [reader]}}", ("top",), []),
        ("roles: {reader: ['messages:read', 'files:read']}", ("reader",), ["unused-permission 3"]),
        ("roles: {reader: ['messages:*', '*:read', '*:*', '*:write']}", ("reader",), ["unused-permission 3"]),
        ("roles: {reader: {permissions: ['files:read', 'messages:read']}}", ("reader",), ["unused-permission 3"]),
        ("roles: {other: ['files:read']}", ("other",), ["ungranted-permission 6", "unused-permission 3"]),
        ("roles: {reader: ['messages:read']}\nbindings: [{role: reader, subjects: ['mtls:ci']}]", (), []),
        ("roles: {reader: ['messages:read']}\nbindings: [{role: reader, when: \"'a' in subject.groups\"}]", (), ["any-issuer 4"]),
    ],
)
def test_roles_and_permissions_that_lead_nowhere(tmp_path: Path, written: str, keyed: tuple[str, ...], expected: list[str]) -> None:
    told = found(tmp_path, policy(f"- {READ}", routes="[messages.*]"), roles(written), keyed=frozenset(keyed))
    assert sorted(told) == sorted(expected)


TEST = "apiVersion: gateway/v1\nkind: PolicyTest\nname: t\nsubjects: {a: {claims: {CLAIM: x}}}\ncases: [{request: GET /x}]\n"


def test_a_claim_that_no_subject_of_the_tests_has(tmp_path: Path) -> None:
    text = policy(f"- {READ}", routes="[messages.*]")
    assert found(tmp_path, text, ROLES, TEST.replace("CLAIM", "org")) == []
    assert found(tmp_path, text, ROLES, TEST.replace("CLAIM", "organisation")) == ["untested-claim 6"]


def test_a_step_up_by_age_alone(tmp_path: Path) -> None:
    rule = READ.replace("when", "then: {step_up: {max_age: 5m}}, when")
    assert rules(tmp_path, rule) == ["step-up-by-age 6"]
    assert rules(tmp_path, rule.replace("max_age: 5m", "acr: mfa, max_age: 5m")) == []


def test_too_many_rules_in_one_cell(tmp_path: Path) -> None:
    many = [f"{{name: r{number}, allow: [GET], when: \"subject.id == 's{number}'\"}}" for number in range(201)]
    assert rules(tmp_path, *many[:200]) == []
    assert rules(tmp_path, *many) == ["crowded-cell 7", "crowded-cell 7"]


def test_silent_denies_are_noted(tmp_path: Path) -> None:
    tmp_path.joinpath("p.yaml").write_text(policy("- {name: d, deny: any, when: subject.claims.a}"))
    read = documents(tmp_path)
    policies, _ = compile_policies(read, routes=[MESSAGES], issuers=ISSUERS, now=lambda: NOW)
    assert policies is not None
    assert [problem.rule for problem in review(Reviewed(read, policies))] == ["silent-deny"]
