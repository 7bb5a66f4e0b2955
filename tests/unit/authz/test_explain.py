"""The trace of a decision."""

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

from gateway.authz import trace
from gateway.authz.explain import Explanation, explain
from tests.asking import a_subject, an_access, an_identity, policies, policy, roles

ROLES = roles("roles: {member: ['messages:*']}")
RULES = policy(
    """
    - name: read-own-org
      allow: [GET, HEAD]
      permission: messages:read
      when: subject.claims.org_id == resource.params.org_id
    - name: blocked-network
      deny: any
      when: cidr('203.0.113.0/24').containsIP(request.client_ip)
      reason: This network is blocked.
    """,
    name="messages",
)


def explained(folder: Path, *texts: str, identity: dict[str, Any] | None = None, **facts: Any) -> Explanation:
    found = policies(folder, *(texts or (ROLES, RULES)))
    principal = found.grant(an_identity(**(identity or {"id": "mallory", "claims": {"org_id": "org_1"}, "roles": ("member",)})))
    access = an_access(path="/v1/orgs/org_9/messages/17", **facts)
    return explain(found, principal, access)


def lines(folder: Path, explanation: Explanation) -> str:
    return trace.text(explanation).replace(f"{folder}/", "").replace(explanation.revision, "REV")


def test_a_default_deny_shows_what_was_compared(tmp_path: Path) -> None:
    expected = """\
        DENY  GET /v1/orgs/org_9/messages/17   subject=mallory   issuer=corp   route messages.get   policy rev REV
          default deny: no rule allowed it (2 looked at)
          ✓ messages/blocked-network (deny)   1.yaml:10   not matched
              cidr('203.0.113.0/24').containsIP(request.client_ip)      false
                request.client_ip = '192.0.2.1'
          ✗ messages/read-own-org   1.yaml:6   permission messages:read: yes   not matched
              subject.claims.org_id == resource.params.org_id           false
                subject.claims.org_id = 'org_1'   resource.params.org_id = 'org_9'"""
    assert lines(tmp_path, explained(tmp_path)) == dedent(expected)


def test_an_allow_names_its_rule(tmp_path: Path) -> None:
    text = lines(tmp_path, explained(tmp_path, identity={"claims": {"org_id": "org_9"}, "roles": ("member",)}))
    assert text.startswith("ALLOW  GET /v1/orgs/org_9/messages/17   subject=alice")
    assert "  allowed by messages/read-own-org   1.yaml:6\n" in text
    assert "  ✓ messages/read-own-org   1.yaml:6   permission messages:read: yes   matched\n" in text


def test_a_deny_names_its_rule_and_its_reason(tmp_path: Path) -> None:
    text = lines(tmp_path, explained(tmp_path, client="203.0.113.9"))
    assert "  denied by messages/blocked-network   1.yaml:10   This network is blocked.\n" in text
    assert "  ✗ messages/blocked-network (deny)   1.yaml:10   matched\n" in text


def test_a_missing_claim_is_called_missing(tmp_path: Path) -> None:
    text = lines(tmp_path, explained(tmp_path, identity={"roles": ("member",)}))
    assert "not matched, a condition has no value" in text
    assert "subject.claims.org_id == resource.params.org_id           error: no such key\n" in text
    assert "subject.claims.org_id is missing   resource.params.org_id = 'org_9'" in text


def test_a_missing_permission_is_called_so(tmp_path: Path) -> None:
    assert "permission messages:read: no" in trace.text(explained(tmp_path, identity={"roles": ()}))


def test_a_scope_ceiling_is_named(tmp_path: Path) -> None:
    identity = {"claims": {"org_id": "org_9"}, "roles": ("member",), "scopes": ("openid",), "scope_ceiling": True}
    text = trace.text(explained(tmp_path, identity=identity))
    assert "default deny: the roles would allow it, the scopes of the token do not" in text


