"""What rules demand with an allow: of all that match, the stricter of two, never lost to an error."""

from pathlib import Path
from typing import Any

import pytest

from gateway.authz.obliged import REMEMBERED, Obliged, together
from gateway.authz.policy import enforce
from gateway.core.decision import Decision
from gateway.core.errors import Unauthenticated
from gateway.core.obligations import Obligations, Redaction, SetHeader, StepUp, Style
from gateway.core.reason import Reason
from tests.asking import a_subject, an_access, compiled, policies, policy, roles, said

SMALL = "then: {max_body: 10}"
LARGE = "then: {max_body: 20}"


def decide(folder: Path, rules: str, *texts: str, method: str = "GET", **who: Any) -> Decision:
    found = policies(folder, policy(rules), *texts)
    return found.route("messages.get").decide(a_subject(**who), an_access(method))


def most(decision: Decision) -> int | None:
    return None if decision.obligations is None else decision.obligations.max_body


@pytest.mark.parametrize(
    ("rules", "rule", "expected"),
    [
        ("- {name: a, allow: any}", "p/a", None),
        (f"- {{name: a, allow: any, {SMALL}}}", "p/a", 10),
        (f"- {{name: a, allow: any}}\n- {{name: b, allow: any, {SMALL}}}", "p/a", 10),
        (f"- {{name: a, allow: any}}\n- {{name: b, allow: any, when: 'true', {SMALL}}}", "p/a", 10),
        (f"- {{name: a, allow: any}}\n- {{name: b, allow: any, when: 'false', {SMALL}}}", "p/a", None),
        (f"- {{name: a, allow: any, {LARGE}}}\n- {{name: b, allow: any, {SMALL}}}", "p/a", 10),
        (f"- {{name: a, allow: any, {SMALL}}}\n- {{name: b, allow: any, {LARGE}}}", "p/a", 10),
        (f"- {{name: a, allow: any}}\n- {{name: b, allow: [POST], {SMALL}}}", "p/a", None),
        (f"- {{name: a, allow: any}}\n- {{name: b, allow: any, permission: 'x:y', {SMALL}}}", "p/a", None),
        (f"- {{name: a, allow: any}}\n- {{name: b, allow: any, mode: shadow, {SMALL}}}", "p/a", None),
        (f"- {{name: b, allow: any, when: 'false', {SMALL}}}", None, None),
        (f"- {{name: a, deny: any}}\n- {{name: b, allow: any, {SMALL}}}", "p/a", None),
    ],
)
def test_what_all_matching_allows_demand_adds_up(tmp_path: Path, rules: str, rule: str | None, expected: int | None) -> None:
    decision = decide(tmp_path, rules)
    assert (decision.rule, most(decision)) == (rule, expected)


def test_a_rule_of_another_file_demands_too(tmp_path: Path) -> None:
    other = policy(f"- {{name: b, allow: [GET], {SMALL}}}", name="q")
    assert most(decide(tmp_path, "- {name: a, allow: any}", other)) == 10


def test_head_comes_under_what_get_demands(tmp_path: Path) -> None:
    assert most(decide(tmp_path, f"- {{name: a, allow: any}}\n- {{name: b, allow: [GET], {SMALL}}}", method="HEAD")) == 10


def test_an_error_does_not_free_the_client_of_what_its_rule_demands(tmp_path: Path) -> None:
    rules = f"- {{name: a, allow: any}}\n- {{name: b, allow: any, when: subject.claims.nope == 1, {SMALL}}}"
    decision = decide(tmp_path, rules)
    assert (decision.allowed, decision.rule, decision.errors, most(decision)) == (True, "p/a", ("p/b",), 10)


def test_an_error_alone_still_allows_nothing(tmp_path: Path) -> None:
    decision = decide(tmp_path, f"- {{name: b, allow: any, when: subject.claims.nope == 1, {SMALL}}}")
    assert (decision.allowed, decision.obligations, decision.errors) == (False, None, ("p/b",))


def test_a_deny_and_a_default_deny_demand_nothing(tmp_path: Path) -> None:
    assert decide(tmp_path, f"- {{name: a, allow: [POST], {SMALL}}}").obligations is None


