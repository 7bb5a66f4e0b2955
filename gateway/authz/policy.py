"""Decide and enforce: one answer for one question, and the proof of an allowing one.

Nothing is allowed unless a rule allows it; any matching deny wins; a condition that cannot be evaluated never helps the
client; shadow rules are evaluated afterwards and change nothing (policy-language.md 2.2).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.authz.grant import Granter
from gateway.authz.model import METHODS
from gateway.authz.obliged import obliged
from gateway.authz.rule import Row, Rule, first, rows
from gateway.authz.step_up import demand
from gateway.config.values import Rate
from gateway.core.decision import AccessRequest, Decision, Permit
from gateway.core.errors import BadRequest, Forbidden
from gateway.core.principal import Principal
from gateway.core.reason import Reason

CROWDED: Final = 8
"""Allow rules of a cell; with more of them it remembers what a mask leaves."""
MASKS: Final = 64
"""Masks that a cell remembers: principals with the same roles have the same."""
DENIED: Final = Decision(False, None)
"""Default deny with nothing to report; requests share it, nobody changes it."""
OUTSIDE: Final = Decision(False, None)
"""The credential is for other routes: no rule is asked."""
# RFC 6750 3.1: the challenge of a 403 that a token with more scopes would not get.
INSUFFICIENT_SCOPE: Final = ((b"www-authenticate", b'Bearer error="insufficient_scope"'),)


@dataclass(frozen=True, slots=True)
class RouteFact:
    """What a policy may know of a route. `methods` is None for any; `file`, `line` and `column` say where it is configured.

    `described`: an OpenAPI description names parameters of its paths, which policies do not see.
    """

    name: str
    methods: tuple[str, ...] | None
    upstream: str
    params: tuple[str, ...]
    file: str = ""
    line: int = 0
    column: int = 0
    described: bool = False


class Cell:
    """The rules of one route for one method: enforced ones, and shadow ones where there are any. `obliged` are the allows where
    some demand something; `reads_body` tells whether rules read the request's body, `shadow_reads_body` only shadow ones do.
    `crowded` remembers the allows that a mask leaves, where looking at all of them is most of a decision's work."""

    __slots__ = ("allows", "crowded", "denies", "obliged", "reads_body", "shadow", "shadow_reads_body")

    def __init__(self, rules: Iterable[Rule]) -> None:
        found = list(rules)
        self.denies = rows(rule for rule in found if not rule.allows and not rule.shadow)
        self.allows = rows(rule for rule in found if rule.allows and not rule.shadow)
        self.crowded: dict[int, tuple[Row, ...]] | None = {} if len(self.allows) > CROWDED else None
        self.obliged = obliged(self.allows)
        self.reads_body = any(rule.reads_body for rule in found)
        self.shadow_reads_body = self.reads_body and not any(rule.reads_body for rule in found if not rule.shadow)
        denies = rows(rule for rule in found if not rule.allows and rule.shadow)
        allows = rows(rule for rule in found if rule.allows and rule.shadow)
        self.shadow: tuple[tuple[Row, ...], tuple[Row, ...]] | None = (denies, allows) if denies or allows else None

    def granted(self, mask: int) -> tuple[Row, ...]:
        """The allows to ask, in their order: where there are many, only those whose permission is in `mask`."""
        crowded = self.crowded
        if crowded is None:
            return self.allows
        found = crowded.get(mask)
        if found is None:
            if len(crowded) >= MASKS:
                crowded.clear()
            found = crowded[mask] = tuple(row for row in self.allows if row[0] & mask == row[0])
        return found

    def rows(self) -> list[Row]:
        """All rules, in the order they are asked."""
        shadow = self.shadow or ((), ())
        return [row for group in (self.denies, self.allows, *shadow) for row in group]


