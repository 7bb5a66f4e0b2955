"""Why a decision is what it is: every rule that was looked at, its conditions, and the values they compared.

For people with the right to see claims: the command line and operators. Never sent to a client. The same question gives the
same text (policy-language.md 2.3).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from gateway.authz.cel import tree
from gateway.authz.cel.condition import Clause
from gateway.authz.cel.errors import FAULTS
from gateway.authz.cel.evaluate import evaluate
from gateway.authz.cel.operations import boolean
from gateway.authz.policy import Policies
from gateway.authz.rule import Row, Rule, first
from gateway.core.decision import AccessRequest, Decision
from gateway.core.principal import Principal

WIDTH: Final = 56
SHOWN: Final = 120


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that an expression read, as text; None when it is missing."""

    name: str
    value: str | None

    def __str__(self) -> str:
        return f"{self.name} is missing" if self.value is None else f"{self.name} = {self.value}"


@dataclass(frozen=True, slots=True)
class ClauseTrace:
    """One expression with its result: None when it could not be evaluated."""

    source: str
    negated: bool
    result: bool | None
    leaves: tuple[Leaf, ...]


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule: whether the principal holds its permission, what its expressions gave, whether it matched."""

    rule: Rule
    granted: bool
    clauses: tuple[ClauseTrace, ...]
    matched: bool
    error: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with everything that led to it."""

    decision: Decision
    principal: Principal
    access: AccessRequest
    revision: str
    rules: tuple[RuleTrace, ...]

    def text(self) -> str:
        """For people, lines without a trailing newline."""
        lines = [self._head(), f"  {self._verdict()}"]
        for trace in self.rules:
            lines.extend(_rule_lines(trace))
        if self.decision.shadow is not None:
            name, allows = self.decision.shadow
            lines.append(f"  shadow: {name} would {'allow' if allows else 'deny'} it")
        return "\n".join(lines)

    def _head(self) -> str:
        facts = [
            f"{self.decision.effect.upper()}  {_printable(self.access.request.method)} {_printable(self.access.request.path)}",
            f"subject={_printable(self.principal.id)}",
            f"issuer={_printable(self.principal.issuer)}",
            f"route {self.access.route}",
            f"policy rev {self.revision}",
        ]
        return "   ".join(facts)

    def _verdict(self) -> str:
        decision = self.decision
        if decision.rule is not None:
            reason = next((trace.rule.reason for trace in self.rules if trace.rule.name == decision.rule), "")
            return f"{'allowed' if decision.allowed else 'denied'} by {decision.rule}   {decision.place}" + (
                f"   {reason}" if reason else ""
            )
        if decision.capped:
            return "default deny: the roles would allow it, the scopes of the token do not"
        asked = sum(not trace.rule.shadow for trace in self.rules)
        return f"default deny: no rule allowed it ({asked} looked at)"

    def data(self) -> dict[str, Any]:
        """For programs: nothing but what JSON has."""
        decision = self.decision
        return {
            "decision": decision.effect,
            "rule": decision.rule,
            "place": decision.place,
            "capped": decision.capped,
            "errors": list(decision.errors),
            "shadow": None if decision.shadow is None else {"rule": decision.shadow[0], "allow": decision.shadow[1]},
            "method": self.access.request.method,
            "path": self.access.request.path,
            "route": self.access.route,
            "subject": self.principal.id,
            "issuer": self.principal.issuer,
            "revision": self.revision,
            "rules": [_rule_data(trace) for trace in self.rules],
        }


def explain(policies: Policies, principal: Principal, access: AccessRequest) -> Explanation:
    """Decide, and say why. Raises KeyError for an unknown route and BadRequest query-invalid where deciding does."""
    policy = policies.route(access.route)
    decision = policy.decide(principal, access)
    traces = tuple(_traced(row, principal, access) for row in policy.cell(access.request.method).rows())
    return Explanation(decision, principal, access, policies.revision, traces)


def _traced(row: Row, principal: Principal, access: AccessRequest) -> RuleTrace:
    rule = row[2]
    errors: list[str] = []
    matched = first((row,), principal, access, principal.mask, errors) is not None
    clauses = rule.condition.clauses if rule.condition is not None else ()
    traced = tuple(_clause(clause, (principal, access)) for clause in clauses)
    return RuleTrace(rule, rule.need & principal.mask == rule.need, traced, matched, bool(errors))


def _clause(clause: Clause, arguments: tuple[Any, ...]) -> ClauseTrace:
    try:
        result: bool | None = boolean(evaluate(clause.tree, arguments))
    except FAULTS:
        result = None
    leaves = {leaf.name: leaf for leaf in (_leaf(clause, node, arguments) for node in _read(clause.tree))}
    return ClauseTrace(" ".join(clause.source.split()), clause.negated, result, tuple(leaves.values()))


def _read(node: tree.Tree) -> Iterator[tree.Tree]:
    """The longest paths into attributes: `subject.claims.org_id` rather than `subject.claims`."""
    if isinstance(node, tree.Has):
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


def _leaf(clause: Clause, node: tree.Tree, arguments: tuple[Any, ...]) -> Leaf:
    try:
        value = evaluate(node, arguments)
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


def _printable(text: str) -> str:
    """Without anything that could redraw a terminal."""
    return repr(text)[1:-1] if not text.isprintable() else text


def _rule_lines(trace: RuleTrace) -> Iterator[str]:
    rule = trace.rule
    good = trace.matched is rule.allows
    effect = "" if rule.allows else " (deny)"
    mode = " (shadow)" if rule.shadow else ""
    facts = [f"{rule.name}{effect}{mode}", rule.place]
    if rule.permission is not None:
        facts.append(f"permission {rule.permission}: {'yes' if trace.granted else 'no'}")
    facts.append(("matched" if trace.matched else "not matched") + (", a condition has no value" if trace.error else ""))
    yield f"  {'✓' if good else '✗'} {'   '.join(facts)}"
    for clause in trace.clauses:
        yield from _clause_lines(clause)


def _clause_lines(trace: ClauseTrace) -> Iterator[str]:
    result = "error" if trace.result is None else str(trace.result).lower()
    source = f"unless {trace.source}" if trace.negated else trace.source
    yield f"      {source:<{WIDTH}}  {result}"
    if trace.leaves:
        yield f"        {'   '.join(str(leaf) for leaf in trace.leaves)}"


def _rule_data(trace: RuleTrace) -> dict[str, Any]:
    rule = trace.rule
    return {
        "rule": rule.name,
        "place": rule.place,
        "effect": "allow" if rule.allows else "deny",
        "mode": "shadow" if rule.shadow else "enforce",
        "permission": rule.permission,
        "granted": trace.granted,
        "matched": trace.matched,
        "error": trace.error,
        "conditions": [
            {
                "source": clause.source,
                "unless": clause.negated,
                "result": clause.result,
                "values": [{"name": leaf.name, "value": leaf.value} for leaf in clause.leaves],
            }
            for clause in trace.clauses
        ],
    }
