"""Where allow rules demand something: all that match are found, not only the first, and what they demand is put together."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from gateway.authz.cel.errors import FAULTS
from gateway.authz.rule import Row, Rule
from gateway.core.decision import AccessRequest, Decision
from gateway.core.names import folded
from gateway.core.obligations import STRICTNESS, Obligations, Redaction, SetHeader, Style
from gateway.core.principal import Principal

REMEMBERED: Final = 256
"""Combinations of rules a cell remembers."""


class Obliged:
    """The allow rules of one cell of which some demand something."""

    __slots__ = ("_rows", "_verdicts")

    def __init__(self, found: Sequence[Row]) -> None:
        self._rows = found
        self._verdicts: dict[tuple[Rule, ...], Decision] = {}

    def verdict(self, principal: Principal, access: AccessRequest, mask: int, errors: list[str]) -> Decision | None:
        """The allow of the first rule that matches, with what all demand that do; None where none matches.

        A rule whose condition has no value allows nothing, but what it demands holds where another one allows: an error never
        helps the client. Adds to `errors` the rules that had no value.
        """
        deciding: Rule | None = None
        bound: list[Rule] = []
        for need, _, rule in self._rows:
            if need & mask != need or (deciding is not None and rule.obligations is None):
                continue
            held = _held(rule, principal, access, errors)
            if held and deciding is None:
                deciding = rule
            if held is not False and rule.obligations is not None:
                bound.append(rule)
        if deciding is None:
            return None
        key = (deciding, *bound)
        return self._verdicts.get(key) or self._remembered(key)

    def _remembered(self, key: tuple[Rule, ...]) -> Decision:
        deciding = key[0]
        demanded = [rule.obligations for rule in key[1:] if rule.obligations is not None]
        made = Decision(True, deciding.name, deciding.place, obligations=together(demanded) if demanded else None)
        if len(self._verdicts) >= REMEMBERED:
            self._verdicts.clear()
        self._verdicts[key] = made
        return made


def obliged(found: Sequence[Row]) -> Obliged | None:
    """None where no rule demands anything: the first that matches is enough then."""
    return Obliged(found) if any(rule.obligations is not None for _, _, rule in found) else None


def _held(rule: Rule, principal: Principal, access: AccessRequest, errors: list[str]) -> bool | None:
    """Whether the condition holds, None where it has no value."""
    condition = rule.condition
    try:
        return condition is None or condition.test(principal, access)
    except FAULTS:
        errors.append(rule.name)
        return None


def together(all_of_them: Sequence[Obligations]) -> Obligations:
    """Several rules' demands as one: the stricter where both speak about the same, else both."""
    if len(all_of_them) == 1:
        return all_of_them[0]
    bounds = [each.max_body for each in all_of_them if each.max_body is not None]
    return Obligations(
        redact=_strictest(redaction for each in all_of_them for redaction in each.redact),
        fields=_distinct(allowed for each in all_of_them for allowed in each.fields),
        require=_distinct(requirement for each in all_of_them for requirement in each.require),
        rate_limits=_distinct(name for each in all_of_them for name in each.rate_limits),
        step_up=_distinct(step for each in all_of_them for step in each.step_up),
        set_headers=_fields(field for each in all_of_them for field in each.set_headers),
        max_body=min(bounds) if bounds else None,
        audit_full=any(each.audit_full for each in all_of_them),
    )


def _distinct(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(items))


def _strictest(redactions: Iterable[Redaction]) -> tuple[Redaction, ...]:
    styles: dict[Any, Style] = {}
    for redaction in redactions:
        before = styles.get(redaction.path, redaction.style)
        styles[redaction.path] = min(before, redaction.style, key=STRICTNESS.index)
    return tuple(Redaction(path, style) for path, style in styles.items())


def _fields(fields: Iterable[SetHeader]) -> tuple[SetHeader, ...]:
    """Without those that say the same; those that differ are told where their values are made."""
    found: dict[tuple[bytes, Any], SetHeader] = {}
    for field in fields:
        found.setdefault((folded(field.name), field.text if field.value is None else field.value), field)
    return tuple(found.values())
