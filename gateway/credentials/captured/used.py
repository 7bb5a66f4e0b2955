"""What captured credentials need of the house, and what becomes of a placeholder that cannot be spent."""

from typing import Final, NamedTuple

from gateway.core.decision import Permit
from gateway.core.errors import Forbidden
from gateway.core.ports import Clock, Metrics
from gateway.core.reason import Reason
from gateway.credentials.tokens import Tell
from gateway.credentials.vault.ring import Ring

COUNTED: Final = "gateway.credentials.placeholders"


class Used(NamedTuple):
    """What captured credentials need of the house."""

    ring: Ring
    clock: Clock
    metrics: Metrics
    tell: Tell


class Refused(Exception):
    """A placeholder that cannot be spent; says why in one word."""


def refusal(used: Used, name: str, permit: Permit, why: str) -> Forbidden:
    """Count it and tell the trail; the client learns no more than that it has none. `name` is the credential's."""
    used.metrics.count(COUNTED, 1, credential=name, outcome=why)
    principal, access = permit.principal, permit.access
    used.tell(
        "placeholder.refused",
        issuer=principal.issuer,
        subject=principal.id,
        scheme=principal.scheme,
        route=access.route,
        upstream=access.upstream,
        credential=name,
        fault=why,
    )
    return Forbidden(f"{name}: placeholder refused: {why}", reason=Reason.UPSTREAM_CREDENTIAL_MISSING)
