"""Policy tests: what passes, what fails and why, and which rules were exercised."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.authz import trace
from gateway.authz.cases import Report, run
from gateway.authz.compile import compile_policies
from gateway.core.errors import BadRequest
from gateway.core.reason import Reason
from tests.asking import ISSUERS, MESSAGES, NOW, STATUS, documents, policy, roles

ROLES = roles("roles: {member: ['messages:*']}\nbindings: [{role: member, subjects: ['mtls:ci']}]")
RULES = policy(
    """
    - {name: read, allow: [GET], permission: 'messages:read', when: subject.claims.org_id == resource.params.org_id}
    - {name: machines, allow: [GET], when: subject.scheme == 'mtls'}
    - {name: blocked, deny: any, when: "cidr('203.0.113.0/24').containsIP(request.client_ip)"}
    - {name: night, deny: any, when: "env.now < timestamp('2025-01-01T00:00:00Z')"}
    - {name: header, deny: any, when: "has(request.headers['x-debug']) || 'trace' in request.query"}
    - {name: open, allow: [DELETE]}
    """
)
SUBJECTS = """
subjects:
  alice: {roles: [member], claims: {org_id: org_9}}
  mallory: {roles: [member], claims: {org_id: org_1}}
  ci: {issuer: mtls, scheme: mtls}
"""


def match(method: str, path: str, host: str) -> tuple[str, Mapping[str, str]] | None:
    if "%" in path:
        raise BadRequest("refused", reason=Reason.PATH_REFUSED)
    parts = path.split("/")
    assert (method.isupper(), host) == (True, "gateway.test")
    return ("messages.get", {"org_id": parts[2]}) if parts[1] == "orgs" else None


def report(folder: Path, cases: str) -> Report:
    folder.joinpath("0.yaml").write_text(ROLES)
    folder.joinpath("1.yaml").write_text(RULES)
    folder.joinpath("p_test.yaml").write_text(f"apiVersion: gateway/v1\nkind: PolicyTest\nname: t{SUBJECTS}cases:\n{cases}\n")
    found = documents(folder)
    policies, problems = compile_policies(found, routes=[MESSAGES, STATUS], issuers=ISSUERS, now=lambda: 0.0)
    assert policies is not None, problems
    return run(found, policies, match)


def failures(folder: Path, case: str) -> dict[str, str]:
    return {result.subject: result.message for result in report(folder, f"  - {case}").results if not result.passed}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("{request: GET /orgs/org_9/messages, expect: {alice: allow, ci: allow}}", {}),
        ("{request: GET /orgs/org_9/messages, expect: {alice: allow}}", {"ci": "expected deny, got allow by p/machines"}),
        (
            "{request: GET /orgs/org_1/messages, expect: {alice: allow, mallory: allow, ci: allow}}",
            {"alice": "expected allow, got deny"},
        ),
        ("{request: POST /orgs/org_9/messages}", {}),
        ("{request: GET /orgs/org_9/messages, from: 203.0.113.9}", {}),
        ("{request: GET /orgs/org_9/messages, from: '::ffff:203.0.113.9', expect: {alice: deny}, rule: p/blocked}", {}),
        ("{request: GET /orgs/org_9/messages, now: '2024-06-01T00:00:00Z', expect: {ci: deny}, rule: p/night}", {}),
        ("{request: 'GET /orgs/org_9/messages?trace=1', expect: {ci: deny}, rule: p/header}", {}),
        ("{request: GET /orgs/org_9/messages, headers: {X-Debug: '1'}, expect: {ci: deny}, rule: p/header}", {}),
        ("{request: GET /orgs/org_9/messages, headers: {x-debug: ['1', '2']}, expect: {ci: deny}, rule: p/header}", {}),
        (
            "{request: GET /orgs/org_9/messages, expect: {alice: allow, mallory: deny, ci: allow}, rule: p/read}",
            {"ci": "expected rule p/read, got p/machines"},
        ),
        ("{request: GET /orgs/org_9/messages, expect: {alice: allow, ci: allow}, rule: p/blocked}", {}),
        (
            "{request: POST /orgs/org_9/messages, expect: {alice: deny}, rule: p/blocked}",
            {"alice": "expected rule p/blocked, got default deny"},
        ),
        ("{request: GET /nowhere}", dict.fromkeys(("alice", "mallory", "ci"), "no route claims this request")),
        ("{request: GET /orgs/%2e%2e}", {}),
        ("{request: GET /orgs/%2e%2e, expect: {alice: allow}}", {"alice": "refused before any rule: path-refused"}),
        ("{request: 'GET /orgs/org_9/messages?a=%zz', expect: {ci: deny}}", {}),
    ],
)
def test_a_case_fails_for_a_reason(tmp_path: Path, case: str, expected: dict[str, str]) -> None:
    assert failures(tmp_path, case) == expected


def test_results_say_where_and_what(tmp_path: Path) -> None:
    found = report(
        tmp_path, "  - {request: GET /orgs/org_9/messages, expect: {alice: allow}}\n  - {name: second, request: DELETE /orgs/a}"
    )
    assert (found.passed, found.failed) == (2, 4)
    first = found.results[0]
    assert (first.test, first.case, first.place, first.subject) == (
        "t",
        "GET /orgs/org_9/messages",
        f"{tmp_path}/p_test.yaml:9",
        "alice",
    )
    assert (first.expected, first.actual, first.rule, first.passed) == ("allow", "allow", "p/read", True)
    assert found.results[3].case == "second"
    assert first.explanation is not None
    assert trace.text(first.explanation).startswith("ALLOW")


def test_coverage_wants_both_outcomes_of_every_rule(tmp_path: Path) -> None:
    found = report(
        tmp_path, "  - {request: GET /orgs/org_9/messages, expect: {alice: allow, ci: allow}}\n  - {request: DELETE /orgs/a}"
    )
    covered = {coverage.rule: coverage for coverage in found.coverage}
    assert covered["p/read"].complete
    assert covered["p/machines"].complete
    assert not covered["p/blocked"].matched
    assert not covered["p/blocked"].complete
    assert covered["p/open"].complete
    assert not covered["p/open"].can_miss


BODIES = """
apiVersion: gateway/v1
kind: Policy
name: q
routes: [status]
rules:
  - {name: note, allow: [POST], when: request.body.kind == 'note'}
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("body: {kind: note}, ", "allow"),
        ("body: {kind: order}, ", "deny"),
        ("body: null, ", "deny"),
        ("body: [], ", "deny"),
        ("", "deny"),
    ],
)
def test_a_case_has_the_body_it_states_or_none(tmp_path: Path, body: str, expected: str) -> None:
    tmp_path.joinpath("0.yaml").write_text(BODIES)
    case = f"{{request: POST /status, {body}expect: {{alice: {expected}}}}}"
    head = "apiVersion: gateway/v1\nkind: PolicyTest\nname: t\nsubjects: {alice: {}}\ncases:\n"
    tmp_path.joinpath("p_test.yaml").write_text(f"{head}  - {case}\n")
    found = documents(tmp_path)
    policies, problems = compile_policies(found, routes=[STATUS], issuers=ISSUERS, now=lambda: 0.0)
    assert policies is not None, problems
    assert [result.message for result in run(found, policies, lambda *_: ("status", {})).results] == [""]


