"""Policies that another process compiled decide as those compiled here, and say the same when asked why."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.authz.cel.condition import Condition, unfold
from gateway.authz.cel.errors import FAULTS
from gateway.authz.cel.travel import Shared
from gateway.authz.compile import compile_parts
from gateway.authz.explain import explain
from gateway.authz.parts import Compiled, Parts, assemble, pack, take, terms
from gateway.authz.policy import Policies, RouteFact
from gateway.authz.rule import Rule
from gateway.authz.trace import data, text
from gateway.core.principal import Identity
from tests.asking import ISSUERS, MESSAGES, STATUS, a_subject, an_access, condition, documents, policy, roles

ROLES = """
roles:
  viewer: [messages:read]
  member: {extends: [viewer], permissions: [messages:write]}
bindings:
  - {from_claim: roles, issuer: corp, only: [viewer]}
  - {role: member, when: "'staff' in subject.groups"}
  - {role: member, subjects: ['mtls:ci']}
"""
RULES = """
- {name: blocked, deny: any, when: "cidr('203.0.113.0/24').containsIP(request.client_ip)", reason: Blocked.}
- {name: own, allow: [GET], permission: 'messages:read', when: subject.claims.org_id == resource.params.org_id}
- name: write
  allow: [POST, DELETE]
  permission: messages:write
  when: [subject.claims.org_id == resource.params.org_id, "request.method in ['POST', 'DELETE']"]
  unless: has(subject.claims.suspended) || subject.claims.level < 3
  then:
    max_body: 10
    rate_limit: 5/minute
    step_up: {acr: mfa, max_age: 5m}
    redact: {response: [$.email]}
    set_header: {X-Org: {cel: subject.claims.org_id}, X-Plain: plain}
