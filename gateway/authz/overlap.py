"""Rules that change nothing: conditions that cannot hold, and rules that another one answers for wherever they speak."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.authz.cases import imagined
from gateway.authz.cel import tree
from gateway.authz.cel.condition import Condition
from gateway.authz.model import METHODS
from gateway.authz.policy import Policies, RouteFact, RoutePolicy
from gateway.authz.residual import Formula, Not, Residuals, Together, shape
from gateway.authz.rule import Rule
from gateway.core.decision import AccessRequest

CROWD: Final = 200
"""Rules of one cell above which they are not compared with each other."""
PLACED: Final = frozenset({"request.method", "resource.route", "resource.upstream"})
"""What is known of a request by the cell it falls into."""
MOST_CELLS: Final = 2000


@dataclass(slots=True)
class Overlap:
    """What was found of all rules. `shadowed` names for each rule one that answers for it; `crowded` are route, method, number."""

    never: list[Rule] = field(default_factory=list)
    shadowed: dict[Rule, Rule] = field(default_factory=dict)
    crowded: list[tuple[RouteFact, str, int]] = field(default_factory=list)


def overlap(policies: Policies) -> Overlap:
    """Look at every cell that a route serves."""
    found = Overlap()
    parts = {rule: conjuncts(rule) for rule in policies.rules}
    speaking: dict[Rule, list[tuple[RouteFact, str]]] = {rule: [] for rule in policies.rules}
    alive: set[Rule] = set()
    for fact, method, rules in _cells(policies):
        for rule in rules:
            speaking[rule].append((fact, method))
        if len(rules) > CROWD:
            found.crowded.append((fact, method, len(rules)))
            alive.update(rules)
            continue
        for rule in rules:
            by = _shadower(rule, rules, parts)
            if by is None:
                alive.add(rule)
            else:
                found.shadowed.setdefault(rule, by)
    found.shadowed = {rule: by for rule, by in found.shadowed.items() if rule not in alive}
    found.never = [rule for rule in policies.rules if speaking[rule] and _never(rule, speaking[rule])]
    for rule in found.never:
        found.shadowed.pop(rule, None)
    return found


def _cells(policies: Policies) -> Iterator[tuple[RouteFact, str, list[Rule]]]:
    """A route of each set of routes with the same rules, each method it serves, and the rules for that."""
    seen: set[tuple[int, str]] = set()
    for fact in policies.facts.values():
        policy: RoutePolicy = policies.route(fact.name)
        for method in fact.methods or METHODS:
            if (id(policy), method) not in seen:
                seen.add((id(policy), method))
                yield fact, method, [row[2] for row in policy.cell(method).rows()]


def _shadower(rule: Rule, rules: list[Rule], parts: Mapping[Rule, frozenset[Formula]]) -> Rule | None:
    """A rule of the cell that answers wherever this one would. Of two alike the one about fewer methods, or the later."""
    if rule.shadow:
        return None
    rank = _rank(rule, rules)
    for other in rules:
        if other is rule or other.shadow or not _covers(other, rule, parts):
            continue
        if _rank(other, rules) < rank or not _covers(rule, other, parts):
            return other
    return None


def _rank(rule: Rule, rules: list[Rule]) -> tuple[int, int]:
    return (-len(METHODS) - 1 if rule.methods is None else -len(rule.methods), rules.index(rule))


def _covers(one: Rule, other: Rule, parts: Mapping[Rule, frozenset[Formula]]) -> bool:
    """Whether `one` answers all that `other` answers: it asks for no more, and what `other` demands is not lost."""
    if one.allows and not other.allows:
        return False
    if one.allows is not other.allows:
        return one.condition is None
    if one.need not in (0, other.need) or other.obligations is not None:
        return False
    return parts[one] <= parts[other]


def conjuncts(rule: Rule) -> frozenset[Formula]:
    """The parts of a rule's condition that must all hold, alike ones equal."""
    if rule.condition is None:
        return frozenset()
    formula = Residuals().of(rule.condition.tree, (), frozenset())
    return frozenset(formula.items if isinstance(formula, Together) and formula.conjunction else (formula,)) - {True}


def _never(rule: Rule, cells: list[tuple[RouteFact, str]]) -> bool:
    """Whether the rule's condition cannot hold in any of its cells. A deny without a value denies, so it does speak."""
    if rule.condition is None:
        return False
    if contradicts(rule.condition):
        return True
    residuals = Residuals()
    if residuals.reads(rule.condition.tree).isdisjoint(PLACED):
        cells = cells[:1]
    if len(cells) > MOST_CELLS:
        return False  # nobody looks into all of them
    return all(_silent(rule, residuals.of(rule.condition.tree, (None, _asked(*cell)), PLACED)) for cell in cells)


def _silent(rule: Rule, formula: Formula) -> bool:
    return formula is False or (formula is None and rule.allows)


def _asked(fact: RouteFact, method: str) -> AccessRequest:
    return AccessRequest(imagined(method, "/", client=""), fact.name, fact.upstream, {}, 0.0)


def contradicts(condition: Condition) -> bool:
    """Whether parts of a condition exclude each other: a value compared with two constants, or a part beside its contrary."""
    formula = Residuals().of(condition.tree, (), frozenset())
    items = formula.items if isinstance(formula, Together) and formula.conjunction else ()
    if any(isinstance(item, Not) and item.operand in items for item in items):
        return True
    wanted: dict[str, set[tuple[bool, Any]]] = {}
    refused: dict[str, set[tuple[bool, Any]]] = {}
    for node in _conjuncts(condition.tree):
        for key, values, holds in _compared(node):
            if not holds:
                refused.setdefault(key, set()).update(values)
            else:
                wanted[key] = wanted[key] & values if key in wanted else set(values)
    return any(not values - refused.get(key, set()) for key, values in wanted.items())


def _conjuncts(node: tree.Tree) -> Iterator[tree.Tree]:
    if isinstance(node, tree.Junction) and node.conjunction:
        for item in node.items:
            yield from _conjuncts(item)
    else:
        yield node


def _compared(node: tree.Tree) -> Iterator[tuple[str, set[tuple[bool, Any]], bool]]:
    """What is compared with constants: its shape, the constants, and whether it must be one of them or none."""
    match node:
        case tree.Comparison(operator="==" | "!=" as operator, left=left, right=tree.Constant(value=value)) if not isinstance(
            left, tree.Constant
        ):
            yield from _one_of(left, [value], holds=operator == "==")
        case tree.Comparison(operator="==" | "!=" as operator, left=tree.Constant(value=value), right=right):
            yield from _one_of(right, [value], holds=operator == "==")
        case tree.Membership(value=value, container=tree.Constant(value=list() | tuple() as values)):
            yield from _one_of(value, list(values), holds=True)
        case _:
            return


def _one_of(node: tree.Tree, values: list[Any], *, holds: bool) -> Iterator[tuple[str, set[tuple[bool, Any]], bool]]:
    if all(isinstance(value, str | int | float | bool) for value in values):
        yield shape(node), {(isinstance(value, bool), value) for value in values}, holds
