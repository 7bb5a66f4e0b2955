"""What may be expected of a policy before there is a request: never more than what `decide` then says, never less."""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.authz.cel.limits import MAX_SPENT
from gateway.authz.policy import Policies, enforce
from gateway.authz.prospect import Prospect, Prospects
from gateway.authz.residual import Residuals
from gateway.core.errors import GatewayError
from gateway.core.principal import Principal
from tests.asking import an_access, an_identity, policies, policy, roles

CONDITIONS = [
    "",
    "subject.id == 'alice'",
    "subject.claims.org == 'acme'",
    "subject.claims.org == resource.params.org_id",
    "request.client_ip == '192.0.2.1'",
    "request.client_ip != '192.0.2.1'",
    "'x-team' in request.headers && request.headers['x-team'] == 'red'",
    "request.method == 'GET'",
    "'staff' in subject.groups || request.client_ip == '192.0.2.1'",
    "subject.claims.missing == 1",
    "resource.route == 'status'",
]
WORLDS = [
    an_access(method, route="messages.get", client=client, params={"org_id": org}, headers=headers)
    for method in ("GET", "POST")
    for client, org in product(("192.0.2.1", "198.51.100.7"), ("acme", "globex"))
    for headers in ([], [(b"x-team", b"red")], [(b"x-team", b"red"), (b"x-team", b"blue")])
]
BINDINGS = roles(
    "roles: {reader: ['messages:read'], writer: {extends: [reader], permissions: ['messages:write']}}\n"
    "bindings: [{role: reader, subjects: ['corp:alice']}, {role: writer, groups: ['corp:staff']}]",
)
PEOPLE = [
    an_identity("alice", claims={"org": "acme"}),
    an_identity("bob", claims={"org": "globex"}, groups=("staff",)),
    an_identity("carol", issuer="partner", groups=("staff",), claims={}),
    an_identity("dora", groups=("staff",), scopes=("messages:read",), scope_ceiling=True, claims={"org": "acme"}),
]
NEAR = "when: \"request.client_ip == '192.0.2.1'\""
FAR = "when: \"request.client_ip != '192.0.2.1'\""
WRITTEN = st.tuples(
    st.booleans(),
    st.sampled_from(["any", "[GET]", "[POST]"]),
    st.sampled_from(["", "messages:read", "messages:write"]),
    st.sampled_from(CONDITIONS),
    st.sampled_from(["when", "unless"]),
)


def found(policies: Policies, principal: Principal, method: str = "GET", *, purse: int = MAX_SPENT) -> Prospect:
    return Prospects(principal, Residuals([purse])).of(policies.route("messages.get"), an_access(method, params={}, path="/"))


def rules(written: list[tuple[bool, str, str, str, str]]) -> str:
    lines = []
    for number, (allows, methods, permission, condition, word) in enumerate(written):
        lines += [f"- name: r{number}", f"  {'allow' if allows else 'deny'}: {methods}"]
        lines += [f"  permission: {permission}"] if permission and allows else []
        lines += [f'  {word}: "{condition}"'] if condition else []
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prospects")