def failing(folder: Path, rule: str, case: str) -> dict[str, str]:
    """The failures of one case where there is one rule more."""
    folder.joinpath("0.yaml").write_text(ROLES)
    folder.joinpath("1.yaml").write_text(f"{RULES}- {rule}\n")
    folder.joinpath("p_test.yaml").write_text(f"apiVersion: gateway/v1\nkind: PolicyTest\nname: t{SUBJECTS}cases:\n  - {case}\n")
    found = documents(folder)
    route = replace(MESSAGES, methods=("GET", "PUT"))
    policies, problems = compile_policies(found, routes=[route, STATUS], issuers=ISSUERS, now=lambda: NOW)
    assert policies is not None, [str(problem) for problem in problems]
    return {result.subject: result.message for result in run(found, policies, match).results if not result.passed}


def demanding(folder: Path, then: str, case: str) -> dict[str, str]:
    return failing(folder, f"{{name: n, allow: [PUT], then: {then}}}", case)


PUT = "request: PUT /orgs/org_9/messages, expect: {alice: allow, mallory: allow, ci: allow}"


@pytest.mark.parametrize(
    ("then", "expected", "message"),
    [
        ("{rate_limit: 60/minute}", "{rate_limit: 60/60s}", ""),
        ("{rate_limit: 60/minute}", "{rate_limit: 20/minute}", "expected `then.rate_limit` to be 20/1m, got 60/1m"),
        ("{max_body: 1KiB}", "{max_body: 1024}", ""),
        ("{max_body: 1KiB, audit: full}", "{audit: full}", ""),
        ("{max_body: 1KiB}", "{audit: full}", "expected `then.audit` to be full, got none"),
        (
            "{redact: {response: [$.a, {path: '$..b', style: last4}]}}",
            "{redact: {response: [{path: '$..b', style: last4}, $.a]}}",
            "",
        ),
        (
            "{redact: {response: [$.a], style: partial}}",
            "{redact: {response: [$.a]}}",
            "expected `then.redact` to be $.a remove, got $.a partial",
        ),
        ("{response: {fields: ['$.items[*].id', $.total]}}", "{response: {fields: [$.total, '$.items[*].id']}}", ""),
        ("{set_header: {X-Who: {cel: subject.id}, X-Team: a}}", "{set_header: {x-team: a, x-who: alice}}", "ci"),
    ],
)
def test_what_an_allow_demands_can_be_expected(tmp_path: Path, then: str, expected: str, message: str) -> None:
    found = demanding(tmp_path, then, f"{{{PUT}, then: {expected}}}")
    if message == "ci":  # the value depends on who asks
        assert set(found) == {"mallory", "ci"}
        assert found["ci"] == "expected `then.set_header` to be x-team: a; x-who: alice, got x-team: a; x-who: ci"
    else:
        assert set(found.values()) == ({message} if message else set())


def test_a_login_that_is_too_weak_is_a_challenge_and_no_allow(tmp_path: Path) -> None:
    then = "{step_up: {acr: mfa}}"
    challenged = "expected allow, got challenge by p/n"
    assert set(demanding(tmp_path, then, f"{{{PUT}}}").values()) == {challenged}
    listed = PUT.replace("allow", "challenge")
    assert demanding(tmp_path, then, f"{{{listed}, rule: p/n}}") == {}
    assert demanding(tmp_path, then, "{request: PUT /orgs/org_9/messages}")["ci"] == "expected deny, got challenge by p/n"