def test_every_item_of_a_when_and_the_unless_are_lines(tmp_path: Path) -> None:
    rules = """
    - name: a
      allow: any
      when:
        - has(subject.claims.a) && subject.claims.list[1] == 2
        - |
          subject.claims['x-y'] == null
            || request.method in ['GET']
      unless: subject.claims.big == 'x'
    """
    claims = {"list": [1, 2], "x-y": None, "big": "b" * 500}
    text = lines(tmp_path, explained(tmp_path, policy(rules), identity={"claims": claims}))
    assert "has(subject.claims.a) && subject.claims.list[1] == 2      false\n" in text
    assert "        has(subject.claims.a)                                   false\n          subject.claims.a is missing\n" in text
    assert "subject.claims.list[1]" not in text.split("big")[0].split("false\n", 1)[1]
    assert "subject.claims['x-y'] == null || request.method in ['GET']  true\n" in text
    assert "subject.claims['x-y'] = null\n" in text
    assert "request.method = 'GET'\n" in text
    assert "unless subject.claims.big == 'x'" in text
    assert max(map(len, text.splitlines())) < 200


def test_values_are_shown_as_they_would_be_written(tmp_path: Path) -> None:
    rules = """
    - name: a
      allow: any
      when: >-
        subject.claims.yes && subject.claims.no != true && 'a' in subject.roles && env.now > timestamp(0)
        && [1, 2][subject.claims.n] == 1
    """
    text = trace.text(explained(tmp_path, policy(rules), identity={"claims": {"yes": True, "no": False, "n": 0}}))
    assert "          subject.roles = []" in text
    assert "subject.claims.yes" not in text.split("false\n", 1)[1]
    claims = {"yes": True, "no": False, "n": 0}
    rules = rules.replace("'a' in subject.roles", "!('a' in subject.roles)")
    text = trace.text(explained(tmp_path, policy(rules), identity={"claims": claims}))
    for shown in (
        "subject.claims.yes = true",
        "subject.claims.no = false",
        "env.now = 2026-05-28T20:26:40Z",
        "subject.claims.n = 0",
    ):
        assert f"          {shown}" in text


def test_shadow_rules_are_marked(tmp_path: Path) -> None:
    text = lines(tmp_path, explained(tmp_path, policy("- {name: a, allow: any}\n- {name: s, deny: any, mode: shadow}")))
    assert text.startswith("ALLOW")
    assert "✗ p/s (deny) (shadow)   0.yaml:7   matched\n" in text
    assert text.endswith("shadow: p/s would deny it")


def test_nothing_in_a_trace_can_redraw_a_terminal(tmp_path: Path) -> None:
    claims = {"org_id": "\x1b[2J\r\n\u202eevil"}
    text = trace.text(explained(tmp_path, identity={"id": "a\x1b[31m\nb", "claims": claims, "roles": ("member",)}))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_the_same_question_has_the_same_trace(tmp_path: Path) -> None:
    assert trace.text(explained(tmp_path)) == trace.text(explained(tmp_path))
    assert trace.data(explained(tmp_path)) == trace.data(explained(tmp_path))


def test_the_trace_is_data_too(tmp_path: Path) -> None:
    data = json.loads(json.dumps(trace.data(explained(tmp_path))))
    assert (data["decision"], data["rule"], data["subject"], data["route"]) == ("deny", None, "mallory", "messages.get")
    assert [rule["rule"] for rule in data["rules"]] == ["messages/blocked-network", "messages/read-own-org"]
    assert data["rules"][1]["conditions"] == [
        {
            "source": "subject.claims.org_id == resource.params.org_id",
            "unless": False,
            "result": False,
            "values": [
                {"name": "subject.claims.org_id", "value": "'org_1'"},
                {"name": "resource.params.org_id", "value": "'org_9'"},
            ],
            "deciding": [],
        }
    ]


def test_a_macro_is_one_part_with_what_stands_outside_its_items(tmp_path: Path) -> None:
    when = "subject.claims.teams.exists(t, has(t.x) && t.name == subject.id) && -subject.claims.n + 1 == 2"
    found = policies(tmp_path, policy(f"- {{name: a, allow: any, when: {json.dumps(when)}}}"))
    told = trace.text(explain(found, a_subject(claims={"teams": [{"name": "alice"}]}), an_access()))
    assert "subject.claims.teams = [{'name': 'alice'}]   subject.id = 'alice'" in told
    assert "t.x" not in told.replace("has(t.x)", "")