def test_shadow_rules_that_speak_leave_what_is_demanded(tmp_path: Path) -> None:
    decision = decide(tmp_path, f"- {{name: a, allow: any, {SMALL}}}\n- {{name: s, deny: any, mode: shadow}}")
    assert (most(decision), decision.shadow, decision.would_change) == (10, ("p/s", False), True)


def test_the_permit_carries_what_was_demanded(tmp_path: Path) -> None:
    decision = decide(tmp_path, f"- {{name: a, allow: any, {SMALL}}}")
    assert enforce(a_subject(), an_access(), decision).obligations is decision.obligations


def test_the_same_rules_give_the_same_decision_again_and_few_are_remembered(tmp_path: Path) -> None:
    rules = "\n".join(
        f"- {{name: r{n}, allow: any, when: '{n} in subject.claims.n', then: {{max_body: {n + 1}}}}}" for n in range(12)
    )
    found = policies(tmp_path, policy(f"- {{name: a, allow: any}}\n{rules}"))
    cell = found.route("messages.get").cell("GET")
    assert isinstance(cell.obliged, Obliged)

    def ask(which: list[int]) -> Decision:
        return found.route("messages.get").decide(a_subject(claims={"n": which}), an_access())

    assert ask([1]) is ask([1])
    for bits in range(2 * REMEMBERED):
        which = [n for n in range(12) if bits >> n & 1]
        assert most(ask(which)) == (min(which) + 1 if which else None)
    assert len(cell.obliged._verdicts) <= REMEMBERED


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"max_body": 3}, {}, {"max_body": 3}),
        ({"rate_limits": ("p/a",)}, {"rate_limits": ("p/b",)}, {"rate_limits": ("p/a", "p/b")}),
        ({"step_up": (StepUp(("mfa",)),)}, {"step_up": (StepUp(("mfa",)),)}, {"step_up": (StepUp(("mfa",)),)}),
        ({"fields": ((("a",),),)}, {"fields": ((("b",),),)}, {"fields": ((("a",),), (("b",),))}),
        (
            {"redact": (Redaction(("a",), Style.LAST4), Redaction(("b",), Style.REMOVE))},
            {"redact": (Redaction(("a",), Style.HASH), Redaction(("b",), Style.PARTIAL))},
            {"redact": (Redaction(("a",), Style.HASH), Redaction(("b",), Style.REMOVE))},
        ),
        (
            {"set_headers": (SetHeader(b"x", "1"),)},
            {"set_headers": (SetHeader(b"x", "1"),)},
            {"set_headers": (SetHeader(b"x", "1"),)},
        ),
        (
            {"set_headers": (SetHeader(b"x", "1"),)},
            {"set_headers": (SetHeader(b"x", "2"),)},
            {"set_headers": (SetHeader(b"x", "1"), SetHeader(b"x", "2"))},
        ),
        ({"audit_full": True}, {}, {"audit_full": True}),
    ],
)
def test_the_stricter_of_two_counts(one: dict[str, Any], other: dict[str, Any], expected: dict[str, Any]) -> None:
    assert together([Obligations(**one), Obligations(**other)]) == Obligations(**expected)
    assert together([Obligations(**other), Obligations(**one)]).max_body == expected.get("max_body")


