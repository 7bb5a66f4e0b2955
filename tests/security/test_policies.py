"""Attacks on authorisation: each test is named after the advisory whose hole it would have been."""

from pathlib import Path
from typing import Any

import pytest

from gateway.authz.model import Rule
from gateway.authz.policy import Policies, RouteFact, enforce
from gateway.core.decision import Decision
from gateway.core.errors import Forbidden
from gateway.core.reason import Reason
from tests.asking import MESSAGES, STATUS, a_subject, an_access, an_identity, compiled, condition, policies, policy, roles, said
from tests.conftest import ROOT

ROLES = roles("roles: {member: ['messages:read'], admin: ['*:*']}\nbindings: [{from_claim: roles, issuer: corp, only: [member]}]")


def decide(found: Policies, *, method: str = "GET", identity: dict[str, Any] | None = None, **facts: Any) -> Decision:
    access = an_access(method, **facts)
    return found.route(access.route).decide(found.grant(an_identity(**(identity or {}))), access)


def test_cve_2025_54576_the_query_is_no_part_of_the_path(tmp_path: Path) -> None:
    """Row 9: a path rule must not be satisfied by text in the query."""
    rule = "- {name: a, allow: any, when: \"resource.path.contains('/public/')\"}"
    found = policies(tmp_path, policy(rule))
    assert decide(found, path="/x/public/health").allowed
    assert not decide(found, path="/admin", query=b"x=/public/health").allowed


def test_ghsa_vw82_7fv8_r6gp_every_route_without_a_policy_is_found(tmp_path: Path) -> None:
    """Row 21: a second route to the same thing is forgotten by the policies; it is denied, and check says so."""
    routes = [RouteFact("mcp.connect", None, "u", ()), RouteFact("mcp.connect-composite", None, "u", ())]
    found, problems = compiled(tmp_path, policy("- {name: a, allow: any}", routes="[mcp.connect]"), routes=routes)
    assert found is not None
    assert [message for message in said(problems, "warning") if "mcp.connect-composite" in message] == [
        "0:0: route 'mcp.connect-composite' has no rule: every request is denied"
    ]
    assert not decide(found, route="mcp.connect-composite").allowed


@pytest.mark.parametrize(
    "text", ["`) || HostRegexp(`.*", "'); allow('", '") || true || ("', "{{ .Env }}", "${HOME}", "') || true || ('", "%s%n"]
)
def test_cve_2026_29777_values_are_data(tmp_path: Path, text: str) -> None:
    """Row 23: quotes, backticks and templates in values never become part of a rule."""
    found = policies(tmp_path, policy("- {name: a, allow: any, when: subject.claims.org == resource.params.org_id}"))
    assert not decide(found, identity={"claims": {"org": text}}).allowed
    assert decide(found, identity={"claims": {"org": text}}, params={"org_id": text}).allowed


def test_cve_2026_29777_a_route_glob_is_no_regular_expression(tmp_path: Path) -> None:
    """Row 23: what would be a pattern in another language is a name here, and an unknown one."""
    found, problems = compiled(
        tmp_path, policy("- {name: a, allow: any}", routes="['messages.get|status', '[a-z]+*']"), routes=[MESSAGES, STATUS]
    )
    assert found is None
    assert len(said(problems)) == 2


@pytest.mark.parametrize("values", [(b"user", b"admin"), (b"admin", b"user"), (b"user", b"user"), (b"user,admin", b"x")])
@pytest.mark.parametrize("row", ["cve_2026_26308", "cve_2021_32777"])
def test_cve_2026_26308_cve_2021_32777_duplicated_headers_never_help(tmp_path: Path, values: tuple[bytes, ...], row: str) -> None:
    """Rows 52 and 53: neither the first, nor the last, nor a joined value of a repeated header decides anything."""
    headers = [(b"x-role", value) for value in values]
    source = "request.headers['x-role'] == 'admin'" if row == "cve_2026_26308" else "!(request.headers['x-role'] != 'user')"
    allowing = policies(tmp_path, policy(f'- {{name: a, allow: any, when: "{source}"}}'))
    assert not decide(allowing, headers=headers).allowed
    denying = policies(tmp_path, policy(f'- {{name: a, allow: any}}\n- {{name: d, deny: any, when: "{source}"}}'))
    decision = decide(denying, headers=headers)
    assert (decision.allowed, decision.rule, decision.errors) == (False, "p/d", ("p/d",))
    absent = policies(tmp_path, policy("- {name: a, allow: any, unless: \"'x-role' in request.headers\"}"))
    assert not decide(absent, headers=headers).allowed
    assert decide(absent).allowed


