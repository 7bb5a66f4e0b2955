"""What is suspicious about policies that are sound: the findings of `gateway policy lint`, beside those `lint` makes at load."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.authz.cel import tree
from gateway.authz.document import Loaded, PolicyDocuments
from gateway.authz.lint import named
from gateway.authz.lints import LINTS
from gateway.authz.model import Policy, Role, Roles
from gateway.authz.overlap import overlap
from gateway.authz.permissions import covers
from gateway.authz.policy import Policies
from gateway.authz.rule import Rule
from gateway.config.document import Steps
from gateway.core.errors import Problem

CLAIMS: Final = "subject.claims"


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Policies as they are built, and what else is known: routes that ask nobody who he is, roles that API keys have."""

    documents: PolicyDocuments
    policies: Policies
    anonymous: frozenset[str] = frozenset()
    keyed: frozenset[str] = frozenset()


def review(subject: Reviewed) -> list[Problem]:
    """All findings, in the order of files."""
    places = {rule.name: place for place, rule in _placed(subject)}
    found = [*_rules(subject), *_overlaps(subject, places), *_roles(subject)]
    return sorted(dict.fromkeys(found), key=lambda problem: (problem.file, problem.line, problem.column, problem.rule))


Place = tuple[Loaded[Policy], Steps]


def _placed(subject: Reviewed) -> Iterator[tuple[Place, Rule]]:
    by_name = {rule.name: rule for rule in subject.policies.rules}
    for loaded in subject.documents.policies:
        for number, model in zip(loaded.numbers, loaded.model.rules, strict=True):
            yield (loaded, ("rules", number)), by_name[f"{loaded.model.name}/{model.name}"]


def _said(place: Place, rule: str, message: str, hint: str = "") -> Problem:
    loaded, path = place
    return named(rule, loaded.problem(path, message, hint, severity=LINTS[rule].severity))


def _rules(subject: Reviewed) -> Iterator[Problem]:
    """What each rule says of itself."""
    given = {claim for loaded in subject.documents.tests for each in loaded.model.subjects.values() for claim in each.claims}
    has_tests = bool(subject.documents.tests)
    for place, rule in _placed(subject):
        if rule.allows and rule.need == 0 and rule.condition is None and not _is_anonymous(subject, place[0]):
            yield _said(place, "open-allow", f"{rule.name} allows everybody whom the route lets in", "ask for a permission")
        if not rule.allows and not rule.reason:
            yield _said(place, "silent-deny", f"{rule.name} does not say why it denies", "add `reason`")
        for claim in sorted(_claims(rule) - given) if has_tests else ():
            yield _said(place, "untested-claim", f"{rule.name} reads the claim {claim!r}, which no subject of the tests has")
        demanded = rule.obligations.step_up if rule.obligations is not None else ()
        if any(not each.acr and not each.amr for each in demanded):
            yield _said(place, "step-up-by-age", f"{rule.name} asks for a recent login, however weak")


def _is_anonymous(subject: Reviewed, loaded: Loaded[Policy]) -> bool:
    """Whether a policy is about routes that ask nobody who he is, and no others."""
    rules = {f"{loaded.model.name}/{rule.name}" for rule in loaded.model.rules}
    covered = [
        name
        for name in subject.policies.facts
        if any(row[2].name in rules for method in ("GET", "POST") for row in subject.policies.route(name).cell(method).rows())
    ]
    return all(name in subject.anonymous for name in covered)


def _claims(rule: Rule) -> set[str]:
    """The claims a rule's condition names."""
    nodes = tree.walk(rule.condition.tree) if rule.condition is not None else ()
    return {
        node.name
        for node in nodes
        if isinstance(node, tree.Field | tree.Has) and isinstance(node.operand, tree.Read) and node.operand.name == CLAIMS
    }


def _overlaps(subject: Reviewed, places: dict[str, Place]) -> Iterator[Problem]:
    found = overlap(subject.policies)
    for rule in found.never:
        yield _said(places[rule.name], "never-matches", f"the condition of {rule.name} cannot hold")
    for rule, by in found.shadowed.items():
        yield _said(places[rule.name], "shadowed", f"{rule.name} changes nothing: {by.name} answers wherever it speaks", by.place)
    for fact, method, number in found.crowded:
        message = f"{number} rules for {method} of route {fact.name!r}"
        severity = LINTS["crowded-cell"].severity
        yield named("crowded-cell", Problem(fact.file, fact.line, fact.column, f"routes.{fact.name}", message, "", severity))


def _roles(subject: Reviewed) -> Iterator[Problem]:
    """Roles that nobody gets, permissions that nobody asks for, and those that nobody can have."""
    bound = _bound(subject)
    asked = {rule.permission for rule in subject.policies.rules if rule.permission is not None}
    for loaded in subject.documents.roles:
        for name, written in loaded.model.roles.items():
            if name not in bound:
                yield _of_role(loaded, ("roles", name), "unbound-role", f"nobody gets the role {name!r}", key=True)
            for path, pattern in _patterns(name, written):
                if not any(covers(pattern, permission) for permission in asked):
                    yield _of_role(loaded, path, "unused-permission", f"no rule asks for {pattern!r}")
    yield from _unreachable(subject, bound)


def _of_role(loaded: Loaded[Roles], path: Steps, rule: str, message: str, *, key: bool = False) -> Problem:
    return named(rule, loaded.problem(path, message, key=key, severity=LINTS[rule].severity))


def _bound(subject: Reviewed) -> frozenset[str]:
    """Roles that somebody can get, with all they extend."""
    bindings = [binding for loaded in subject.documents.roles for binding in loaded.model.bindings]
    direct = {role for binding in bindings for role in (*(binding.only or ()), *([binding.role] if binding.role else []))}
    return subject.policies.grant.closure(direct | subject.keyed)


def _patterns(name: str, written: Role | list[str]) -> Iterable[tuple[Steps, str]]:
    if isinstance(written, Role):
        return [(("roles", name, "permissions", number), pattern) for number, pattern in enumerate(written.permissions)]
    return [(("roles", name, number), pattern) for number, pattern in enumerate(written)]


def _unreachable(subject: Reviewed, bound: frozenset[str]) -> Iterator[Problem]:
    """Permissions that roles give, but none that anybody gets."""
    grant = subject.policies.grant
    reachable, given = grant.of_roles(bound)[1], grant.of_roles(subject.policies.roles)[1]
    for place, rule in _placed(subject):
        if rule.need & given == rule.need and rule.need & reachable != rule.need:
            message = f"{rule.name} asks for {rule.permission!r}, which only roles give that nobody gets"
            yield _said(place, "unreachable-permission", message)
