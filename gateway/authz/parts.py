"""Compiled policies before they are put together: what one process compiles and another one asks.

A parcel of them is a list of pieces, each of them short to take up: while one is, nothing else runs in the process. Both ends are
processes of one gateway and of one version; what travels is as trusted as the code itself.
"""

import hashlib
import marshal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

from gateway.authz.bindings import Bindings
from gateway.authz.cel.condition import Condition, unfold
from gateway.authz.cel.travel import Shared
from gateway.authz.grant import Granter
from gateway.authz.permissions import Numbering
from gateway.authz.policy import Policies, RouteFact, RoutePolicy
from gateway.authz.roles import Resolved
from gateway.authz.rule import Rule
from gateway.config.packing import taken
from gateway.config.values import Rate
from gateway.core.errors import Problem

PIECE: Final = 100
"""Rules and conditions that are taken up at once: about a millisecond."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that policies are made of. `routes` names for each route the numbers of the rules that speak about it."""

    rules: tuple[Rule, ...]
    routes: Mapping[str, tuple[int, ...]]
    roles: Mapping[str, Resolved]
    bindings: Bindings
    permissions: tuple[str, ...]
    revision: str
    limits: Mapping[str, Rate]


@dataclass(frozen=True, slots=True)
class Compiled:
    """What became of all documents: parts, or None where a problem is an error. `terms` says what they were compiled for."""

    terms: str
    parts: Parts | None
    problems: list[Problem]


def terms(*facts: object) -> str:
    """A digest of what a compilation depends on beside the documents; the facts are such that `repr` tells them apart."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def assemble(parts: Parts, facts: Iterable[RouteFact], now: Callable[[], float]) -> Policies:
    """Policies to be asked. The facts are those that the parts were compiled for; bindings end by `now`, Unix time."""
    numbering = Numbering(parts.permissions)
    return Policies(
        Granter(parts.roles, parts.bindings, numbering, now),
        _indexed(parts),
        facts={fact.name: fact for fact in facts},
        rules=parts.rules,
        roles=frozenset(parts.roles),
        revision=parts.revision,
        limits=parts.limits,
    )


def _indexed(parts: Parts) -> dict[str, RoutePolicy]:
    """Routes that the same rules speak about share one index."""
    shared: dict[tuple[int, ...], RoutePolicy] = {}
    indexed: dict[str, RoutePolicy] = {}
    for name, numbers in parts.routes.items():
        if numbers not in shared:
            shared[numbers] = RoutePolicy(parts.rules[number] for number in numbers)
        indexed[name] = shared[numbers]
    return indexed


# The parcel


def pack(compiled: Compiled) -> list[bytes]:
    """For another process: a head, shared sets, conditions, and the rules that refer to them by number."""
    parts = compiled.parts
    problems = [astuple(problem) for problem in compiled.problems]
    if parts is None:
        return [marshal.dumps((compiled.terms, problems, 0))]
    shared = Shared()
    conditions = list(dict.fromkeys(rule.condition for rule in parts.rules if rule.condition is not None))
    numbers = {condition: number for number, condition in enumerate(conditions)}
    folded = [marshal.dumps([condition.fold(shared) for condition in piece]) for piece in _pieces(conditions)]
    rules = [shared.dump([_taken_apart(rule, numbers) for rule in piece]) for piece in _pieces(parts.rules)]
    rest = shared.dump((parts.routes, parts.roles, parts.bindings, parts.permissions, parts.revision, parts.limits))
    return [marshal.dumps((compiled.terms, problems, len(folded))), shared.content(), rest, *folded, *rules]


def take(packed: Sequence[bytes | memoryview]) -> Compiled:
    """What `pack` was given. Conditions unfold the rest of themselves when it is asked for."""
    asked_for, written, count = taken(packed[0])
    problems = [Problem(*problem) for problem in written]
    if len(packed) == 1:
        return Compiled(asked_for, None, problems)
    shared = Shared.of(packed[1])
    rest = shared.load(packed[2])
    conditions = [unfold(content, shared) for piece in packed[3 : 3 + count] for content in taken(piece)]
    rules = tuple(_put_together(fields, conditions) for piece in packed[3 + count :] for fields in shared.load(piece))
    return Compiled(asked_for, Parts(rules, *rest), problems)


def _pieces(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), PIECE):
        yield items[start : start + PIECE]


def _taken_apart(rule: Rule, numbers: Mapping[Condition, int]) -> tuple[Any, ...]:
    number = None if rule.condition is None else numbers[rule.condition]
    others = (rule.allows, rule.methods, rule.permission, rule.need, rule.shadow, rule.reason, rule.obligations, rule.reads_body)
    return (rule.name, rule.place, number, *others)


def _put_together(fields: tuple[Any, ...], conditions: Sequence[Condition]) -> Rule:
    name, place, number, allows, methods, permission, need, shadow, reason, obligations, reads_body = fields
    return Rule(
        name,
        place,
        allows=allows,
        methods=methods,
        permission=permission,
        need=need,
        condition=None if number is None else conditions[number],
        shadow=shadow,
        reason=reason,
        obligations=obligations,
        reads_body=reads_body,
    )
