"""What a policy would answer before there is a request: who asks is known, and which route and method; what a request says is not.

The rules are those that `decide` asks, in its order. An answer is certain only where it is the same in every world that the unknown
could make; what costs too much to find out counts as denied, so that nothing is promised or shown that is not so.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final

from gateway.authz.policy import RoutePolicy
from gateway.authz.replay import Line, answer, worlds
from gateway.authz.residual import COSTLY, Formula, Residuals, atoms
from gateway.authz.rule import Row, Rule
from gateway.authz.step_up import unfulfilled
from gateway.core.decision import AccessRequest
from gateway.core.obligations import Obligations
from gateway.core.principal import Principal

BEFORE: Final = frozenset(
    {
        "subject.id",
        "subject.issuer",
        "subject.scheme",
        "subject.groups",
        "subject.scopes",
        "subject.claims",
        "subject.roles",
        "subject.permissions",
        "env.now",
    }
)
"""Names whose values are there before there is a request, and are the same for every route."""
PLACED: Final = frozenset({"resource.route", "resource.upstream", "request.method"})
"""Names whose values the route and the method give."""
KNOWN: Final = BEFORE | PLACED
MOST_ATOMS: Final = 6
"""Unknown parts of which all worlds are gone through; with more of them an answer depends."""
REMEMBERED: Final = 4096


class Prospect(StrEnum):
    """What awaits a request that is not there yet."""

    ALLOWED = "allowed"
    CONDITIONAL = "conditional"
    DENIED = "denied"


class Prospects:
    """What one principal may expect at one moment. Everything that is asked of it spends from one purse."""

    __slots__ = ("_formulas", "_principal", "_residuals", "costly")

    def __init__(self, principal: Principal, residuals: Residuals) -> None:
        self._principal = principal
        self._residuals = residuals
        self._formulas: dict[Rule, Formula] = {}
        self.costly = False
        """Whether something was not found out because it costs too much."""

    def of(self, policy: RoutePolicy, access: AccessRequest) -> Prospect:
        """What a request like this one meets; of `access` only the route, the upstream, the method and the time are read."""
        routes = self._principal.routes
        if routes is not None and not routes.has(access.route):
            return Prospect.DENIED
        cell = policy.cell(access.request.method)
        denies, allows = self._told(cell.denies, access), self._told(cell.allows, access)
        if any(formula is True or formula is None for _, formula in denies):
            return Prospect.DENIED
        lines = tuple(Line(rule.name, rule.allows, formula) for rule, formula in (*denies, *allows) if formula is not None)
        if any(COSTLY in atoms(line.formula) for line in lines):
            self.costly = True
            return Prospect.DENIED
        found = judged(lines)
        if found is Prospect.ALLOWED and refusing([rule.obligations for rule, _ in allows], self._principal, access):
            return Prospect.CONDITIONAL
        return found

    def _told(self, rows: Sequence[Row], access: AccessRequest) -> list[tuple[Rule, Formula]]:
        """The rules whose permission is held and whose condition is not certainly false."""
        mask = self._principal.mask
        held = [(rule, self._formula(rule, access)) for need, _, rule in rows if need & mask == need]
        return [(rule, formula) for rule, formula in held if formula is not False]

    def _formula(self, rule: Rule, access: AccessRequest) -> Formula:
        if rule.condition is None:
            return True
        if rule in self._formulas:
            return self._formulas[rule]
        tree = rule.condition.tree
        found = self._residuals.of(tree, (self._principal, access), KNOWN)
        if self._residuals.reads(tree).isdisjoint(PLACED):
            self._formulas[rule] = found
        return found


@lru_cache(maxsize=REMEMBERED)
def judged(lines: tuple[Line, ...]) -> Prospect:
    """The answer that is the same in all worlds, if there is one."""
    if not any(line.allows for line in lines):
        return Prospect.DENIED
    unknown = list(dict.fromkeys(atom for line in lines for atom in atoms(line.formula)))
    if len(unknown) > MOST_ATOMS:
        return Prospect.CONDITIONAL
    answers = {answer(lines, world).allowed for world in worlds(unknown)}
    if len(answers) > 1:
        return Prospect.CONDITIONAL
    return Prospect.ALLOWED if answers.pop() else Prospect.DENIED


def refusing(demanded: Iterable[Obligations | None], principal: Principal, access: AccessRequest) -> bool:
    """Whether what allows demand may refuse a request that they allow: a stronger login, a field without one value, an answer
    that may not be seen."""
    found = [each for each in demanded if each is not None]
    if any(unfulfilled(step, principal.claims, access.now) for each in found for step in each.step_up):
        return True
    fields = {(field.name, field.text) for each in found for field in each.set_headers}
    return any(each.require for each in found) or any(text is None for _, text in fields) or len(fields) > len(dict(fields))
