"""The recipes of the cookbook: each is a folder with a configuration, policies and their cases; and recipes with one thing wrong.

A mutant is a recipe in which one rule, one binding or one part of one condition is left out or says the opposite. Cases that pass
all the same would not notice if somebody made this mistake.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

from pydantic import BaseModel

from gateway.authz.cases import access_request, identity
from gateway.authz.cel import syntax
from gateway.authz.cel.parser import parse
from gateway.authz.compile import compile_policies
from gateway.authz.demanded import challenged, described, missed
from gateway.authz.demanded import expected as demanded
from gateway.authz.document import Loaded, PolicyDocuments
from gateway.authz.model import Case, Policy, Roles, Rule
from gateway.authz.policy import Policies, enforce
from gateway.authz.seen import unlike
from gateway.core.decision import AccessRequest
from gateway.core.principal import OWN_ISSUERS, Identity
from gateway.rehearsal import Rehearsal, see
from gateway.settings import Settings
from tests.conftest import ROOT

COOKBOOK = ROOT / "docs" / "cookbook"
RECIPES = sorted(file.parent for file in COOKBOOK.glob("recipes/*/config.yaml"))

PARTS: Mapping[type[BaseModel], str] = {Policy: "rules", Roles: "bindings"}

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A recipe with one thing wrong, and what that is."""

    what: str
    documents: PolicyDocuments


@dataclass(frozen=True, slots=True)
class Question:
    """One subject's request in one case, what it expects, and the rule that shall decide where it names one."""

    who: Identity
    access: AccessRequest
    expected: str
    case: Case
    subject: str
    named: bool


def compiled(documents: PolicyDocuments, rehearsal: Rehearsal, settings: Settings) -> Policies:
    """Some documents with the routes of a recipe."""
    facts = tuple(rehearsal.policies.facts.values())
    issuers = frozenset(settings.authentication.jwt) | OWN_ISSUERS
    policies, problems = compile_policies(documents, routes=facts, issuers=issuers, has_key=True, now=time.time)
    assert policies is not None, [str(problem) for problem in problems]
    return policies


def questions(rehearsal: Rehearsal) -> list[Question]:
    """What the cases of a recipe ask."""
    found = []
    for loaded in rehearsal.documents.tests:
        for case in loaded.model.cases:
            access = access_request(case, rehearsal.policies, rehearsal.match)
            assert access is not None, case.request
            for name, subject in loaded.model.subjects.items():
                found.append(
                    Question(identity(name, subject), access, case.expect.get(name, "deny"), case, name, name in case.expect)
                )
    return found


def is_noticed(asked: Sequence[Question], policies: Policies) -> bool:
    """Whether a case fails under these policies."""
    return any(_differs(each, policies) for each in asked)


def _differs(question: Question, policies: Policies) -> bool:
    """Whether the answer is another, or by another rule than the case names, or demands something else than it says."""
    access, case = question.access, question.case
    principal = policies.grant.at(question.who, access.now)
    decision = policies.route(access.route).decide(principal, access)
    outcome = "challenge" if challenged(decision, principal, access) else decision.effect
    if outcome != question.expected:
        return True
    if not question.named:
        return False
    if (
        case.then is not None
        and outcome == "allow"
        and missed(demanded(case.then), described(policies, decision, principal, access))
    ):
        return True
    if outcome == "allow" and unlike(case, question.subject, enforce(principal, access, decision), see):
        return True
    effects = {rule.name: rule.allows for rule in policies.rules}
    return effects.get(case.rule or "") is decision.allowed and decision.rule != case.rule


def mutants(documents: PolicyDocuments) -> Iterator[Mutant]:
    """Every recipe that has one mistake more than this one. They have no cases: those may name what is gone."""
    documents = replace(documents, tests=[])
    for place, policy in enumerate(documents.policies):
        for number, rule in enumerate(policy.model.rules):
            if "shadow" not in (policy.model.mode, rule.mode):
                yield from _of_rule(documents, place, number, f"{policy.model.name}/{rule.name}", rule)
    for place, roles in enumerate(documents.roles):
        for number, binding in enumerate(roles.model.bindings):
            rest = _without(roles.model.bindings, number)
            found = _changed(roles, bindings=rest)
            told = binding.role or f"from_claim {binding.from_claim}"
            yield Mutant(f"the binding of {told} removed", replace(documents, roles=_with(documents.roles, place, found)))
            if binding.expires_at is not None:
                endless = _with(roles.model.bindings, number, binding.model_copy(update={"expires_at": None}))
                found = _changed(roles, bindings=endless)
                yield Mutant(f"the binding of {told} without end", replace(documents, roles=_with(documents.roles, place, found)))


