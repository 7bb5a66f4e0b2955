"""An explanation as text for people, and as data for programs. Nothing in it can redraw a terminal."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from gateway.authz.demanded import unmet
from gateway.authz.explain import ClauseTrace, Explanation, Leaf, Part, RuleTrace
from gateway.core.decision import AccessRequest
from gateway.core.principal import Principal

WIDTH: Final = 56
MARKS: Final = {True: "✓", False: "✗", None: "?"}
UNDECIDED: Final = "undecidable from the trail"


def text(explanation: Explanation, notes: Sequence[str] = ()) -> str:
    """For people, lines without a trailing newline. `notes` are told after the verdict."""
    decision = explanation.decision
    head = question(explanation.access, explanation.principal, explanation.revision)
    unmet = _unmet(explanation)
    first = f"CHALLENGE  {head}   step-up not met: {', '.join(unmet)}" if unmet else f"{decision.effect.upper()}  {head}"
    demands = [f"  demands {key}: {printable('; '.join(values))}" for key, values in explanation.demands.items()]
    noted = [f"  {printable(note)}" for note in notes]
    lines = [first, f"  {_verdict(explanation)}", *noted, *demands, *rules(explanation.rules)]
    if decision.shadow is not None:
        name, allows = decision.shadow
        lines.append(f"  shadow: {name} would {'allow' if allows else 'deny'} it")
    return "\n".join(lines)


def data(explanation: Explanation) -> dict[str, Any]:
    """For programs: nothing but what JSON has."""
    decision = explanation.decision
    return {
        "decision": decision.effect,
        "step_up_not_met": _unmet(explanation),
        "rule": decision.rule,
        "place": decision.place,
        "capped": decision.capped,
        "errors": list(decision.errors),
        "shadow": None if decision.shadow is None else {"rule": decision.shadow[0], "allow": decision.shadow[1]},
        "method": explanation.access.request.method,
        "path": explanation.access.request.path,
        "route": explanation.access.route,
        "subject": explanation.principal.id,
        "issuer": explanation.principal.issuer,
        "revision": explanation.revision,
        "demands": dict(explanation.demands),
        "rules": [rule_data(trace) for trace in explanation.rules],
    }


def question(access: AccessRequest, principal: Principal, revision: str) -> str:
    """What was asked, by whom, of which policies."""
    facts = [
        f"{printable(access.request.method)} {printable(access.request.path)}",
        f"subject={printable(principal.id)}",
        f"issuer={printable(principal.issuer)}",
        f"route {access.route}",
        f"policy rev {revision}",
    ]
    return "   ".join(facts)


def rules(traces: tuple[RuleTrace, ...]) -> Iterator[str]:
    """The lines of all rules."""
    for trace in traces:
        yield from _rule(trace)


def printable(text: str) -> str:
    """Without anything that could redraw a terminal."""
    return repr(text)[1:-1] if not text.isprintable() else text


def _unmet(explanation: Explanation) -> list[str]:
    return unmet(explanation.decision, explanation.principal, explanation.access)


def _verdict(explanation: Explanation) -> str:
    decision = explanation.decision
    if decision.rule is not None:
        reason = next((trace.rule.reason for trace in explanation.rules if trace.rule.name == decision.rule), "")
        words = f"{'allowed' if decision.allowed else 'denied'} by {decision.rule}   {decision.place}"
        return words + (f"   {reason}" if reason else "")
    if decision.capped:
        return "default deny: the roles would allow it, the scopes of the token do not"
    asked = sum(not trace.rule.shadow for trace in explanation.rules)
    return f"default deny: no rule allowed it ({asked} looked at)"


def _rule(trace: RuleTrace) -> Iterator[str]:
    rule = trace.rule
    good = None if trace.matched is None else trace.matched is rule.allows
    effect = "" if rule.allows else " (deny)"
    mode = " (shadow)" if rule.shadow else ""
    facts = [f"{rule.name}{effect}{mode}", rule.place]
    if rule.permission is not None:
        facts.append(f"permission {rule.permission}: {({True: 'yes', False: 'no', None: UNDECIDED})[trace.granted]}")
    matched = {True: "matched", False: "not matched", None: UNDECIDED}[trace.matched]
    facts.append(matched + (", a condition has no value" if trace.error else ""))
    yield f"  {MARKS[good]} {'   '.join(facts)}"
    for clause in trace.clauses:
        yield from _clause(clause)


def _clause(trace: ClauseTrace) -> Iterator[str]:
    source = f"unless {trace.whole.source}" if trace.negated else trace.whole.source
    yield f"      {source:<{WIDTH}}  {_result(trace.whole)}"
    if not trace.parts:
        yield from _leaves(trace.whole.leaves, "        ")
    for part in trace.parts:
        yield f"        {part.source:<{WIDTH - 2}}  {_result(part)}"
        yield from _leaves(part.leaves, "          ")


def _leaves(leaves: tuple[Leaf, ...], start: str) -> Iterator[str]:
    if leaves:
        yield start + "   ".join(str(leaf) for leaf in leaves)


def _result(part: Part) -> str:
    if part.unknown:
        return UNDECIDED
    error = f"error: {printable(part.fault)}" if part.fault else "error"
    result = error if part.result is None else str(part.result).lower()
    return f"{result:<5}   {printable(part.element)}" if part.element else result


def rule_data(trace: RuleTrace) -> dict[str, Any]:
    """One rule, for programs."""
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
                **_part(clause.whole),
                "unless": clause.negated,
                "deciding": [_part(part) for part in clause.parts],
            }
            for clause in trace.clauses
        ],
    }


def _part(part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {
        "source": part.source,
        "result": part.result,
        "values": [{"name": leaf.name, "value": leaf.value} for leaf in part.leaves],
    }
    if part.element:
        found["element"] = part.element
    if part.fault:
        found["error"] = part.fault
    return found | ({"unknown": list(part.unknown)} if part.unknown else {})
