"""Why a decision is what it is: every rule that was looked at, its conditions, and the values they compared.

For people with the right to see claims: the command line and operators. Never sent to a client. The same question gives the
same explanation; `trace` shows it (policy-language.md 2.3).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.authz.cel import tree
from gateway.authz.cel.condition import Clause
from gateway.authz.cel.errors import FAULTS, EvaluationError
from gateway.authz.cel.evaluate import evaluate
from gateway.authz.cel.limits import MAX_SPENT, Purse
from gateway.authz.cel.operations import boolean
from gateway.authz.demanded import described
from gateway.authz.elements import element
from gateway.authz.policy import Policies, RoutePolicy
from gateway.authz.residual import Atom, Formula, Not, Residuals, Together, negated, together
from gateway.authz.rule import Row, Rule
from gateway.core.decision import AccessRequest, Decision
from gateway.core.principal import Principal

SHOWN: Final = 120
MOST_PARTS: Final = 16
"""Sub-conditions of one expression that are told."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that an expression read, as text; None when it is missing. `untold` where nobody knows whether it is."""

    name: str
    value: str | None
    untold: bool = False

    def __str__(self) -> str:
        if self.untold:
            return f"{self.name} is not in the trail"
        return f"{self.name} is missing" if self.value is None else f"{self.name} = {self.value}"


@dataclass(frozen=True, slots=True)
class Part:
    """An expression or a part of one with its result: None when it could not be evaluated. `unknown` are the names it reads that
    nobody knows, where that leaves the result open. `element` says what decided a macro, `fault` why there is no result."""

    source: str
    result: bool | None
    leaves: tuple[Leaf, ...]
    unknown: tuple[str, ...] = ()
    element: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class ClauseTrace:
    """One expression of a rule. `parts` are those of its sub-conditions that decided, where it has several."""

    whole: Part
    negated: bool
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule: whether the principal holds its permission, what its expressions gave, whether it matched. None: nobody knows."""

    rule: Rule
    granted: bool | None
    clauses: tuple[ClauseTrace, ...]
    matched: bool | None
    error: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with everything that led to it."""

    decision: Decision
    principal: Principal
    access: AccessRequest
    revision: str
    rules: tuple[RuleTrace, ...]
    demands: Mapping[str, list[str]]
    """What an allow demands: the keys of `then:`, each with what it says."""


class Sight:
    """What can be seen of a question. `known` are the names that can be read; None for all of them. `purse` is what looking may
    cost, None where nobody waits for it; `told` are the beginnings of names whose values are asked for."""

    def __init__(
        self,
        principal: Principal,
        access: AccessRequest,
        known: frozenset[str] | None = None,
        *,
        purse: Purse | None = None,
        told: tuple[str, ...] = ("",),
    ) -> None:
        self.principal, self.access = principal, access
        self.arguments: tuple[Any, ...] = (principal, access)
        self.known = known
        self.told = told
        self.unhurried = purse is None
        self._residuals = Residuals(purse)

    def formula(self, node: tree.Tree) -> Formula:
        """What an expression gives, or what that depends on."""
        return self._residuals.of(node, self.arguments, self._residuals.reads(node) if self.known is None else self.known)

    def sees(self, node: tree.Tree) -> bool:
        """Whether everything an expression reads is known."""
        return self.known is None or self._residuals.reads(node) <= self.known


def explain(policies: Policies, principal: Principal, access: AccessRequest) -> Explanation:
    """Decide, and say why. Raises KeyError for an unknown route and BadRequest query-invalid where deciding does."""
    policy = policies.route(access.route)
    decision = policy.decide(principal, access)
    demands = described(policies, decision, principal, access)
    return Explanation(decision, principal, access, policies.revision, looked_at(policy, Sight(principal, access)), demands)


def looked_at(policy: RoutePolicy, sight: Sight) -> tuple[RuleTrace, ...]:
    """Every rule for the request's method, in the order they are asked. Raises BadRequest query-invalid as deciding does."""
    mask = sight.principal.mask
    found = policy.cell(sight.access.request.method).rows()
    return tuple(traced(row, sight, granted=row[0] & mask == row[0]) for row in found)


def traced(row: Row, sight: Sight, *, granted: bool | None) -> RuleTrace:
    """One rule looked at; `granted` says whether its permission is held."""
    rule = row[2]
    clauses = rule.condition.clauses if rule.condition is not None else ()
    formulas = [negated(found) if each.negated else found for each in clauses for found in (sight.formula(each.tree),)]
    condition = together(True, formulas) if clauses else True
    matched = _matched(rule, granted, condition)
    error = condition is None and granted is not False
    return RuleTrace(rule, granted, tuple(_clause(each, sight) for each in clauses), matched, error)


