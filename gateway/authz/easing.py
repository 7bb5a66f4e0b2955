"""What one decision demands less or more than another, key by key: a change that leaves the effect as it is."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gateway.authz.demanded import login, rate, required
from gateway.authz.demands import Expression
from gateway.authz.residual import mark
from gateway.config.values import Rate
from gateway.core.json_path import written
from gateway.core.obligations import Obligations, SetHeader, Style

STRICTEST: Final = tuple(Style)

Demands = tuple[tuple[str, float, str], ...]
"""Of one rule or decision: what each is about, how mild it is (less is stricter), and what is said of that."""


def demands(found: Obligations | None, limits: Mapping[str, Rate]) -> Demands:
    """All that obligations demand, so that it can be compared with what other policies demand."""
    return () if found is None else tuple(_each(found, limits))


def easing(old: Iterable[Demands], new: Iterable[Demands]) -> str:
    """What the rules that allow demand less and more than others did, in words; "" where it is the same."""
    before, after = _together(old), _together(new)
    less, more = [], []
    for about in sorted({*before, *after}):
        if about not in after:
            less.append(_said(about, before[about][1]))
        elif about not in before:
            more.append(_said(about, after[about][1]))
        elif before[about] != after[about]:
            told = f"{_said(about, before[about][1])} -> {after[about][1]}"
            (less if after[about][0] > before[about][0] else more).append(told)
    parts = [f"demands {word}: {', '.join(told)}" for word, told in (("less", less), ("more", more)) if told]
    return "; ".join(parts)


def _each(found: Obligations, limits: Mapping[str, Rate]) -> Iterator[tuple[str, float, str]]:
    for redaction in found.redact:
        yield f"redact {written(redaction.path)}", STRICTEST.index(redaction.style), str(redaction.style)
    for paths in found.fields:
        yield f"response {', '.join(sorted(map(written, paths)))}", 0, ""
    for requirement in found.require:
        yield f"require_response {required(requirement.source, hidden=requirement.hidden)}", 0, f"({requirement.mark})"
    for name in found.rate_limits:
        yield f"rate_limit of {name}", limits[name].count / limits[name].seconds, rate(limits[name])
    for step in found.step_up:
        yield f"step_up {login(step)}", 0, ""
    for field in found.set_headers:
        yield f"set_header {field.name.decode('ascii')}: {_value(field)}", 0, ""
    if found.max_body is not None:
        yield "max_body", found.max_body, str(found.max_body)
    if found.audit_full:
        yield "audit full", 0, ""


def _value(field: SetHeader) -> str:
    """A field's text, or what tells its expression from others."""
    if isinstance(field.value, Expression):
        return f"an expression ({mark(field.value.tree)})"
    return field.text or ""


def _together(found: Iterable[Demands]) -> dict[str, tuple[float, str]]:
    """Of several demands about the same, the strictest."""
    strictest: dict[str, tuple[float, str]] = {}
    for each in found:
        for about, mildness, text in each:
            strictest[about] = min(strictest.get(about, (mildness, text)), (mildness, text))
    return strictest


def _said(about: str, text: str) -> str:
    return f"{about} {text}".rstrip()