NEGATIVE: dict[str, tuple[str, dict[str, Any]]] = {
    "allow": ("- {name: a, allow: [POST]}", {}),
    "permission": ("- {name: a, allow: any, permission: 'messages:read'}", {}),
    "when": ("- {name: a, allow: any, when: \"'staff' in subject.groups\"}", {"groups": ("guests",)}),
    "when list": ("- {name: a, allow: any, when: ['true', \"'staff' in subject.groups\"]}", {}),
    "unless": ("- {name: a, allow: any, unless: \"'guests' in subject.groups\"}", {"groups": ("guests",)}),
    "routes": ("", {}),
    "deny": ("- {name: a, allow: any}\n- {name: d, deny: any}", {}),
    "deny when": ("- {name: a, allow: any}\n- {name: d, deny: any, when: \"'guests' in subject.groups\"}", {"groups": ("guests",)}),
    "deny unless": (
        "- {name: a, allow: any}\n- {name: d, deny: any, unless: \"'staff' in subject.groups\"}",
        {"groups": ("guests",)},
    ),
    "expires_at": ("- {name: a, allow: any, expires_at: 2026-01-01T00:00:00Z}", {}),
    "mode": ("- {name: a, allow: any, mode: shadow}", {}),
    "only": ("- {name: a, allow: any, permission: 'users:delete'}", {"claims": {"roles": ["admin", "member"]}}),
    "issuer": ("- {name: a, allow: any, permission: 'messages:read'}", {"issuer": "partner", "claims": {"roles": ["member"]}}),
    "scope_ceiling": (
        "- {name: a, allow: any, permission: 'messages:read'}",
        {"claims": {"roles": ["member"]}, "scope_ceiling": True, "scopes": ("messages:write",)},
    ),
    "direct permissions": (
        "- {name: a, allow: any, permission: 'messages:read'}",
        {"roles": ("admin",), "permissions": ("files:read",)},
    ),
    "anonymous": ("- {name: a, allow: any, permission: 'messages:read'}", {"scheme": "anonymous", "roles": ("admin",)}),
}


@pytest.mark.parametrize("option", NEGATIVE)
def test_cve_2021_21411_every_option_can_refuse(tmp_path: Path, option: str) -> None:
    """Row 87: a check that silently stopped working is caught, because each has a request that only it refuses."""
    rules, identity = NEGATIVE[option]
    text = policy(rules) if rules else policy("- {name: a, allow: any}", routes="[status]")
    decision = decide(policies(tmp_path, ROLES, text), identity=identity)
    assert not decision.allowed
    with pytest.raises(Forbidden) as refused:
        enforce(a_subject(), an_access(), decision)
    assert refused.value.reason is (Reason.INSUFFICIENT_SCOPE if option == "scope_ceiling" else Reason.POLICY_DENIED)


def test_cve_2021_21411_no_option_of_a_rule_is_left_out() -> None:
    """`name` and `reason` decide nothing, `then` demands of what was allowed (test_obligations_kept), `tools` has no meaning yet."""
    assert Rule.model_fields.keys() - {"name", "reason", "then", "tools"} <= NEGATIVE.keys()


OF_DOMAIN = "size(subject.claims.email.split('@')) == 2 && subject.claims.email.lowerAscii().endsWith('@corp.com')"


