"""A compiled rule, and the search for the first of several that matches."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gateway.authz.cel.condition import Condition
from gateway.authz.cel.errors import FAULTS
from gateway.core.decision import AccessRequest, Decision
from gateway.core.obligations import Obligations
from gateway.core.principal import Principal


class Rule:
    """One rule of one policy. `name` is `policy/rule`, `place` its `file:line`; `methods` is None for every method.

    `need` is the bit of the permission it asks for, 0 for none. `verdict` is the decision it makes when nothing else is to
    be reported; requests share it, nobody changes it. `obligations` are what an allow demands;
    `reads_body` tells that the request's body must be looked into before the condition has a value.
    """

    __slots__ = (
        "allows", "condition", "methods", "name", "need", "obligations", "permission", "place", "reads_body", "reason", "shadow",
        "verdict",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        place: str,
        *,
        allows: bool,
        methods: frozenset[str] | None,
        permission: str | None = None,
        need: int = 0,
        condition: Condition | None = None,
        shadow: bool = False,
        reason: str = "",
        obligations: Obligations | None = None,
        reads_body: bool = False,
    ) -> None:
        self.name = name
        self.place = place
        self.allows = allows
        self.methods = methods
        self.permission = permission
        self.need = need
        self.condition = condition
        self.shadow = shadow
        self.reason = reason
        self.obligations = obligations
        self.reads_body = reads_body
        self.verdict = Decision(allows, name, place, obligations=obligations)

    def applies_to(self, method: str | None) -> bool:
        """Whether the rule speaks about a method; None stands for those without a name of their own. GET brings HEAD."""
        if self.methods is None:
            return True
        return method in self.methods or (method == "HEAD" and "GET" in self.methods)


Row = tuple[int, Callable[..., Any] | None, Rule]
"""What the search needs of a rule, in one tuple: its bit, its generated condition, the rule."""


def rows(rules: Iterable[Rule]) -> tuple[Row, ...]:
    """Rules without a condition first, because they decide at once; otherwise in the order written."""
    ordered = sorted(rules, key=lambda rule: rule.condition is not None)
    return tuple((rule.need, rule.condition.fast if rule.condition else None, rule) for rule in ordered)


def first(found: Sequence[Row], principal: Principal, access: AccessRequest, mask: int, errors: list[str]) -> Rule | None:
    """The first rule whose permission is in `mask` and whose condition holds. Adds to `errors` the rules that had no value."""
    for need, fast, rule in found:
        if need & mask != need:
            continue
        if fast is None:
            return rule
        try:
            if fast(principal, access):
                return rule
        except FAULTS as fault:
            if _exactly(rule, fault, principal, access, errors):
                return rule
    return None


def _exactly(rule: Rule, fault: Exception, principal: Principal, access: AccessRequest, errors: list[str]) -> bool:
    """What the condition gives by CEL's rules for errors. One without a value never helps the client: a deny matches."""
    assert rule.condition is not None  # noqa: S101  only rules with a condition have code that can raise
    try:
        return rule.condition.after(fault, principal, access)
    except FAULTS:
        errors.append(rule.name)
        return not rule.allows
