"""What a decision demands, in plain words: for cases that expect it, and for people who ask why."""

from collections.abc import Mapping

from gateway.authz.cel.errors import FAULTS
from gateway.authz.demands import step_up
from gateway.authz.policy import Policies
from gateway.authz.step_up import unfulfilled
from gateway.authz.then import Expected
from gateway.config.values import Rate, write_duration
from gateway.core.decision import AccessRequest, Decision
from gateway.core.json_path import written
from gateway.core.obligations import Obligations, StepUp
from gateway.core.principal import Principal

Words = dict[str, list[str]]
"""The keys of `then:` that a decision demands, each with what it says, sorted."""


def described(policies: Policies, decision: Decision, principal: Principal, access: AccessRequest) -> Words:
    """All that a decision demands. A value that an expression cannot give is told as such."""
    found = decision.obligations
    if found is None:
        return {}
    words: Words = {
        "redact": [f"{written(each.path)} {each.style}" for each in found.redact],
        "response": [", ".join(sorted(map(written, paths))) for paths in found.fields],
        "require_response": [required(each.source, hidden=each.hidden) for each in found.require],
        "rate_limit": [rate(policies.limits[name]) for name in found.rate_limits],
        "step_up": [login(each) for each in found.step_up],
        "audit": ["full"] if found.audit_full else [],
        "set_header": _headers(found, principal, access),
        "max_body": [] if found.max_body is None else [str(found.max_body)],
    }
    return {key: sorted(set(values)) for key, values in words.items() if values}


def expected(wanted: Expected) -> Words:
    """What a case expects, in the same words; keys it does not list are left out."""
    redact, response, step, headers = wanted.redact, wanted.response, wanted.step_up, wanted.set_header
    words: Words = {
        "redact": [] if redact is None else [f"{written(each.path)} {each.style or redact.style}" for each in redact.response],
        "response": [] if response is None else [", ".join(sorted(map(written, response.fields)))],
        "require_response": [required(" ".join(each.when.split()), hidden=each.hidden) for each in wanted.requirements],
        "rate_limit": [rate(each) for each in wanted.rates],
        "step_up": [] if step is None else [login(step_up(step))],
        "audit": [] if wanted.audit is None else [wanted.audit],
        "set_header": [f"{name.lower()}: {value}" for name, value in (headers or {}).items()],
        "max_body": [] if wanted.max_body is None else [str(wanted.max_body)],
    }
    return {key: sorted(set(values)) for key, values in words.items() if values}


def missed(wanted: Words, found: Mapping[str, list[str]]) -> str:
    """How what is demanded differs from what was expected, "" where it does not."""
    for key, values in wanted.items():
        got = found.get(key, [])
        if got != values:
            return f"expected `then.{key}` to be {'; '.join(values)}, got {'; '.join(got) or 'none'}"
    return ""


def challenged(decision: Decision, principal: Principal, access: AccessRequest) -> bool:
    """Whether an allowed request is answered with the challenge of a stronger login."""
    return bool(unmet(decision, principal, access))


def unmet(decision: Decision, principal: Principal, access: AccessRequest) -> list[str]:
    """The claims that keep the login of an allowed request from being strong or recent enough."""
    steps = decision.obligations.step_up if decision.allowed and decision.obligations is not None else ()
    found = (unfulfilled(step, principal.claims, access.now) for step in steps)
    return list(dict.fromkeys(claim for claim in found if claim))


def rate(value: Rate) -> str:
    """A rate by its count and seconds, however it was written."""
    return f"{value.count}/{write_duration(value.seconds)}"


def required(source: str, *, hidden: bool) -> str:
    """A requirement by its source."""
    return f"{source} (hidden)" if hidden else source


def login(step: StepUp) -> str:
    """What a step-up asks for."""
    acr = f"acr {' or '.join(sorted(step.acr))}" if step.acr else ""
    amr = f"amr {' and '.join(sorted(step.amr))}" if step.amr else ""
    age = f"at most {write_duration(step.max_age)} ago" if step.max_age is not None else ""
    return ", ".join(part for part in (acr, amr, age) if part)


def _headers(found: Obligations, principal: Principal, access: AccessRequest) -> list[str]:
    told = []
    for field in found.set_headers:
        try:
            value = field.text if field.value is None else field.value(principal, access)
        except FAULTS:
            value = "without a value"
        told.append(f"{field.name.decode('ascii')}: {value}")
    return told
