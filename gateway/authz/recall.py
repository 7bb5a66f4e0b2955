"""A recorded request explained: what the trail tells of it, and what these policies make of that."""

from dataclasses import dataclass

from gateway.authz.explain import RuleTrace, Sight, traced
from gateway.authz.recorded import Recorded
from gateway.authz.replay import Answer, Held, Side, Verdict, compare, held
from gateway.authz.rule import Rule
from gateway.core.decision import AccessRequest
from gateway.core.principal import Principal


@dataclass(frozen=True, slots=True)
class Recall:
    """One recorded request as these policies see it. `verdict` says whether they can have given the recorded answer."""

    event: Recorded
    principal: Principal
    access: AccessRequest
    verdict: Verdict
    rules: tuple[RuleTrace, ...]


def recall(side: Side, event: Recorded) -> Recall:
    """Ask the policies about a recorded request. Raises KeyError for a route they do not know."""
    policy, has = side.policies.route(event.route), held(side, event)
    access = event.access(side.policies.facts[event.route].upstream)
    principal = event.principal(tuple(sorted(has.roles)), has.permissions, has.mask)
    sight = Sight(principal, access, event.known | has.known)
    lines = side.lines(event, has)
    verdict = compare(lines, lines, Answer(event.allowed, event.rule))
    traces = [traced(row, sight, granted=_granted(has, row[2])) for row in policy.cell(event.method).rows()]
    return Recall(event, principal, access, verdict, tuple(traces))


def _granted(has: Held, rule: Rule) -> bool | None:
    found = has.grants(rule)
    return found if isinstance(found, bool) else None
