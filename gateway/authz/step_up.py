"""Is the login behind this token strong and recent enough? Else the client is told what to ask for (RFC 9470)."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.core.decision import AccessRequest
from gateway.core.errors import Unauthenticated
from gateway.core.obligations import StepUp
from gateway.core.principal import Principal
from gateway.core.reason import Reason


def demand(steps: Sequence[StepUp], principal: Principal, access: AccessRequest) -> None:
    """Raises Unauthenticated step-up-required, with the challenge of RFC 9470 section 3, unless every one of `steps` holds.

    Read are the claims `acr`, `amr` and `auth_time` of the verified token. Whoever came without a token has none of them and can
    do the same as one with too weak a login: get a token and present that.
    """
    for step in steps:
        if missing := unfulfilled(step, principal.claims, access.now):
            raise Unauthenticated(
                f"step-up: {missing}",
                reason=Reason.STEP_UP_REQUIRED,
                headers=((b"www-authenticate", challenge(steps).encode("ascii")),),
                members=asked(steps),
            )


def unfulfilled(step: StepUp, claims: Mapping[str, Any], now: float) -> str:
    """Which of its demands does not hold, "" where all do. An `auth_time` that is no integer, or ahead of us, is none."""
    if step.acr and claims.get("acr") not in step.acr:
        return "acr"
    methods = claims.get("amr")
    if step.amr and not (isinstance(methods, list | tuple) and all(method in methods for method in step.amr)):
        return "amr"
    if step.max_age is not None:
        moment = claims.get("auth_time")
        # An integer of any size compares with a float; a difference of them may be none.
        if not isinstance(moment, int) or isinstance(moment, bool) or not now - step.max_age <= moment <= now:
            return "auth_time"
    return ""


def asked(steps: Sequence[StepUp]) -> dict[str, Any]:
    """What would fulfil all of them: the `acr` values that each of them takes, the shortest age. RFC 9470 knows no `amr`."""
    taken = [step.acr for step in steps if step.acr]
    common = [acr for acr in taken[0] if all(acr in others for others in taken)] if taken else []
    values = common or [acr for acrs in taken for acr in acrs]
    ages = [step.max_age for step in steps if step.max_age is not None]
    found: dict[str, Any] = {"acr_values": " ".join(dict.fromkeys(values))} if values else {}
    return found | ({"max_age": min(ages)} if ages else {})


def challenge(steps: Sequence[StepUp]) -> str:
    """The field that says so."""
    parts = [
        'Bearer realm="gateway"',
        'error="insufficient_user_authentication"',
        'error_description="A stronger or more recent authentication is required"',
    ]
    return ", ".join([*parts, *(f'{name}="{value}"' for name, value in asked(steps).items())])