@settings(max_examples=150)
@given(st.lists(WRITTEN, min_size=1, max_size=5))
def test_what_is_expected_is_what_every_request_meets(shelf: Path, written: list[tuple[bool, str, str, str, str]]) -> None:
    made = policies(shelf, policy(rules(written)), BINDINGS)
    for identity in PEOPLE:
        principal = made.grant(identity)
        expected = Prospects(principal, Residuals([MAX_SPENT]))
        for method in ("GET", "POST"):
            prospect = expected.of(made.route("messages.get"), an_access(method, params={}, path="/"))
            asked = [world for world in WORLDS if world.request.method == method]
            answers = {made.route("messages.get").decide(principal, world).allowed for world in asked}
            assert prospect is Prospect.CONDITIONAL or answers == {prospect is Prospect.ALLOWED}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- {name: a, allow: any}", Prospect.ALLOWED),
        ("- {name: a, allow: [POST]}", Prospect.DENIED),
        ("- {name: a, allow: any, when: \"request.client_ip == '192.0.2.1'\"}", Prospect.CONDITIONAL),
        ("- {name: a, allow: any, permission: 'messages:write'}", Prospect.DENIED),
        ("- {name: a, allow: any}\n- {name: b, deny: any, reason: no}", Prospect.DENIED),
        ("- {name: a, allow: any}\n- {name: b, deny: any, when: subject.claims.missing == 1}", Prospect.DENIED),
        (f"- {{name: a, allow: any, {NEAR}}}\n- {{name: b, deny: any, {NEAR}}}", Prospect.DENIED),
        (f"- {{name: a, allow: any, {NEAR}}}\n- {{name: b, allow: any, {FAR}}}", Prospect.CONDITIONAL),
        ("- {name: a, allow: any, mode: shadow}", Prospect.DENIED),
        ("- {name: a, allow: any, then: {step_up: {acr: [gold]}}}", Prospect.CONDITIONAL),
        ("- {name: a, allow: any, then: {set_header: {X-Team: red}}}", Prospect.ALLOWED),
        ("- {name: a, allow: any, then: {set_header: {X-Org: {cel: resource.params.org_id}}}}", Prospect.CONDITIONAL),
    ],
)
def test_an_answer_is_certain_only_where_no_request_could_change_it(tmp_path: Path, text: str, expected: Prospect) -> None:
    made = policies(tmp_path, policy(text), BINDINGS)
    assert found(made, made.grant(PEOPLE[0])) is expected


def test_what_costs_too_much_to_find_out_counts_as_denied_and_is_told(tmp_path: Path) -> None:
    text = policy("- {name: a, allow: any, when: \"subject.groups.exists(g, g.startsWith('x'))\"}")
    made = policies(tmp_path, text)
    principal = made.grant(an_identity(groups=(*(f"g{number}" for number in range(900)), "x")))
    expected = Prospects(principal, Residuals([10]))
    assert expected.of(made.route("messages.get"), an_access()) is Prospect.DENIED
    assert expected.costly is True
    assert found(made, principal) is Prospect.ALLOWED


def test_more_unknown_parts_than_worlds_are_gone_through_is_conditional(tmp_path: Path) -> None:
    parts = " || ".join(f"request.client_ip == '192.0.2.{number}'" for number in range(1, 9))
    made = policies(tmp_path, policy(f'- {{name: a, allow: any, when: "{parts}"}}'))
    assert found(made, made.grant(PEOPLE[0])) is Prospect.CONDITIONAL


def test_a_stronger_login_makes_a_condition_a_promise(tmp_path: Path) -> None:
    made = policies(tmp_path, policy("- {name: a, allow: any, then: {step_up: {acr: [gold]}}}"))
    principal = made.grant(an_identity(claims={"acr": "gold"}))
    assert found(made, principal) is Prospect.ALLOWED
    decision = made.route("messages.get").decide(principal, an_access())
    assert enforce(principal, an_access(), decision).principal is principal
    weak = made.grant(PEOPLE[0])
    allowed = made.route("messages.get").decide(weak, an_access())
    with pytest.raises(GatewayError):
        enforce(weak, an_access(), allowed)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("subject.claims.org == resource.params.org_id", Prospect.DENIED),
        ("resource.params.org_id in subject.claims.orgs", Prospect.DENIED),
        ("resource.params.org_id.startsWith(subject.claims.org)", Prospect.DENIED),
        ("subject.claims.org == resource.params.org_id || request.client_ip == '192.0.2.1'", Prospect.CONDITIONAL),
        ("has(subject.claims.org) && subject.claims.org == resource.params.org_id", Prospect.DENIED),
        ("request.client_ip == 'x' ? true : subject.claims.org == 'acme'", Prospect.CONDITIONAL),
    ],
)
def test_what_a_principal_lacks_no_request_makes_up_for(tmp_path: Path, condition: str, expected: Prospect) -> None:
    made = policies(tmp_path, policy(f'- {{name: a, allow: any, when: "{condition}"}}', routes="[messages.get]"))
    assert found(made, made.grant(an_identity(claims={}))) is expected