def _matched(rule: Rule, granted: bool | None, condition: Formula) -> bool | None:
    """A condition without a value never helps the client; one that nobody knows leaves the rule open."""
    if granted is False or condition is False:
        return False
    if condition is None:
        return not rule.allows
    return True if granted and condition is True else None


def _clause(clause: Clause, sight: Sight) -> ClauseTrace:
    whole = _part(clause, clause.tree, sight)
    found = list(_deciding(clause.tree, whole.result, bool(whole.unknown), sight))[:MOST_PARTS]
    parts = tuple(_part(clause, node, sight) for node in found) if len(found) > 1 or found[:1] != [clause.tree] else ()
    return ClauseTrace(whole, clause.negated, parts)


def _part(clause: Clause, node: tree.Tree, sight: Sight) -> Part:
    formula = sight.formula(node)
    unknown = tuple(sorted({name for atom in _atoms(formula) for name in atom.reads}))
    result = formula if isinstance(formula, bool) else None
    read = [part for part in _read(node) if _name(clause, part).startswith(sight.told)]
    leaves = {leaf.name: leaf for leaf in (_leaf(clause, part, sight) for part in read)}
    source = clause.source if node is clause.tree else clause.text(node)
    seen = sight.unhurried and sight.sees(node)
    told = element(node, sight.arguments, _shown) if seen else ""
    fault = _fault(node, sight) if formula is None and seen else ""
    return Part(" ".join(source.split()), result, tuple(leaves.values()), unknown, told, fault)


def _fault(node: tree.Tree, sight: Sight) -> str:
    """Why an expression has no value, without anything of the values."""
    try:
        boolean(evaluate(node, sight.arguments, [MAX_SPENT]))
    except EvaluationError as error:
        return str(error)
    except RecursionError:
        return "nested too deeply"
    except LookupError:
        return "no such key"
    except FAULTS:
        return "the values do not fit"
    return ""


def _atoms(formula: Formula) -> Iterator[Atom]:
    match formula:
        case Atom():
            yield formula
        case Not(operand=operand):
            yield from _atoms(operand)
        case Together(items=items):
            for item in items:
                yield from _atoms(item)
        case _:
            return


def _deciding(node: tree.Tree, result: bool | None, is_open: bool, sight: Sight) -> Iterator[tree.Tree]:
    """The sub-conditions that made an expression what it is: of a false `&&` those that are not true, and so on."""
    match node:
        # What a definition of `let` is made of stands nowhere in this expression.
        case tree.Junction(conjunction=conjunction, items=items) if all(item.span != node.span for item in items):
            for item in items:
                formula = sight.formula(item)
                if result is not None and not is_open and result is not conjunction and formula is not result:
                    continue
                if (result is None or is_open) and formula is conjunction:
                    continue
                value = formula if isinstance(formula, bool) else None
                yield from _deciding(item, value, any(True for _ in _atoms(formula)), sight)
        case tree.Negation(operand=operand):
            yield from _deciding(operand, None if result is None else not result, is_open, sight)
        case _:
            yield node


def _read(node: tree.Tree) -> Iterator[tree.Tree]:
    """The longest paths into attributes: `subject.claims.org_id` rather than `subject.claims`."""
    if isinstance(node, tree.Has) and _is_path(node.operand):
        yield tree.Field(node.span, node.type, node.operand, node.name)
    elif _is_path(node):
        yield node
    else:
        for part in tree.below(node):
            yield from _read(part)


def _is_path(node: tree.Tree) -> bool:
    match node:
        case tree.Read():
            return True
        case tree.Field(operand=operand):
            return _is_path(operand)
        case tree.Item(operand=operand, key=key):
            return isinstance(key, tree.Constant) and _is_path(operand)
        case _:
            return False


def _leaf(clause: Clause, node: tree.Tree, sight: Sight) -> Leaf:
    if not sight.sees(node):
        return Leaf(_name(clause, node), None, untold=True)
    try:
        value = evaluate(node, sight.arguments)
    except FAULTS:
        return Leaf(_name(clause, node), None)
    return Leaf(_name(clause, node), _shown(value))


def _name(clause: Clause, node: tree.Tree) -> str:
    """The path as it would be written, also for one inside `has()` or over several lines."""
    match node:
        case tree.Read(name=name):
            return name
        case tree.Field(operand=operand, name=name):
            start = _name(clause, operand)
            return f"{start}.{name}" if name.isidentifier() else f"{start}[{name!r}]"
        case tree.Item(operand=operand, key=tree.Constant(value=value)):
            return f"{_name(clause, operand)}[{value!r}]"
        case _:
            return " ".join(clause.text(node).split())


def _shown(value: Any) -> str:
    """A value as CEL would write it, on one line, cut where it is long."""
    match value:
        case True | False:
            text = str(value).lower()
        case None:
            text = "null"
        case tuple():
            text = repr(list(value))
        case str() | int() | float() | list() | dict():
            text = repr(value)
        case _:
            text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