def enforced(documents: PolicyDocuments) -> PolicyDocuments:
    """The same documents with every shadow rule in force."""
    awake = [
        _changed(each, mode="enforce", rules=[rule.model_copy(update={"mode": "enforce"}) for rule in each.model.rules])
        for each in documents.policies
    ]
    return replace(documents, policies=awake, tests=[])


def _of_rule(documents: PolicyDocuments, place: int, number: int, name: str, rule: Rule) -> Iterator[Mutant]:
    policy = documents.policies[place]

    def changed(what: str, rules: list[Rule]) -> Mutant:
        return Mutant(
            f"{name}: {what}", replace(documents, policies=_with(documents.policies, place, _changed(policy, rules=rules)))
        )

    yield changed("removed", _without(policy.model.rules, number))
    for what, update in chain(_conditions(rule), _permission(rule), _obligations(rule)):
        yield changed(what, _with(policy.model.rules, number, rule.model_copy(update=update)))


Update = tuple[str, Mapping[str, object]]


def _permission(rule: Rule) -> Iterator[Update]:
    if rule.permission is not None:
        yield "without its permission", {"permission": None}


def _obligations(rule: Rule) -> Iterator[Update]:
    """Without each demand. Of an answer no case can speak: see `require_response` in the shaping's own tests."""
    if rule.then is not None:
        keys = rule.then.model_fields_set
        for key in sorted(keys - {"require_response"}):
            rest = keys - {key}
            then = rule.then.model_copy(update={key: None}) if rest else None
            yield f"without then {key}", {"then": then}


def _conditions(rule: Rule) -> Iterator[Update]:
    for key, value in (("when", rule.when), ("unless", rule.unless)):
        if isinstance(value, str):
            yield f"without {key} `{value}`", {key: None}
            yield from ((f"{key} {what}", {key: text}) for what, text in _twisted(value))
    sources = rule.when if isinstance(rule.when, list) else []
    for number, source in enumerate(sources):
        yield f"without `{source}`", {"when": _without(sources, number) or None}
        yield from ((what, {"when": _with(sources, number, text)}) for what, text in _twisted(source))


def _twisted(source: str) -> Iterator[tuple[str, str]]:
    """An expression that says the opposite, and ones in which one of several terms is missing."""
    yield f"`{source}` negated", f"!({source})"
    for node in _logic(parse(source)):
        for number, item in enumerate(node.items):
            rest = f" {node.operator} ".join(f"({_text(source, other)})" for other in _without(node.items, number))
            start, end = _whole(source, node)
            yield f"`{source}` without `{_text(source, item)}`", f"{source[:start]}{rest}{source[end:]}"


def _logic(node: syntax.Node) -> Iterator[syntax.Logic]:
    if isinstance(node, syntax.Logic):
        yield node
    for part in syntax.below(node):
        yield from _logic(part)


def _text(source: str, node: syntax.Node) -> str:
    start, end = _whole(source, node)
    return source[start:end]


def _whole(source: str, node: syntax.Node) -> tuple[int, int]:
    """Where a node begins and ends, with the parentheses that its first or last part stands in."""
    start, end = node.span
    while source.count("(", start, end) < source.count(")", start, end):
        start = source.rindex("(", 0, start)
    while source.count("(", start, end) > source.count(")", start, end):
        end = source.index(")", end) + 1
    return start, end


def _changed(loaded: Loaded[M], **update: object) -> Loaded[M]:
    model = loaded.model.model_copy(update=update)
    return Loaded(model, loaded.document, tuple(range(len(getattr(model, PARTS[type(model)])))))


T = TypeVar("T")


def _without(items: Sequence[T], number: int) -> list[T]:
    return [*items[:number], *items[number + 1 :]]


def _with(items: Sequence[T], number: int, item: T) -> list[T]:
    return [*items[:number], item, *items[number + 1 :]]
