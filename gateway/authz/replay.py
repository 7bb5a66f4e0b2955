"""What policies would answer to requests of the trail: certainly allowed, certainly denied, or depending on what is not known.

Two policies are asked the same question in every world that the unknown could make, those left out in which the older one would not
have given the answer that was recorded. What is the same in all worlds that are left is certain.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Final

from gateway.authz.cel.values import NANOSECONDS, Timestamp
from gateway.authz.document import PolicyDocuments
from gateway.authz.easing import Demands, demands, easing
from gateway.authz.model import Binding
from gateway.authz.policy import Policies
from gateway.authz.recorded import MOST_CARRIED, Recorded
from gateway.authz.residual import Atom, Formula, Residuals, World, atoms, outcome, together
from gateway.authz.rule import Rule

MOST_ATOMS: Final = 6
"""Unknown parts of which all worlds are gone through: three to this power."""
REMEMBERED: Final = 4096
GRANT: Final = "granted"

Stated = tuple[bool, Sequence[str] | None]
"""What is stated with an API key: whether roles are, and the permissions, None for none."""


@dataclass(frozen=True, slots=True)
class Line:
    """One rule as far as a request decides it, and what it demands."""

    name: str
    allows: bool
    formula: Formula
    demands: Demands = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a policy says in some world. `rule` is None for default deny."""

    allowed: bool
    rule: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What two policies say in all worlds that are possible.

    `old` and `new` are all their answers; `changes` is whether the effect differs: None where that depends on what `unknown`
    names. `contradicts` is set where the older policy gives the recorded answer in no world. `easing` is what the new one demands
    less and more with an allow of both, None where that depends too.
    """

    old: frozenset[Answer]
    new: frozenset[Answer]
    changes: bool | None
    unknown: tuple[str, ...] = ()
    contradicts: bool = False
    easing: str | None = ""


@dataclass(slots=True)
class Side:
    """A set of policies that is asked about recorded requests. `of_key` knows what is stated with API keys, by their ids."""

    policies: Policies
    documents: PolicyDocuments
    of_key: Callable[[str], Stated]
    """Raises KeyError for the id of a key that nobody has any more."""
    ceilings: frozenset[str] = frozenset()
    """Issuers whose tokens' scopes bound what roles give."""
    residuals: Residuals = field(default_factory=Residuals)
    origin: str = ""
    demands: dict[Rule, Demands] = field(default_factory=dict)
    """What each rule demands, in words that can be compared with another side's."""

    def __post_init__(self) -> None:
        digest = hashlib.sha256()
        for loaded in self.documents.roles:
            digest.update(loaded.document.text.encode("utf-8", "surrogatepass") + b"\0")
        self.origin = digest.hexdigest()
        limits = self.policies.limits
        self.demands = {rule: demands(rule.obligations, limits) for rule in self.policies.rules if rule.obligations is not None}

    def lines(self, event: Recorded, held: "Held", *, also: Collection[str] = ()) -> tuple[Line, ...]:
        """The rules that are asked, in their order; shadow rules only where `also` names them, as if they were enforced.

        Raises KeyError for a route that these policies do not know.
        """
        policy = self.policies.route(event.route)
        access = event.access(self.policies.facts[event.route].upstream)
        principal = event.principal(tuple(sorted(held.roles)), held.permissions, held.mask)
        known = event.known | held.known
        found = []
        for _, _, rule in policy.cell(event.method).rows():
            if rule.shadow and rule.name not in also:
                continue
            condition = True if rule.condition is None else self.residuals.of(rule.condition.tree, (principal, access), known)
            formula = together(True, [held.grants(rule), condition])
            demanded = self.demands.get(rule, ())
            if formula is not False and not (rule.allows and formula is None and not demanded):
                found.append(Line(rule.name, rule.allows, formula, demanded))
        return tuple(sorted(found, key=lambda line: line.allows))


@dataclass(frozen=True, slots=True)
class Held:
    """What a principal of the trail holds under some policies: certainly `mask`, at most `possible`."""

    roles: frozenset[str]
    permissions: tuple[str, ...]
    mask: int
    possible: int
    certain: bool
    origin: str
    """Tells the unknown grants of two policies apart where they need not be alike."""

    @property
    def known(self) -> frozenset[str]:
        return frozenset({"subject.roles", "subject.permissions"}) if self.certain else frozenset()

    def grants(self, rule: Rule) -> Formula:
        """Whether the rule's permission is held."""
        if rule.need & self.mask == rule.need:
            return True
        if rule.need & self.possible != rule.need:
            return False
        return Atom(f"{GRANT} {self.origin} {rule.permission}", ("subject.permissions",), sure=True)


