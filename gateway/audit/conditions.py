"""What an event tells of the rules behind a decision, beside the one that decided."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.audit.masks import Masks
from gateway.core.decision import Decision
from gateway.telemetry.redact import scrub


def told(decision: Decision) -> dict[str, Any]:
    """What shadow rules would have decided, and which conditions had no value."""
    fields: dict[str, Any] = {}
    if decision.shadow is not None:
        rule, allowed = decision.shadow
        effect = "allow" if allowed else "deny"
        fields["shadow"] = {"rule": rule, "decision": effect, "would_change": decision.would_change}
    if decision.errors:
        fields["condition_errors"] = decision.errors
    return fields


def traced(rules: Sequence[Mapping[str, Any]], masks: Masks, issuer: str) -> list[dict[str, Any]]:
    """The rules that were looked at: values without secrets, the subject's and the client's address as the trail masks them."""
    return [
        {**rule, "values": {name: shown(name, value, masks, issuer) for name, value in rule["values"].items()}}
        if "values" in rule
        else dict(rule)
        for rule in rules
    ]


def shown(name: str, value: str | None, masks: Masks, issuer: str) -> str | None:
    """One value, None for one that is missing."""
    if value is None:
        return None
    if name.startswith("subject.") and masks.subject is not None:
        return masks.subject(value.strip("'"), issuer)
    if name == "request.client_ip" and masks.client is not None:
        return masks.client(value.strip("'"), "client")
    return scrub(value)
