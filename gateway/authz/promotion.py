"""The evidence for enforcing a shadow rule: what it would have changed of what was really asked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.authz.difference import Group, Tally
from gateway.authz.recorded import Recorded, recorded
from gateway.authz.replay import Answer, Side, compare, held
from gateway.authz.rule import Rule

FEW: Final = 100
"""Requests below which there is not enough to go by."""


@dataclass(slots=True)
class Evidence:
    """What the trail says of one shadow rule.

    `asked` are requests on its routes and methods; `here` of them were recorded under this very configuration, where the trail
    tells what the rule would have decided, the others are asked again. `changes` would be answered otherwise.
    """

    rule: Rule
    asked: int = 0
    here: int = 0
    matched: int = 0
    errors: int = 0
    undecidable: int = 0
    changes: Group = field(default_factory=Group)
    routes: Tally = field(default_factory=Tally)
    first: str = ""
    last: str = ""

    def lacks(self, *, covered: bool) -> list[str]:
        """Why this is not enough to go by; nothing where it is. `covered`: cases have seen the rule in both outcomes."""
        found = []
        if self.asked < FEW:
            found.append(f"fewer than {FEW} requests")
        if not self.here:
            found.append("nothing recorded under this very configuration")
        if self.asked and not self.matched:
            found.append("it never matched")
        if self.undecidable:
            found.append(f"{self.undecidable} {'request' if self.undecidable == 1 else 'requests'} cannot be told")
        if not covered:
            found.append("no cases that see it in both outcomes")
        return found


def gather(events: Iterable[Mapping[str, Any]], side: Side, generation: str, rules: Iterable[Rule]) -> list[Evidence]:
    """The evidence for shadow rules of a side's policies; `generation` is that of the configuration they stand in."""
    found = [Evidence(rule) for rule in rules]
    for fields in events:
        event = recorded(fields)
        if event is None or event.route not in side.policies.facts:
            continue
        speaking = {row[2] for row in side.policies.route(event.route).cell(event.method).rows()}
        for evidence in found:
            if evidence.rule in speaking:
                _weigh(event, side, evidence, here=event.generation == generation)
    return found


def _weigh(event: Recorded, side: Side, evidence: Evidence, *, here: bool) -> None:
    evidence.asked += 1
    evidence.here += here
    evidence.first, evidence.last = evidence.first or event.stamp, event.stamp
    name = evidence.rule.name
    if here:
        evidence.errors += name in event.errors
    hidden = event.shadow is not None and event.shadow[0] != name
    if here and not hidden:
        evidence.matched += event.shadow is not None
        changes: bool | None = event.would_change
    else:
        changes = _replayed(event, side, evidence)
    if changes is None:
        evidence.undecidable += 1
    elif changes:
        evidence.changes.add(event.who, event.id)
        evidence.routes.add(event.route)


def _replayed(event: Recorded, side: Side, evidence: Evidence) -> bool | None:
    """Whether enforcing the rule would have changed the answer, as far as the trail tells."""
    has, name = held(side, event), evidence.rule.name
    verdict = compare(side.lines(event, has), side.lines(event, has, also=(name,)), Answer(event.allowed, event.rule))
    evidence.matched += {answer.rule for answer in verdict.new} == {name}
    return verdict.changes