def held(side: Side, event: Recorded, before: Side | None = None) -> Held:
    """What the recorded roles give under a side's policies; `before` is the side under whose bindings they were given."""
    grant = side.policies.grant
    recorded = frozenset(event.roles)
    sure, maybe = (recorded, recorded) if before is None or before.origin == side.origin else _regranted(before, side, event)
    roles, most = grant.closure(sure), grant.closure(maybe)
    permissions, mask = grant.of_roles(roles)
    possible = grant.of_roles(most)[1]
    certain = roles == most and len(event.roles) < MOST_CARRIED
    if event.issuer in side.ceilings:
        return Held(roles, permissions, 0, possible, False, side.origin)
    if event.scheme == "api_key":
        return _of_key(side, event, Held(roles, permissions, mask, possible, certain, side.origin))
    return Held(roles, permissions, mask, possible, certain, side.origin)


def _of_key(side: Side, event: Recorded, found: Held) -> Held:
    """An API key's own permissions narrow those of roles, and without a role are all there is."""
    grant = side.policies.grant
    try:
        has_roles, stated = side.of_key(event.credential)
    except KeyError:
        return Held(found.roles, (), 0, grant.bits(["*:*"]), False, found.origin)
    if stated is None:
        return found
    bits = grant.bits(stated)
    if not event.roles and not has_roles:
        return Held(found.roles, tuple(sorted(set(stated))), bits, bits, found.certain, found.origin)
    return Held(found.roles, (), found.mask & bits, found.possible & bits, False, found.origin)


def _regranted(old: Side, new: Side, event: Recorded) -> tuple[frozenset[str], frozenset[str]]:
    """The roles a principal certainly has under other bindings, and those he may have.

    A role that another one of his extends may have come with it alone; one whose binding changed may have gone or come.
    """
    before, after = _bindings(old.documents), _bindings(new.documents)
    closure = old.policies.grant.closure
    recorded = frozenset(event.roles)
    gone = [role for binding in before if binding not in after for role in _gives(binding, event)]
    doubtful = closure(gone) & recorded
    sure = {role for role in recorded - doubtful if not any(role in closure([other]) for other in recorded - {role})}
    added = [binding for binding in after if binding not in before]
    maybe = {role for binding in added for role in _gives(binding, event)}
    lasting = [binding for binding in added if binding.subjects is not None and binding.expires_at is None]
    sure |= {role for binding in lasting for role in _gives(binding, event)}
    return frozenset(sure), recorded | maybe


def _bindings(documents: PolicyDocuments) -> list[Binding]:
    return [binding for loaded in documents.roles for binding in loaded.model.bindings]


def _gives(binding: Binding, event: Recorded) -> Iterator[str]:
    """The roles a binding could give to this principal."""
    if event.is_anonymous or (binding.issuer is not None and binding.issuer != event.issuer):
        return
    if binding.expires_at is not None and Timestamp.parse(binding.expires_at).nanoseconds <= event.time * NANOSECONDS:
        return
    if binding.groups is not None and not any(group.startswith(f"{event.issuer}:") for group in binding.groups):
        return
    if binding.subjects is not None and event.who not in binding.subjects:
        return
    yield from binding.only or ()
    if binding.role is not None:
        yield binding.role


@lru_cache(maxsize=REMEMBERED)
def compare(old: tuple[Line, ...], new: tuple[Line, ...], answered: Answer | None) -> Verdict:
    """What two policies say of one request that was `answered` so; None where the answer says nothing about the older one."""
    unknown = list(dict.fromkeys(atom for line in (*old, *new) for atom in atoms(line.formula)))
    reads = tuple(sorted({name for atom in unknown for name in atom.reads}))
    if len(unknown) > MOST_ATOMS:
        return Verdict(frozenset(), frozenset(), None, reads)
    pairs = [(answer(old, world), answer(new, world), _eased(old, new, world)) for world in worlds(unknown)]
    kept = [found for found in pairs if answered is None or found[0] == answered]
    contradicts = not kept
    kept = kept or pairs
    changes = {one.allowed is not other.allowed for one, other, _ in kept}
    ones, others = frozenset(found[0] for found in kept), frozenset(found[1] for found in kept)
    easings = {eased if one.allowed and other.allowed else "" for one, other, eased in kept}
    easing = easings.pop() if len(easings) == 1 else None
    return Verdict(ones, others, changes.pop() if len(changes) == 1 else None, reads, contradicts, easing)


def _eased(old: Sequence[Line], new: Sequence[Line], world: World) -> str:
    """What the allows of one side demand less and more than the other's in a world. One without a value demands all the same."""
    one, other = (
        [line.demands for line in lines if line.demands and outcome(line.formula, world) is not False] for lines in (old, new)
    )
    return easing(one, other) if one or other else ""


def worlds(unknown: Sequence[Atom]) -> Iterator[World]:
    """Every way that the unknown could be."""
    choices: list[tuple[bool | None, ...]] = [(True, False) if atom.sure else (True, False, None) for atom in unknown]
    for values in product(*choices):
        yield dict(zip(unknown, values, strict=True))


def answer(lines: Sequence[Line], world: World) -> Answer:
    """The answer in one world: the first deny that matches or has no value, else the first allow that matches."""
    for line in lines:
        found = outcome(line.formula, world)
        if found is True or (found is None and not line.allows):
            return Answer(line.allows, line.name)
    return Answer(False, None)
