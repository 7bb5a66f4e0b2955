"""Step-up: which claims are strong enough, and what RFC 9470 has a client told."""

from typing import Any

import pytest

from gateway.authz.step_up import challenge, demand, unfulfilled
from gateway.core.errors import Unauthenticated
from gateway.core.obligations import StepUp
from tests.asking import a_subject, an_access

NOW = int(an_access().now)
OLD = StepUp(max_age=60)


@pytest.mark.parametrize(
    ("step", "claims", "missing"),
    [
        (StepUp(("mfa",)), {"acr": "mfa"}, ""),
        (StepUp(("mfa", "hwk")), {"acr": "hwk"}, ""),
        (StepUp(("mfa",)), {"acr": "pwd"}, "acr"),
        (StepUp(("mfa",)), {"acr": ["mfa"]}, "acr"),
        (StepUp(("mfa",)), {"acr": None}, "acr"),
        (StepUp(("mfa",)), {}, "acr"),
        (StepUp(("1",)), {"acr": 1}, "acr"),
        (StepUp(amr=("otp", "pwd")), {"amr": ["pwd", "otp", "x"]}, ""),
        (StepUp(amr=("otp", "pwd")), {"amr": ["pwd"]}, "amr"),
        (StepUp(amr=("otp",)), {"amr": "otp"}, "amr"),
        (StepUp(amr=("otp",)), {}, "amr"),
        (OLD, {"auth_time": NOW}, ""),
        (OLD, {"auth_time": NOW - 60}, ""),
        (OLD, {"auth_time": NOW - 61}, "auth_time"),
        (OLD, {"auth_time": NOW + 1}, "auth_time"),
        (OLD, {"auth_time": 10**400}, "auth_time"),
        (OLD, {"auth_time": -(10**400)}, "auth_time"),
        (OLD, {"auth_time": str(NOW)}, "auth_time"),
        (OLD, {"auth_time": float(NOW)}, "auth_time"),
        (StepUp(max_age=NOW + 1), {"auth_time": True}, "auth_time"),
        (OLD, {}, "auth_time"),
    ],
)
def test_only_claims_that_surely_fulfil_it_do(step: StepUp, claims: dict[str, Any], missing: str) -> None:
    assert unfulfilled(step, claims, float(NOW)) == missing


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([StepUp(("mfa", "hwk"))], 'acr_values="mfa hwk"'),
        ([StepUp(max_age=900)], 'max_age="900"'),
        ([StepUp(("mfa",), max_age=900), StepUp(max_age=60)], 'acr_values="mfa", max_age="60"'),
        ([StepUp(("mfa", "hwk")), StepUp(("hwk", "x"))], 'acr_values="hwk"'),
        ([StepUp(("mfa",)), StepUp(("hwk",))], 'acr_values="mfa hwk"'),
    ],
)
def test_the_challenge_asks_for_what_would_be_enough(steps: list[StepUp], expected: str) -> None:
    start = 'Bearer realm="gateway", error="insufficient_user_authentication", error_description="A stronger or more recent authentication is required"'
    assert challenge(steps) == f"{start}, {expected}"


def test_a_challenge_for_methods_alone_names_neither() -> None:
    assert challenge([StepUp(amr=("otp",))]).endswith('is required"')


@pytest.mark.parametrize("scheme", ["api_key", "mtls", "anonymous"])
def test_whoever_has_no_token_is_challenged_too(scheme: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        demand([StepUp(("mfa",))], a_subject(scheme=scheme), an_access())
    assert refused.value.status == 401


def test_every_one_of_several_must_hold() -> None:
    steps = [StepUp(("mfa",)), OLD]
    demand(steps, a_subject(claims={"acr": "mfa", "auth_time": NOW}), an_access())
    for claims in ({"acr": "mfa"}, {"auth_time": NOW}):
        with pytest.raises(Unauthenticated):
            demand(steps, a_subject(claims=claims), an_access())