@pytest.mark.parametrize(
    "address",
    [
        "evil@x.com@corp.com", '"evil@x"@corp.com', "evil@corp.com.", "evil@corp\u3002com", "evil@corp\uff0ecom", "corp.com", "evil",
        "evil@notcorp.com", "evil@corp.com@", "evil@corp.com ", "evil@corp.com\n", "evil@corp.com\0", "evil@x.corp.com", "", "@@corp.com",
        "evil\uff20corp.com",
    ],
)  # fmt: skip
def test_cve_2026_40574_addresses_of_a_domain(tmp_path: Path, address: str) -> None:
    """Row 84, as the page on policies says it: one `@`, and the whole of what follows."""
    assert OF_DOMAIN in (ROOT / "docs" / "how-to" / "policies.md").read_text(encoding="utf-8")
    found = policies(tmp_path, policy(f'- {{name: a, allow: any, when: "{OF_DOMAIN}"}}'))
    assert decide(found, identity={"claims": {"email": "good@Corp.com"}}).allowed
    assert not decide(found, identity={"claims": {"email": address}}).allowed
    assert not decide(found).allowed


@pytest.mark.parametrize(
    "source",
    [
        "subject.claims.banned",
        "subject.claims.banned == true",
        "subject.claims.profile.banned",
        "subject.claims.level > 'a'",
        "'x' in subject.claims.level",
        "cidr('10.0.0.0/8').containsIP(subject.claims.level)",
        "request.headers['x-missing'] == 'a'",
        "resource.params.org_id.startsWith(subject.claims.level)",
    ],
)
def test_agentgateway_a_deny_that_cannot_be_evaluated_denies(tmp_path: Path, source: str) -> None:
    """Row 136: an error in a deny rule is not a way past it."""
    found = policies(tmp_path, policy(f'- {{name: a, allow: any}}\n- {{name: d, deny: any, when: "{source}"}}'))
    decision = decide(found, identity={"claims": {"level": 7}})
    assert (decision.allowed, decision.rule) == (False, "p/d")


def test_a_nul_byte_in_a_claim_is_not_the_end_of_it(tmp_path: Path) -> None:
    """A native engine took `admin\\0x` for `admin` (policy-language 1.3)."""
    found = policies(
        tmp_path, policy("- {name: a, allow: any, when: subject.claims.role == 'admin' || 'admin' in subject.claims.roles}")
    )
    assert not decide(found, identity={"claims": {"role": "admin\0x", "roles": ["admin\0x", "\0admin"]}}).allowed
    assert not decide(found, identity={"claims": {"role\0x": "admin", "roles": []}}).allowed


@pytest.mark.parametrize(("value", "allowed"), [(True, False), (1, True), (1.0, True), ("1", False), ([1], False), (None, False)])
def test_truth_is_no_number(value: Any, allowed: bool) -> None:
    """In Python `True == 1`; a claim `level: true` must not pass as level 1."""
    assert condition("subject.claims.level == 1").test(a_subject(claims={"level": value}), an_access()) is allowed


def test_a_string_is_no_list_of_its_letters(tmp_path: Path) -> None:
    """In Python `'adm' in 'admin'`; a claim that is a string must not be searched as a list."""
    found = policies(tmp_path, policy("- {name: a, allow: any, when: \"'adm' in subject.claims.roles\"}"))
    decision = decide(found, identity={"claims": {"roles": "admin"}})
    assert (decision.allowed, decision.errors) == (False, ("p/a",))


def test_a_glob_of_many_stars_holds_up_nobody(tmp_path: Path) -> None:
    """Whoever edits one policy file must not stop the gateway: a pattern that is tried in every way takes years, and all threads."""
    name = "a" * 63
    routes = [RouteFact(name, None, "u", ())]
    refused, problems = compiled(tmp_path, policy("- {name: a, allow: any}", routes=f"['{'*a' * 30}*b']"), routes=routes)
    assert refused is None
    assert any("no route matches" in message for message in said(problems))
    found, _ = compiled(tmp_path, policy("- {name: a, allow: any}", routes=f"['{'*' * 60}{'*a' * 30}']"), routes=routes)
    assert found is not None
    assert decide(found, route=name).allowed
