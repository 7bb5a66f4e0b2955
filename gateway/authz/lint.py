"""What is suspicious about policies that compile: names that lead nowhere, rules that can never speak."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from gateway.authz.cel import tree
from gateway.authz.cel.condition import Clause, Condition
from gateway.authz.cel.values import NANOSECONDS, Timestamp
from gateway.authz.document import Loaded, PolicyDocuments
from gateway.authz.model import Policy, Roles
from gateway.authz.permissions import covers
from gateway.authz.policy import RouteFact
from gateway.authz.roles import Resolved
from gateway.authz.rule import Rule
from gateway.config.document import Steps, dotted
from gateway.config.validation import suggest
from gateway.core.errors import Problem
from gateway.core.principal import OWN_ISSUERS

PARAMS = "resource.params"
SHOWN = 3
UNDESCRIBED = "parameters of the `openapi` description do not count; name them in `match`: /orgs/{org}/**"


def located(
    loaded: Loaded[Roles] | Loaded[Policy], path: Steps, offset: int, message: str, hint: str = "", severity: str = "error"
) -> Problem:
    """A problem at a character of an expression, wherever and however the expression is written in its file."""
    line, column = loaded.document.locate(path, offset)
    return Problem(loaded.document.file, line, column, dotted(path), message, hint, severity)


def named(rule: str, problem: Problem) -> Problem:
    """The problem with the name of what was looked for, see `lints`."""
    return replace(problem, rule=rule)


def parameters(loaded: Loaded[Policy], path: Steps, clause: Clause, covered: Sequence[RouteFact]) -> Iterator[Problem]:
    """Path parameters that a condition reads and routes do not have: nowhere is an error, somewhere a warning."""
    for node in tree.walk(clause.tree):
        if not isinstance(node, tree.Field | tree.Has):
            continue
        operand = node.operand
        if not (isinstance(operand, tree.Read) and operand.name == PARAMS) or not covered:
            continue
        missing = [fact.name for fact in covered if node.name not in fact.params]
        if len(missing) == len(covered):
            names = sorted({name for fact in covered for name in fact.params})
            hint = UNDESCRIBED if any(fact.described for fact in covered) else suggest(node.name, names)
            yield located(loaded, path, node.span[0], f"no route of this policy has a parameter {node.name!r}", hint)
        elif missing and isinstance(node, tree.Field):
            message = f"the parameter {node.name!r} is missing on {_few(missing)}: there this condition has no value"
            yield named("missing-parameter", located(loaded, path, node.span[0], message, severity="warning"))


def unserved(loaded: Loaded[Policy], path: Steps, rule: Rule, covered: Sequence[RouteFact]) -> Iterator[Problem]:
    """A rule about methods that none of its routes serves."""
    if covered and not any(_speaks(rule, fact) for fact in covered):
        message = "no route of this policy serves the methods of this rule"
        yield named("unserved-methods", loaded.problem(path, message, severity="warning"))


def _speaks(rule: Rule, fact: RouteFact) -> bool:
    return fact.methods is None or any(rule.applies_to(method) for method in fact.methods)


def ungranted(documents: PolicyDocuments, roles: Mapping[str, Resolved]) -> Iterator[Problem]:
    """Permissions that rules ask for and no role gives; an API key may still have them directly."""
    granted = sorted({pattern for role in roles.values() for pattern in role.permissions})
    covered: dict[str, bool] = {}
    for loaded in documents.policies:
        for number, rule in zip(loaded.numbers, loaded.model.rules, strict=True):
            permission = rule.permission
            if permission is None:
                continue
            if permission not in covered:
                covered[permission] = any(covers(pattern, permission) for pattern in granted)
            if not covered[permission]:
                path = ("rules", number, "permission")
                hint = suggest(permission, granted)
                yield named(
                    "ungranted-permission", loaded.problem(path, f"no role grants {permission!r}", hint, severity="warning")
                )


def without_rule(routes: Sequence[RouteFact], by_route: Mapping[str, list[Rule]]) -> Iterator[Problem]:
    """Routes that nobody can ever use, because no enforced rule allows anything on them (GHSA-vw82-7fv8-r6gp)."""
    for fact in routes:
        if any(rule.allows and not rule.shadow and _speaks(rule, fact) for rule in by_route[fact.name]):
            continue
        what = "has no rule that allows anything" if by_route[fact.name] else "has no rule"
        message = f"route {fact.name!r} {what}: every request is denied"
        found = Problem(fact.file, fact.line, fact.column, f"routes.{fact.name}", message, "", "warning")
        yield named("uncovered-route", found)


def expired(loaded: Loaded[Roles] | Loaded[Policy], path: Steps, moment: str | None, now: float) -> Iterator[Problem]:
    """What ended before it was loaded."""
    if moment is not None and Timestamp.parse(moment).nanoseconds <= now * NANOSECONDS:
        hint = "take it out, or let it end later"
        yield named("ended", loaded.problem(path, f"this ended at {moment}", hint, severity="warning"))


def unending(loaded: Loaded[Roles], path: Steps, role: str) -> Problem:
    """A role for emergencies that somebody holds for ever."""
    message = f"{role!r} is a break-glass role, and this gives it for ever"
    return named("unending-emergency", loaded.problem(path, message, "add `expires_at`", severity="warning"))


def contradictions(by_route: Mapping[str, list[Rule]]) -> Iterator[Problem]:
    """Rules of one route that set a header field to different values: a request that both match is denied."""
    told: set[tuple[str, str, bytes]] = set()
    for rules in by_route.values():
        first: dict[bytes, tuple[Rule, str]] = {}
        for rule, name, text in _texts(rules):
            other, before = first.setdefault(name, (rule, text))
            if before == text or not _meet(rule, other) or (rule.name, other.name, name) in told:
                continue
            told.add((rule.name, other.name, name))
            file, _, line = rule.place.rpartition(":")
            message = f"{rule.name} and {other.name} set {name.decode()} to different values: what both match is denied"
            hint = "let their conditions exclude one another"
            yield named("contradicting-fields", Problem(file, int(line), 1, "", message, hint, "warning"))


def _texts(rules: Sequence[Rule]) -> Iterator[tuple[Rule, bytes, str]]:
    """The header fields that enforced rules set to a value known at load."""
    for rule in rules:
        if rule.obligations is not None and not rule.shadow:
            for field in rule.obligations.set_headers:
                if field.text is not None:
                    yield rule, field.name, field.text


def _meet(one: Rule, other: Rule) -> bool:
    """Whether one request can be under both."""
    if one.methods is None or other.methods is None:
        return True
    return any(one.applies_to(method) for method in other.methods) or any(other.applies_to(method) for method in one.methods)


def any_issuer(loaded: Loaded[Roles], path: Steps, condition: Condition, issuers: frozenset[str]) -> Iterator[Problem]:
    """A role given by a condition on claims or groups that does not say whose: with several issuers, any of them can give it."""
    tokens = issuers - OWN_ISSUERS
    reads = {node.name for node in tree.walk(condition.tree) if isinstance(node, tree.Read)}
    if len(tokens) > 1 and "subject.issuer" not in reads:
        message = "the tokens of every issuer can give this role"
        yield named("any-issuer", loaded.problem(path, message, "compare subject.issuer too", severity="warning"))


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
