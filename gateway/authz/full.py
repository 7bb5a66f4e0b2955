"""What an event that is to tell everything tells of a decision: the rules that were looked at, and the values they compared.

Never a header's, the query's or the body's value, and never more than MOST characters.
"""

from typing import Any, Final

from gateway.authz.cel.limits import MAX_TRACED
from gateway.authz.explain import Part, RuleTrace, Sight, looked_at
from gateway.authz.policy import RoutePolicy
from gateway.core.decision import AccessRequest
from gateway.core.errors import BadRequest
from gateway.core.principal import Principal

MOST: Final = 4096
TOLD: Final = ("subject.", "resource.", "request.method", "request.client_ip", "env.now")
"""Beginnings of the names whose values are told."""

Told = dict[str, Any]
"""One rule: `rule`, `effect`, `mode`, `granted`, `matched`, `conditions` (true, false, null for no value, or why it was
not evaluated), `values` by name."""


def trace(policy: RoutePolicy, principal: Principal, access: AccessRequest) -> tuple[Told, ...]:
    """The rules for the request's method in the order they are asked; what is too much ends with how many are left out."""
    try:
        traces = looked_at(policy, Sight(principal, access, purse=[MAX_TRACED], told=TOLD))
    except BadRequest:  # a shadow rule reads a query that cannot be decoded: nothing may come of that
        return ()
    told: list[Told] = []
    room = MOST
    for number, looked in enumerate(traces):
        rule = told_of(looked)
        room -= len(repr(rule))
        if room < 0:
            return (*told, {"left_out": len(traces) - number})
        told.append(rule)
    return tuple(told)


def told_of(looked: RuleTrace) -> Told:
    """One rule."""
    rule = looked.rule
    return {
        "rule": rule.name,
        "effect": "allow" if rule.allows else "deny",
        "mode": "shadow" if rule.shadow else "enforce",
        "granted": looked.granted,
        "matched": looked.matched,
        "conditions": [_given(clause.whole) for clause in looked.clauses],
        "values": {leaf.name: leaf.value for clause in looked.clauses for leaf in clause.whole.leaves},
    }


def _given(whole: Part) -> bool | str | None:
    return whole.unknown[0] if whole.unknown else whole.result