- {name: trial, allow: any, mode: shadow}
- {name: again, allow: [GET], when: subject.claims.org_id == resource.params.org_id}
"""
FACTS = (MESSAGES, STATUS)
NOW = 1_780_000_000.0


def both(folder: Path, *texts: str, facts: tuple[RouteFact, ...] = FACTS) -> tuple[Policies, Policies, Parts]:
    """The same policies compiled here, and taken from a parcel; and the parts of the latter."""
    for number, written in enumerate(texts):
        folder.joinpath(f"{number}.yaml").write_text(written)
    parts, problems = compile_parts(documents(folder), routes=facts, issuers=ISSUERS, now=NOW)
    assert parts is not None, problems
    taken = take(pack(Compiled("t", parts, problems)))
    assert taken.problems == problems
    assert taken.parts is not None
    return assemble(parts, facts, lambda: NOW), assemble(taken.parts, facts, lambda: NOW), taken.parts


def plain(rule: Rule) -> dict[str, Any]:
    """Everything of a rule that can be compared: code by what it was made of."""
    found = {name: getattr(rule, name) for name in Rule.__slots__}
    found["condition"] = rule.condition and [(part.source, part.negated, part.tree) for part in rule.condition.clauses]
    found["verdict"] = (rule.verdict.allowed, rule.verdict.rule, rule.verdict.place)
    if rule.obligations is not None:
        found["obligations"] = replace(rule.obligations, set_headers=())
        found["set"] = [(field.name, field.text, type(field.value)) for field in rule.obligations.set_headers]
    return found


def test_every_part_of_every_rule_arrives(tmp_path: Path) -> None:
    here, there, _ = both(tmp_path, policy(RULES), roles(ROLES))
    assert [plain(rule) for rule in there.rules] == [plain(rule) for rule in here.rules]
    assert (there.revision, there.roles, there.facts, there.limits) == (here.revision, here.roles, here.facts, here.limits)


IDENTITIES = {
    "by claim": Identity(id="a", issuer="corp", scheme="jwt", claims={"roles": ["viewer", "member"], "org_id": "org_9"}),
    "by condition": Identity(id="b", issuer="corp", scheme="jwt", groups=("staff",), claims={"org_id": "org_9", "level": 5}),
    "without a claim": Identity(id="b", issuer="corp", scheme="jwt", groups=("staff",)),
    "by name": Identity(id="ci", issuer="mtls", scheme="mtls"),
    "nobody": Identity(id="x", issuer="corp", scheme="jwt"),
}


@pytest.mark.parametrize("who", IDENTITIES)
@pytest.mark.parametrize("method", ["GET", "POST", "PURGE"])
@pytest.mark.parametrize("client", ["192.0.2.1", "203.0.113.9"])
def test_the_same_question_gets_the_same_answer_and_the_same_explanation(
    tmp_path: Path, who: str, method: str, client: str
) -> None:
    here, there, _ = both(tmp_path, policy(RULES), roles(ROLES))
    access = an_access(method, client=client)
    told = [explain(policies, policies.grant(IDENTITIES[who]), access) for policies in (here, there)]
    assert data(told[1]) == data(told[0])
    assert text(told[1]) == text(told[0])


def test_trees_stay_folded_until_an_error_asks_for_them(tmp_path: Path) -> None:
    _, there, _ = both(tmp_path, policy("- {name: a, allow: any, when: subject.claims.org == 'x' || subject.id == 'alice'}"))
    [rule] = there.rules
    assert rule.condition is not None
    policy_of = there.route("status")
    assert policy_of.decide(a_subject(id="bob", claims={"org": "x"}), an_access()).allowed
    assert rule.condition._folded
    assert policy_of.decide(a_subject(id="alice"), an_access()).allowed
    assert not rule.condition._folded


def test_rules_that_share_a_condition_share_it_afterwards(tmp_path: Path) -> None:
    rules = "".join(f"- {{name: r{number}, allow: any, when: subject.id == 'a'}}\n" for number in range(250))
    _, there, _ = both(tmp_path, policy(rules))
    assert len(there.rules) == 250
    assert len({id(rule.condition) for rule in there.rules}) == 1


def test_a_named_set_travels_once_however_many_conditions_use_it(tmp_path: Path) -> None:
    networks = ", ".join(f"10.{number}.0.0/17" for number in range(200))
    sets = f"apiVersion: gateway/v1\nkind: IpSets\nsets: {{office: [{networks}]}}\n"
    rules = "".join(
        f"- {{name: r{number}, allow: any, when: \"inSet(request.client_ip, 'office') && subject.id != '{number}'\"}}\n"
        for number in range(150)
    )
    here, there, parts = both(tmp_path, policy(rules), sets)
    for client in ("10.7.0.1", "10.7.200.1"):
        asked = (a_subject(), an_access(client=client))
        assert there.route("status").decide(*asked).allowed is here.route("status").decide(*asked).allowed
    assert sum(map(len, pack(Compiled("t", parts, [])))) < 300_000


def test_documents_with_errors_have_problems_and_no_parts(tmp_path: Path) -> None:
    (tmp_path / "0.yaml").write_text(policy("- {name: a, allow: any, when: subject.nope}"))
    parts, problems = compile_parts(documents(tmp_path), routes=FACTS, issuers=ISSUERS, now=NOW)
    taken = take(pack(Compiled("t", parts, problems)))
    assert (taken.parts, taken.problems) == (None, problems)
    assert problems


@pytest.mark.parametrize(
    "source",
    [
        "subject.claims.a == 1",
        "subject.claims.list[0] in [1, 'a', true]",
        "has(subject.claims.a) ? subject.id.startsWith('a') : false",
        "env.now > timestamp('2026-01-01T00:00:00Z')",
        "request.headers['x-a'] == 'b'",
        "request.content_type == ''",
        "size(subject.groups) > 0",
        "request.client_ip != '' && cidr('10.0.0.0/8').containsIP(request.client_ip)",
        "request.query.tag == ['a']",
        "glob(subject.id, 'a*') && within(env.now, 'Mon-Sun 00:00-24:00', 'Europe/Berlin')",
        "subject.id.matches('^a(b|c)*$')",
        "ip(request.client_ip).family() == 4",
        "env.now.getHours('Europe/Berlin') >= 0 && duration('1h') < duration('2h')",
        "subject.groups.exists(g, g == 'x') && subject.claims.list.all(i, i == 'a')",
        "subject.id.lowerAscii().split(',').map(part, part + 'y').size() == 1",
        "int(subject.claims.a) / 2 == 0",
    ],
)
def test_a_condition_that_travelled_means_the_same(source: str) -> None:
    here = condition(source)
    there = travelled(here)
    for claims in ({}, {"a": 1, "list": ["a"]}, {"a": True, "list": []}):
        asked = (a_subject(claims=claims, groups=("x",)), an_access(query=b"tag=a"))
        assert outcome(there, asked) == outcome(here, asked)


def travelled(here: Condition) -> Condition:
    """As it is on the other side."""
    shared = Shared()
    content = here.fold(shared)
    return unfold(content, Shared.of(shared.content()))


def outcome(found: Any, asked: tuple[Any, ...]) -> object:
    try:
        return found.test(*asked)
    except FAULTS as error:
        return type(error)


def test_terms_tell_apart_what_policies_are_compiled_for() -> None:
    assert terms([MESSAGES], ["corp"]) == terms([MESSAGES], ["corp"])
    assert len({terms([MESSAGES], ["corp"]), terms([STATUS], ["corp"]), terms([MESSAGES], ["corp", "b"]), terms()}) == 4
