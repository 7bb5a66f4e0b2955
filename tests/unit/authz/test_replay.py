"""What policies would have answered: certain where it is the same in every world, and then true."""

from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.compile import compile_policies
from gateway.authz.difference import KEPT, OTHERS, Difference, Tally, replayed
from gateway.authz.document import from_documents
from gateway.authz.recorded import Recorded, recorded
from gateway.authz.replay import Answer, Side, Verdict, compare, held
from gateway.config.document import read
from tests.asking import ISSUERS, MESSAGES, STATUS, an_access, an_identity, policy, roles

ROLES = roles(
    """
    roles: {reader: ['messages:read'], writer: {extends: [reader], permissions: ['messages:write']}, admin: ['*:*']}
    bindings:
      - {from_claim: roles, issuer: corp, only: [reader, writer]}
      - {role: admin, subjects: ['mtls:ci']}
    """
)
MOVED = ROLES.replace("only: [reader, writer]", "only: [reader]")
CONDITIONS = [
    "subject.claims.a == 'x'",
    "subject.claims.b == 'x'",
    "has(subject.claims.a)",
    "!has(subject.claims.b)",
    "resource.params.org_id == 'org_9'",
    "subject.id == 'alice' && subject.claims.a == 'x'",
    "subject.id == 'alice' || subject.claims.b == 'x'",
    "'reader' in subject.roles",
    "request.headers['x-a'] == '1'",
]


@cache
def side(rules: str, bound: str = ROLES, ceilings: frozenset[str] = frozenset()) -> Side:
    documents = from_documents([read("roles.yaml", bound), read("p.yaml", rules)])
    policies, problems = compile_policies(documents, routes=[MESSAGES, STATUS], issuers=ISSUERS, now=lambda: 0.0)
    assert policies is not None, [str(problem) for problem in problems]
    return Side(policies, documents, {"k1": (True, None), "k2": (False, ["messages:read"])}.__getitem__, ceilings)


def an_event(**changes: Any) -> dict[str, Any]:
    return {
        "ts": "2026-05-28T20:26:40.000Z",
        "event": "request",
        "request_id": "r1",
        "generation": "g",
        "client": "192.0.2.1",
        "issuer": "corp",
        "subject": "alice",
        "scheme": "jwt",
        "credential_id": None,
        "roles": ["reader"],
        "route": "messages.get",
        "params": {"org_id": "org_9"},
        "method": "GET",
        "path": "/v1/orgs/org_9/messages",
        "decision": "allow",
        "rule": "p/r0",
    } | changes


def asked(old: Side, new: Side, **changes: Any) -> Verdict:
    event = recorded(an_event(**changes))
    assert event is not None
    before, after = old.lines(event, held(old, event)), new.lines(event, held(new, event, old))
    return compare(before, after, Answer(event.allowed, event.rule))


def rule(number: int, effect: str, condition: str, permission: bool) -> str:
    asks = ", permission: 'messages:read'" if permission and effect == "allow" else ""
    return f'- {{name: r{number}, {effect}: any, when: "{condition}"{asks}}}'


RULES = st.lists(
    st.tuples(st.sampled_from(["allow", "deny"]), st.sampled_from(CONDITIONS), st.booleans()), min_size=1, max_size=3
).map(lambda found: policy("\n".join(rule(number, *parts) for number, parts in enumerate(found))))