def test_each_key_of_then_is_compiled(tmp_path: Path) -> None:
    demanded = """
- name: a
  allow: any
  then:
    redact: {response: ["$.items[*].email", {path: $.ssn, style: last4}], style: partial}
    response: {fields: ["$.id", "$.items[*].email"]}
    rate_limit: 20/minute
    step_up: {acr: [mfa, hwk], amr: [otp], max_age: 15m}
    set_header: {X-Mode: read-only, X-Tenant: {cel: subject.claims.org}}
    max_body: 1KiB
"""
    found = policies(tmp_path, policy(demanded))
    made = found.route("status").decide(a_subject(claims={"org": "acme"}), an_access(route="status")).obligations
    assert made is not None
    assert made.redact == (Redaction(("items", None, "email"), Style.PARTIAL), Redaction(("ssn",), Style.LAST4))
    assert made.fields == ((("id",), ("items", None, "email")),)
    assert (made.rate_limits, dict(found.limits)["p/a"].count) == (("p/a",), 20)
    assert made.step_up == (StepUp(("mfa", "hwk"), ("otp",), 900),)
    assert (made.set_headers[0].name, made.set_headers[0].text) == (b"x-mode", "read-only")
    tenant = made.set_headers[1].value
    assert tenant is not None
    assert tenant(a_subject(claims={"org": "acme"}), an_access()) == "acme"
    assert made.max_body == 1024
    assert found.route("status").sets == {b"x-mode", b"x-tenant"}


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ("redact: {response: [email]}", "a path begins with $"),
        ("redact: {response: []}", ""),
        ("redact: {response: ['$.a'], style: blur}", "blur"),
        ("redact: {response: ['$.a'], style: hash}", "`hash` needs a key, and there is none (add `redaction: {key: {env: NAME}}`"),
        ("response: {fields: ['$...a']}", "cannot be read from"),
        ("require_response: 'response.body.a == 1'", "`require_response` is for rules of GET and HEAD alone"),
        ("audit: some", ""),
        ("rate_limit: 20", "a rate is written like 100/minute"),
        ("step_up: {}", "`step_up` names at least one"),
        ("step_up: {max_age: 500ms}", "`max_age` is a whole number of seconds"),
        ("step_up: {acr: 'a b'}", ""),
        ("step_up: {acr: 'a\"'}", ""),
        ("set_header: {}", ""),
        ("set_header: {X A: b}", ""),
        ('set_header: {X-A: "a\\r\\nb: c"}', "a field's value is visible ASCII"),
        ("set_header: {X-A: ' a'}", "a field's value is visible ASCII"),
        ("set_header: {X-A: {cel: subject.nope}}", "'nope' is not a field"),
        ("set_header: {X-A: {cel: '1 == 1'}}", "a field's value must be a string, this is bool"),
        ("set_header: {X-A: a, x_a: b}", "x_a is set twice"),
        ("set_header: {X-Own: a}", "X-Own is not a rule's to set"),
        ("max_body: big", "a size is written like"),
    ],
)
def test_what_cannot_be_demanded_is_an_error_at_load(tmp_path: Path, then: str, message: str) -> None:
    found, problems = compiled(tmp_path, policy(f"- {{name: a, allow: any, then: {{{then}}}}}"), reserved={b"x-own"}.__contains__)
    assert found is None
    assert message in said(problems)[0]


def test_rules_that_set_one_field_to_different_values_are_told_of_where_they_can_meet(tmp_path: Path) -> None:
    rules = """
- {name: a, allow: [GET], then: {set_header: {X-Mode: a}}}
- {name: b, allow: [HEAD], then: {set_header: {X-Mode: b}}}
- {name: c, allow: [POST], then: {set_header: {X-Mode: c}}}
- {name: d, allow: [POST], then: {set_header: {X-Mode: c}}}
"""
    _, problems = compiled(tmp_path, policy(rules))
    told = [message for message in said(problems, "warning") if "different values" in message]
    assert told == [
        "7:1: p/b and p/a set x-mode to different values: what both match is denied (let their conditions exclude one another)"
    ]


def test_a_login_that_is_too_weak_is_challenged_and_no_permit_is_made(tmp_path: Path) -> None:
    rules = "- {name: a, allow: any, then: {step_up: {acr: mfa, max_age: 15m}}}\n- {name: b, allow: any}"
    decision = decide(tmp_path, rules)
    now = int(an_access().now)
    enforce(a_subject(claims={"acr": "mfa", "auth_time": now - 900}), an_access(), decision)
    with pytest.raises(Unauthenticated) as refused:
        enforce(a_subject(claims={"acr": "mfa", "auth_time": now - 901}), an_access(), decision)
    assert (refused.value.reason, refused.value.detail) == (Reason.STEP_UP_REQUIRED, "step-up: auth_time")


def test_a_role_that_lacks_the_permission_is_not_under_the_rules_demands(tmp_path: Path) -> None:
    rules = f"- {{name: a, allow: any}}\n- {{name: b, allow: any, permission: 'messages:read', {SMALL}}}"
    found = policies(tmp_path, policy(rules), roles("roles: {viewer: ['messages:read']}"))
    assert most(found.route("messages.get").decide(a_subject(), an_access())) is None