class RoutePolicy:
    """Everything the policies say about one route, by method. `sets` are the header fields that rules set, lower case;
    `reads_body` tells whether rules of some method read the request's body."""

    __slots__ = ("_cells", "_other", "reads_body", "sets")

    def __init__(self, rules: Iterable[Rule]) -> None:
        found = list(rules)
        demanded = [rule.obligations for rule in found if rule.obligations is not None and not rule.shadow]
        self.sets: frozenset[bytes] = frozenset(field.name for each in demanded for field in each.set_headers)
        self._cells = {method: Cell(rule for rule in found if rule.applies_to(method)) for method in METHODS}
        self._other = Cell(rule for rule in found if rule.applies_to(None))
        self.reads_body = any(rule.reads_body for rule in found)

    def cell(self, method: str) -> Cell:
        """The rules for a method."""
        return self._cells.get(method, self._other)

    def decide(self, principal: Principal, access: AccessRequest) -> Decision:
        """The answer, always one: Raises only BadRequest query-invalid, where a rule reads a query that cannot be decoded."""
        routes = principal.routes
        if routes is not None and not routes.has(access.route):
            return OUTSIDE
        cell = self._cells.get(access.request.method, self._other)
        access.purse = None
        errors: list[str] = []
        mask = principal.mask
        rule = first(cell.denies, principal, access, mask, errors) if cell.denies else None
        obliged = cell.obliged
        verdict: Decision | None
        if rule is not None:
            verdict = rule.verdict
        elif obliged is not None:
            verdict = obliged.verdict(principal, access, mask, errors)
        else:
            rule = first(cell.allows if cell.crowded is None else cell.granted(mask), principal, access, mask, errors)
            verdict = None if rule is None else rule.verdict
        shadow = None if cell.shadow is None else _shadow(cell.shadow, principal, access, errors)
        if verdict is None:
            capped = principal.uncapped != mask and first(cell.allows, principal, access, principal.uncapped, []) is not None
            if not (capped or errors or shadow):
                return DENIED
            return Decision(False, None, capped=capped, errors=tuple(errors), shadow=shadow)
        if not errors and shadow is None:
            return verdict
        return Decision(
            verdict.allowed,
            verdict.rule,
            verdict.place,
            errors=tuple(errors),
            shadow=shadow,
            obligations=verdict.obligations,
        )


def _shadow(
    found: tuple[tuple[Row, ...], tuple[Row, ...]], principal: Principal, access: AccessRequest, errors: list[str]
) -> tuple[str, bool] | None:
    """What the shadow rules would have decided. They can refuse nothing, not even a query that cannot be decoded, and spend
    from a copy of what is left: what is demanded of an allow is evaluated later."""
    denies, allows = found
    mask = principal.mask
    left = access.purse
    access.purse = None if left is None else left.copy()
    try:
        rule = first(denies, principal, access, mask, errors) or first(allows, principal, access, mask, errors)
    except BadRequest:
        return None
    finally:
        access.purse = left
    return None if rule is None else (rule.name, rule.allows)


class Policies:
    """All policies, compiled: who is granted what, and what each route allows. `revision` names the texts they came from,
    `limits` are the rates that rules state, by the rule's name."""

    __slots__ = ("_routes", "facts", "grant", "limits", "revision", "roles", "rules")

    def __init__(
        self,
        grant: Granter,
        routes: Mapping[str, RoutePolicy],
        *,
        facts: Mapping[str, RouteFact],
        rules: tuple[Rule, ...],
        roles: frozenset[str],
        revision: str,
        limits: Mapping[str, Rate] | None = None,
    ) -> None:
        self.limits: Mapping[str, Rate] = limits or {}
        self.grant = grant
        self._routes = routes
        self.facts = facts
        self.rules = rules
        self.roles = roles
        self.revision = revision

    def route(self, name: str) -> RoutePolicy:
        """The policy of a configured route. Raises KeyError for a name that was not among the routes at load."""
        return self._routes[name]


def enforce(principal: Principal, access: AccessRequest, decision: Decision) -> Permit:
    """The permit of an allowing decision, with what it demands; nothing else makes one.

    Raises Forbidden policy-denied or insufficient-scope, and Unauthenticated step-up-required.
    """
    if decision.allowed is True:
        obligations = decision.obligations
        if obligations is not None and obligations.step_up:
            demand(obligations.step_up, principal, access)
        return Permit(principal, access, obligations)
    if decision.capped:
        raise Forbidden("scope ceiling", reason=Reason.INSUFFICIENT_SCOPE, headers=INSUFFICIENT_SCOPE)
    if decision is OUTSIDE:
        raise Forbidden("the credential is not for this route", reason=Reason.POLICY_DENIED)
    raise Forbidden(f"rule={decision.rule}" if decision.rule else "default deny", reason=Reason.POLICY_DENIED)