@given(
    old=RULES,
    new=RULES,
    moved=st.booleans(),
    claims=st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy")),
    named=st.sampled_from([["reader"], ["writer"], ["reader", "writer"], []]),
    subject=st.sampled_from(["alice", "bob"]),
    header=st.booleans(),
)
def test_what_is_told_of_a_change_is_what_would_have_happened(
    old: str, new: str, moved: bool, claims: dict[str, str], named: list[str], subject: str, header: bool
) -> None:
    """The trail is written by the old policies for a token whose claims it does not carry; the new ones are then really asked."""
    before, after = side(old), side(new, MOVED if moved else ROLES)
    access = an_access(headers=[(b"x-a", b"1")] if header else [])
    identity = an_identity(subject, claims={**claims, "roles": named})
    first, then = ((each.policies.grant(identity), each.policies.route("messages.get")) for each in (before, after))
    answered, really = first[1].decide(first[0], access), then[1].decide(then[0], access)
    found = asked(before, after, subject=subject, roles=list(first[0].roles), decision=answered.effect, rule=answered.rule)
    assert not found.contradicts
    assert Answer(answered.allowed, answered.rule) in found.old
    assert Answer(really.allowed, really.rule) in found.new
    assert found.changes in (None, answered.allowed is not really.allowed)


OWN = "{name: r0, allow: [GET], permission: 'messages:read', when: subject.claims.org == resource.params.org_id}"


def test_what_the_old_policy_answered_tells_what_it_must_have_read() -> None:
    """The claim is not in the trail; that the rule matched says that it was the right one, and so it matches in the new policy."""
    old, new = side(policy(f"- {OWN}")), side(policy(f"- {OWN}\n- {{name: late, deny: [POST]}}"))
    assert asked(old, new).changes is False
    assert asked(old, side(policy("- {name: r0, deny: any}"))).changes is True


def test_what_depends_on_something_unknown_is_not_guessed() -> None:
    old, new = side(policy(f"- {OWN}")), side(policy(f"- {OWN}\n- {{name: out, deny: any, when: \"request.host == 'x'\"}}"))
    found = asked(old, new)
    assert found.changes is None
    assert found.new == {Answer(True, "p/r0"), Answer(False, "p/out")}
    assert found.unknown == ("request.host", "subject.claims")


def test_an_unknown_part_that_changes_nothing_is_no_obstacle() -> None:
    new = side(policy(f"- {OWN}\n- {{name: out, deny: any, when: \"request.host == 'x' && subject.id == 'bob'\"}}"))
    assert asked(side(policy(f"- {OWN}")), new).changes is False


def test_a_recorded_answer_that_the_old_policy_cannot_have_given_is_told() -> None:
    old = side(policy("- {name: r0, deny: any}"))
    assert asked(old, old, decision="allow", rule="p/other").contradicts


def test_more_unknown_parts_than_can_be_gone_through_are_undecided() -> None:
    many = " && ".join(f"subject.claims.a{number} == 'x'" for number in range(7))
    old, new = side(policy("- {name: r0, allow: any}")), side(policy(f'- {{name: r0, allow: any, when: "{many}"}}'))
    assert asked(old, new).changes is None


@pytest.mark.parametrize(
    ("changes", "condition", "expected"),
    [
        ({"client": "192.0.2.0/24"}, "cidr('192.0.2.0/24').containsIP(request.client_ip)", None),
        ({"client": "hmac:00"}, "cidr('192.0.2.0/24').containsIP(request.client_ip)", None),
        ({"subject": "al***@x"}, "subject.id == 'alice'", None),
        ({"subject": "hmac:1"}, "subject.id == 'alice'", None),
        ({"path": "/v1/…"}, "resource.path == '/v1/x'", None),
        ({"params": {"org_id": "o…"}}, "resource.params.org_id == 'org_9'", None),
        ({}, "cidr('192.0.2.0/24').containsIP(request.client_ip)", True),
        ({}, "subject.id == 'bob'", False),
        ({"issuer": "api_keys", "scheme": "api_key"}, "has(subject.claims.x)", False),
        ({"roles": [f"r{number}" for number in range(32)]}, "'admin' in subject.roles", None),
    ],
)
def test_masked_and_cut_values_are_not_known(changes: dict[str, Any], condition: str, expected: bool | None) -> None:
    old = side(policy("- {name: r0, allow: any}"))
    new = side(policy(f'- {{name: r0, allow: any}}\n- {{name: out, deny: any, when: "{condition}"}}'))
    assert asked(old, new, **({"credential_id": "k1"} | changes)).changes is expected


