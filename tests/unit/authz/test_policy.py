"""Decisions: default deny, deny wins, errors never help, HEAD with GET, shadow; and what enforce makes of them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.authz.bindings import Bindings
from gateway.authz.cel.condition import Condition
from gateway.authz.cel.errors import FAULTS
from gateway.authz.grant import Granter
from gateway.authz.model import METHODS
from gateway.authz.permissions import Numbering
from gateway.authz.policy import CROWDED, MASKS, Policies, RouteFact, RoutePolicy, enforce
from gateway.authz.rule import Rule
from gateway.core.decision import Decision, Permit
from gateway.core.errors import BadRequest, Forbidden
from gateway.core.principal import Principal
from gateway.core.reason import Reason
from tests.asking import STATUS, an_access, an_identity, condition, policies, policy, roles

ROLES = roles("roles: {viewer: ['messages:read'], member: ['messages:*']}")
ORG = "subject.claims.org_id == resource.params.org_id"


def decide(found: Policies, method: str = "GET", *, role: str = "viewer", claims: Any = None, **facts: Any) -> Decision:
    identity = an_identity(roles=(role,), claims={"org_id": "org_9"} if claims is None else claims)
    access = an_access(method, **facts)
    return found.route(access.route).decide(found.grant(identity), access)


def answer(folder: Path, rules: str, *texts: str, head: str = "", **facts: Any) -> str:
    """`allow p/a`, `deny p/b` or `deny` for nothing matched."""
    decision = decide(policies(folder, ROLES, policy(rules, head=head), *texts), **facts)
    return f"{decision.effect} {decision.rule}" if decision.rule else decision.effect


def test_without_a_rule_everything_is_denied(tmp_path: Path) -> None:
    found = policies(tmp_path, policy("- {name: a, allow: any}", routes="[status]"))
    decision = decide(found)
    assert (decision.allowed, decision.rule, decision.place, decision.capped, decision.errors, decision.shadow) == (
        False,
        None,
        None,
        False,
        (),
        None,
    )


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("- {name: a, allow: [GET]}", "allow p/a"),
        ("- {name: a, allow: any}", "allow p/a"),
        ("- {name: a, allow: [POST]}", "deny"),
        ("- {name: a, allow: [GET], permission: 'messages:read'}", "allow p/a"),
        ("- {name: a, allow: [GET], permission: 'messages:write'}", "deny"),
        (f"- {{name: a, allow: [GET], when: {ORG}}}", "allow p/a"),
        ("- {name: a, allow: [GET], when: 'false'}", "deny"),
        ("- {name: a, allow: [GET], when: subject.claims.nope == 1}", "deny"),
        ("- {name: a, allow: [GET], when: ['true', 'false']}", "deny"),
        ("- {name: a, allow: [GET], when: ['true', 'true']}", "allow p/a"),
        ("- {name: a, allow: [GET], unless: 'true'}", "deny"),
        ("- {name: a, allow: [GET], unless: 'false'}", "allow p/a"),
        ("- {name: a, allow: [GET], unless: subject.claims.nope == 1}", "deny"),
        ("- {name: a, allow: [GET], when: 'true', unless: 'true'}", "deny"),
        ("- {name: a, allow: any}\n- {name: b, deny: any}", "deny p/b"),
        ("- {name: b, deny: [GET]}\n- {name: a, allow: any}", "deny p/b"),
        ("- {name: a, allow: any}\n- {name: b, deny: [POST]}", "allow p/a"),
        ("- {name: a, allow: any}\n- {name: b, deny: any, when: 'false'}", "allow p/a"),
        ("- {name: a, allow: any}\n- {name: b, deny: any, when: subject.claims.nope == 1}", "deny p/b"),
        ("- {name: a, allow: any}\n- {name: b, deny: any, unless: subject.claims.nope == 1}", "deny p/b"),
        ("- {name: a, allow: any}\n- {name: b, deny: any, unless: \"'viewer' in subject.roles\"}", "allow p/a"),
        ("- {name: a, allow: any}\n- {name: b, deny: any, unless: \"'admin' in subject.roles\"}", "deny p/b"),
        ("- {name: a, allow: any, when: 'false'}\n- {name: b, allow: any}", "allow p/b"),
    ],
)
def test_rules_decide(tmp_path: Path, rules: str, expected: str) -> None:
    assert answer(tmp_path, rules) == expected


def test_a_deny_of_another_file_wins_too(tmp_path: Path) -> None:
    other = policy("- {name: b, deny: any}", name="q", routes="['messages.*']")
    assert answer(tmp_path, "- {name: a, allow: any}", other) == "deny q/b"
    assert answer(tmp_path, "- {name: a, allow: any}", other, route="status") == "allow p/a"


@pytest.mark.parametrize(
    ("rules", "method", "expected"),
    [
        ("- {name: a, allow: [GET]}", "HEAD", "allow p/a"),
        ("- {name: a, allow: [HEAD]}", "HEAD", "allow p/a"),
        ("- {name: a, allow: [HEAD]}", "GET", "deny"),
        ("- {name: a, allow: any}\n- {name: b, deny: [GET]}", "HEAD", "deny p/b"),
        ("- {name: a, allow: any}\n- {name: b, deny: [HEAD]}", "GET", "allow p/a"),
        ("- {name: a, allow: [GET]}", "OPTIONS", "deny"),
        ("- {name: a, allow: [OPTIONS]}", "OPTIONS", "allow p/a"),
        ("- {name: a, allow: any}", "PROPFIND", "allow p/a"),
        ("- {name: a, allow: [GET, POST, PUT, PATCH, DELETE, OPTIONS]}", "PROPFIND", "deny"),
        ("- {name: a, allow: any}\n- {name: b, deny: any}", "PROPFIND", "deny p/b"),
        ("- {name: a, allow: [GET]}", "get", "deny"),
    ],
)
def test_methods(tmp_path: Path, rules: str, method: str, expected: str) -> None:
    assert answer(tmp_path, rules, method=method, route="status") == expected


def test_head_is_seen_as_head_by_conditions(tmp_path: Path) -> None:
    assert answer(tmp_path, "- {name: a, allow: [GET], when: request.method == 'HEAD'}", method="HEAD") == "allow p/a"


def test_errors_are_reported_with_the_decision(tmp_path: Path) -> None:
    rules = "- {name: a, allow: any, when: subject.claims.nope == 1}\n- {name: b, allow: any}\n- {name: c, deny: any, when: subject.claims.nope}"
    decision = decide(policies(tmp_path, policy(rules)))
    assert (decision.rule, decision.errors) == ("p/c", ("p/c",))
    decision = decide(policies(tmp_path, policy(rules)), claims={"nope": False})
    assert (decision.rule, decision.errors) == ("p/b", ())
    decision = decide(policies(tmp_path, policy(rules)), claims={"nope": None})
    assert (decision.allowed, decision.errors) == (False, ("p/c",))


def test_an_absorbed_error_is_no_error(tmp_path: Path) -> None:
    decision = decide(policies(tmp_path, policy("- {name: a, allow: any, when: subject.claims.nope == 1 || true}")))
    assert (decision.rule, decision.errors) == ("p/a", ())


def test_a_decision_names_the_rule_and_its_place(tmp_path: Path) -> None:
    decision = decide(policies(tmp_path, ROLES, policy("- {name: x, deny: [POST]}\n- {name: a, allow: any}")))
    assert (decision.rule, decision.place) == ("p/a", f"{tmp_path}/1.yaml:7")


@pytest.mark.parametrize(
    ("rules", "head", "expected", "shadow"),
    [
        ("- {name: a, allow: any}\n- {name: s, deny: any, mode: shadow}", "", "allow p/a", ("p/s", False)),
        ("- {name: a, allow: any}\n- {name: s, deny: any, mode: shadow, when: 'false'}", "", "allow p/a", None),
        (
            "- {name: a, allow: any}\n- {name: s, deny: any, mode: shadow, when: subject.claims.nope}",
            "",
            "allow p/a",
            ("p/s", False),
        ),
        ("- {name: s, allow: any, mode: shadow}", "", "deny", ("p/s", True)),
        ("- {name: s, allow: any}", "mode: shadow\n", "deny", ("p/s", True)),
        ("- {name: s, allow: any, mode: enforce}", "mode: shadow\n", "deny", ("p/s", True)),
        ("- {name: s, allow: any, permission: 'messages:write', mode: shadow}", "", "deny", None),
        ("- {name: s, allow: any, mode: shadow}\n- {name: t, deny: any, mode: shadow}", "", "deny", ("p/t", False)),
    ],
)
def test_shadow_rules_are_reported_and_never_enforced(
    tmp_path: Path, rules: str, head: str, expected: str, shadow: tuple[str, bool] | None
) -> None:
    decision = decide(policies(tmp_path, ROLES, policy(rules, head=head)))
    assert (f"{decision.effect} {decision.rule}" if decision.rule else decision.effect) == expected
    assert decision.shadow == shadow


def test_an_undecodable_query_is_refused_only_where_an_enforced_rule_reads_it(tmp_path: Path) -> None:
    reads = "request.query.a[0] == 'x'"
    found = policies(tmp_path, policy(f'- {{name: a, allow: any, when: "{reads}"}}'))
    with pytest.raises(BadRequest) as caught:
        decide(found, query=b"a=%zz")
    assert caught.value.reason is Reason.QUERY_INVALID
    assert answer(tmp_path, "- {name: a, allow: any}", query=b"a=%zz") == "allow p/a"
    shadow = f'- {{name: a, allow: any}}\n- {{name: s, deny: any, mode: shadow, when: "{reads}"}}'
    assert answer(tmp_path, shadow, query=b"a=%zz") == "allow p/a"


def test_a_scope_ceiling_is_told_apart_from_other_denials(tmp_path: Path) -> None:
    rules = f"- {{name: a, allow: [GET, POST], permission: 'messages:write', when: {ORG}}}\n- {{name: b, deny: [POST]}}"
    found = policies(tmp_path, ROLES, policy(rules))

    def asked(method: str, scopes: tuple[str, ...], org: str = "org_9") -> Decision:
        identity = an_identity(roles=("member",), scopes=scopes, scope_ceiling=True, claims={"org_id": org})
        return found.route("messages.get").decide(found.grant(identity), an_access(method))

    assert asked("GET", ("messages:write",)).allowed
    assert asked("GET", ("messages:read",)).capped
    assert not asked("GET", ("messages:read",)).allowed
    assert not asked("GET", ("messages:read",), org="org_1").capped
    assert not asked("POST", ("messages:read",)).capped


def test_enforce_makes_a_permit_of_an_allow_only() -> None:
    access, principal = an_access(), Principal(an_identity())
    permit = enforce(principal, access, Decision(True, "p/a"))
    assert isinstance(permit, Permit)
    assert (permit.principal, permit.access) == (principal, access)
    with pytest.raises(Forbidden) as denied:
        enforce(principal, access, Decision(False, "p/b"))
    assert (denied.value.status, denied.value.reason, denied.value.detail) == (403, Reason.POLICY_DENIED, "rule=p/b")
    assert denied.value.headers == ()
    with pytest.raises(Forbidden, match="default deny"):
        enforce(principal, access, Decision(False, None))


def test_a_capped_denial_asks_for_more_scope() -> None:
    with pytest.raises(Forbidden) as denied:
        enforce(Principal(an_identity()), an_access(), Decision(False, None, capped=True))
    assert denied.value.reason is Reason.INSUFFICIENT_SCOPE
    assert dict(denied.value.headers) == {b"www-authenticate": b'Bearer error="insufficient_scope"'}


def test_an_unknown_route_has_no_policy(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        policies(tmp_path, policy("- {name: a, allow: any}")).route("none")


# The index against a reader of the rules who knows no index.

PERMISSIONS = ["a:b", "a:c", "b:b"]
SOURCES = [
    "true",
    "false",
    "subject.claims.x == 1",
    "subject.claims.x || true",
    "subject.claims.y",
    "request.method == 'GET'",
    "subject.claims.x",
]
CONDITIONS = {source: condition(source) for source in SOURCES}


@dataclass(frozen=True)
class Written:
    """A rule before it is indexed."""

    allows: bool
    methods: frozenset[str] | None
    permission: str | None
    source: str | None
    shadow: bool


RULES = st.builds(
    Written,
    st.booleans(),
    st.none() | st.frozensets(st.sampled_from(METHODS), min_size=1, max_size=3),
    st.none() | st.sampled_from(PERMISSIONS),
    st.none() | st.sampled_from(SOURCES),
    st.booleans(),
)


def naive(rules: list[Written], principal: Principal, held: set[str], method: str) -> tuple[bool, bool | None]:
    """(allowed, what shadow rules would do), by reading every rule."""
    answers: dict[tuple[bool, bool], bool] = {}
    for rule in rules:
        named = rule.methods is None or method in rule.methods or (method == "HEAD" and "GET" in rule.methods)
        if not named or (rule.allows and rule.permission is not None and rule.permission not in held):
            continue
        if value(rule, principal, method):
            answers[rule.allows, rule.shadow] = True
    shadow = False if answers.get((False, True)) else True if answers.get((True, True)) else None
    return answers.get((True, False), False) and not answers.get((False, False), False), shadow


def value(rule: Written, principal: Principal, method: str) -> bool:
    if rule.source is None:
        return True
    try:
        return CONDITIONS[rule.source].exact(principal, an_access(method))
    except FAULTS:
        return not rule.allows


def index(rules: list[Written], numbering: Numbering) -> RoutePolicy:
    return RoutePolicy(
        Rule(
            f"p/{number}",
            "p.yaml:1",
            allows=rule.allows,
            methods=rule.methods,
            permission=rule.permission if rule.allows else None,
            need=numbering.bit(rule.permission) if rule.permission is not None and rule.allows else 0,
            condition=CONDITIONS[rule.source] if rule.source is not None else None,
            shadow=rule.shadow,
        )
        for number, rule in enumerate(rules)
    )


@settings(max_examples=400)
@given(
    st.lists(RULES, max_size=3 * CROWDED),
    st.sets(st.sampled_from(PERMISSIONS)),
    st.sampled_from([*METHODS, "PROPFIND"]),
    st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from([1, True, False, "s"])),
)
def test_the_index_decides_as_a_reader_of_all_rules_would(
    rules: list[Written], held: set[str], method: str, claims: dict[str, Any]
) -> None:
    numbering = Numbering(PERMISSIONS)
    grant = Granter({}, Bindings(), numbering, lambda: 0.0)
    principal = grant(an_identity(claims=claims, permissions=tuple(held)))
    indexed = index(rules, numbering)
    decision = indexed.decide(principal, an_access(method))
    again = indexed.decide(principal, an_access(method))
    assert (again.allowed, again.rule, again.shadow) == (decision.allowed, decision.rule, decision.shadow)
    allowed, shadow = naive(rules, principal, held, method)
    assert decision.allowed is allowed
    assert (decision.shadow[1] if decision.shadow else None) is shadow
    if decision.allowed:
        assert decision.rule is not None
    assert (decision.place is None) is (decision.rule is None)


def test_a_crowded_cell_answers_each_of_many_principals_by_its_own_permissions() -> None:
    """What it remembers of one must never serve another, and is bounded."""
    names = [f"area{number}:use" for number in range(2 * MASKS)]
    numbering = Numbering(names)
    indexed = index([Written(True, None, name, None, False) for name in names], numbering)
    grant = Granter({}, Bindings(), numbering, lambda: 0.0)
    for _ in range(2):
        for number, name in enumerate(names):
            principal = grant(an_identity(permissions=(name,)))
            assert indexed.decide(principal, an_access()).rule == f"p/{number}"
    assert indexed.decide(grant(an_identity(permissions=())), an_access()).allowed is False
    remembered = indexed.cell("GET").crowded
    assert remembered is not None
    assert 0 < len(remembered) <= MASKS


def test_equal_conditions_are_compiled_once(tmp_path: Path) -> None:
    found = policies(tmp_path, policy("- {name: a, allow: any, when: 'true'}\n- {name: b, allow: any, when: 'true'}"))
    first, second = (rule.condition for rule in found.rules)
    assert isinstance(first, Condition)
    assert first is second


def test_routes_with_the_same_rules_share_their_index(tmp_path: Path) -> None:
    routes = [RouteFact(f"r{number}", None, "u", ()) for number in range(50)]
    found = policies(tmp_path, policy("- {name: a, allow: any}"), routes=[*routes, STATUS])
    assert len({id(found.route(fact.name)) for fact in routes}) == 1
    assert json.dumps(sorted(found.facts)) == json.dumps(sorted(fact.name for fact in [*routes, STATUS]))