READS = policy("- {name: r0, allow: any}")
NEEDS = policy("- {name: r0, allow: any, permission: 'messages:read'}")


@pytest.mark.parametrize(
    ("changes", "ceilings", "bound", "expected"),
    [
        ({}, (), ROLES, False),
        ({"roles": []}, (), ROLES, True),
        ({}, ("corp",), ROLES, None),
        ({"roles": ["writer", "reader"]}, (), MOVED, None),
        ({"roles": ["admin"], "issuer": "mtls", "subject": "ci", "scheme": "mtls"}, (), MOVED, False),
        ({"issuer": "api_keys", "scheme": "api_key", "credential_id": "k1"}, (), ROLES, False),
        ({"issuer": "api_keys", "scheme": "api_key", "credential_id": "k2", "roles": []}, (), ROLES, False),
        ({"issuer": "api_keys", "scheme": "api_key", "credential_id": "gone"}, (), ROLES, None),
        ({"roles": []}, (), ROLES + "  - {role: reader, subjects: ['corp:alice']}\n", False),
        ({"roles": []}, (), ROLES + "  - {role: reader, when: \"'x' in subject.groups\"}\n", None),
        ({"roles": []}, (), ROLES + "  - {role: reader, subjects: ['corp:bob']}\n", True),
    ],
    ids=["held", "not held", "ceiling", "moved", "by name", "key", "bare key", "lost key", "new by name", "new by group", "other"],
)
def test_permissions_are_known_as_far_as_roles_are(
    changes: dict[str, Any], ceilings: tuple[str, ...], bound: str, expected: bool | None
) -> None:
    assert asked(side(READS), side(NEEDS, bound, frozenset(ceilings)), **changes).changes is expected


@pytest.mark.parametrize(
    "changes",
    [
        {"decision": None},
        {"decision": "maybe"},
        {"subject": None},
        {"issuer": 7},
        {"roles": "admin"},
        {"roles": [1]},
        {"params": [1]},
        {"params": {"a": {}}},
        {"ts": "yesterday"},
        {"ts": None},
        {"route": None},
        {"method": ["GET"]},
    ],
    ids=str,
)
def test_what_the_trail_would_not_write_is_no_request(changes: dict[str, Any]) -> None:
    assert recorded(an_event(**changes)) is None


@given(
    st.dictionaries(st.sampled_from(sorted(an_event())), st.none() | st.integers() | st.text() | st.lists(st.text()), max_size=4)
)
def test_no_event_is_too_odd(changes: dict[str, Any]) -> None:
    found = recorded(an_event(**changes))
    if found is not None:
        assert isinstance(found, Recorded)
        replayed([an_event(**changes)], side(READS), side(NEEDS))


def test_the_replay_counts_everything_it_was_given() -> None:
    events = [
        an_event(request_id="a", roles=[]),
        an_event(request_id="b"),
        an_event(request_id="c", route="gone"),
        an_event(request_id="d", decision=None),
        an_event(request_id="e", roles=[], subject="bob", ts="2026-05-28T21:00:00Z"),
    ]
    found: Difference = replayed(events, side(READS), side(NEEDS))
    assert (found.asked, found.same, found.changed, found.undecidable) == (3, 1, 2, 0)
    assert (found.foreign, found.without_decision, found.first, found.last) == (1, 1, events[0]["ts"], events[4]["ts"])
    group = found.changes["allow by p/r0", "deny by default"]
    assert (group.count, group.examples, group.principals.counts) == (2, ["a", "e"], {"corp:alice": 1, "corp:bob": 1})


def test_tallies_are_bounded() -> None:
    found = Tally()
    for number in range(KEPT + 50):
        found.add(f"s{number}")
    assert (len(found.counts), found.counts[OTHERS]) == (KEPT + 1, 50)
    assert found.most(1) == [(OTHERS, 50)]
