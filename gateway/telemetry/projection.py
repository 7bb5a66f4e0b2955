"""From series to points: what each instrument sees of the requests that were counted together."""

from collections.abc import Callable
from typing import Any, Final

from gateway.core.decision import Decision
from gateway.core.principal import ANONYMOUS
from gateway.core.reason import Reason
from gateway.telemetry.instrument import Instrument
from gateway.telemetry.instruments import (
    AUTHN,
    AUTHZ,
    BOUNDS,
    CLIENT_DURATION,
    RATE_LIMITS,
    REQUESTS,
    SERVER_DURATION,
    SHADOW,
    VALIDATION,
)
from gateway.telemetry.names import Names
from gateway.telemetry.series import OVERFLOWN, Buckets, Family, Labels, Seen, Series, label

CREDENTIAL_REASONS: Final = frozenset(
    {Reason.CREDENTIAL_AMBIGUOUS, Reason.CREDENTIAL_MISSING, Reason.CREDENTIAL_INVALID, Reason.CREDENTIAL_EXPIRED}
)
VALIDATION_REASONS: Final = frozenset(
    {Reason.PARAM_INVALID, Reason.QUERY_INVALID, Reason.BODY_TOO_LARGE, Reason.MEDIA_TYPE, Reason.BODY_INVALID}
)

View = Callable[[Seen], list[Labels]]


def project(series: list[Series], names: Names) -> list[Family]:
    """All families that come from requests. Labels an instrument does not have are summed over."""
    servers = [(labels, one.server) for one in series for labels in _labels(one, lambda seen: _server(seen, names))]
    clients = [
        (labels, one.client)
        for one in series
        if one.client is not None
        for labels in _labels(one, lambda seen: _client(seen, names))
    ]
    counted = [Family(instrument, _counts(series, view)) for instrument, view in COUNTS.items()]
    return [Family(SERVER_DURATION, _histograms(servers)), Family(CLIENT_DURATION, _histograms(clients)), *counted]


def _histograms(found: list[tuple[Labels, Buckets]]) -> tuple[tuple[Labels, Buckets], ...]:
    points: dict[Labels, Buckets] = {}
    for labels, buckets in found:
        points.setdefault(labels, Buckets(BOUNDS)).add(buckets)
    return tuple(points.items())


def _counts(series: list[Series], view: View) -> tuple[tuple[Labels, float], ...]:
    points: dict[Labels, float] = {}
    for one in series:
        for labels in _labels(one, view):
            points[labels] = points.get(labels, 0.0) + sum(one.server.counts)
    return tuple(points.items())


def _labels(series: Series, view: View) -> list[Labels]:
    return [OVERFLOWN] if series.key is None else view(Seen(*series.key))


def labelled(instrument: Instrument, *values: Any) -> Labels:
    """Values with the names of an instrument's labels; those unknown are left out."""
    pairs = zip(instrument.labels, values, strict=True)
    return tuple((name, label(value)) for name, value in pairs if value is not None and value != "")


def _server(seen: Seen, names: Names) -> list[Labels]:
    pattern = names.routes.get(seen.route) if seen.route else None
    scheme = "https" if seen.secure else "http"
    error = error_type(seen.status, seen.reason)
    return [labelled(SERVER_DURATION, seen.method, scheme, seen.version, seen.status, pattern, seen.route, error)]


def _client(seen: Seen, names: Names) -> list[Labels]:
    if seen.upstream is None:
        return []
    place = names.upstreams.get(seen.upstream)
    host, port = (place.host, place.port) if place is not None else (None, None)
    error = client_error_type(seen.upstream_status, seen.reason)
    return [labelled(CLIENT_DURATION, seen.method, seen.upstream, host, port, seen.upstream_status, error)]


def _requests(seen: Seen) -> list[Labels]:
    return [labelled(REQUESTS, seen.route, seen.source, seen.reason, seen.status)]


def _authn(seen: Seen) -> list[Labels]:
    if seen.scheme is not None:
        return [labelled(AUTHN, seen.scheme, ANONYMOUS if seen.scheme == ANONYMOUS else "success", None)]
    if seen.reason in CREDENTIAL_REASONS:
        return [labelled(AUTHN, None, "failure", seen.reason)]
    return []


def _authz(seen: Seen) -> list[Labels]:
    if seen.decision is None:
        return []
    allowed, rule, shadow = seen.decision
    found = [labelled(AUTHZ, _effect(allowed), _policy(rule), "enforce")]
    if shadow is not None:
        found.append(labelled(AUTHZ, _effect(shadow[1]), _policy(shadow[0]), "shadow"))
    return found


def _shadow(seen: Seen) -> list[Labels]:
    allowed, rule, shadow = seen.decision or (False, None, None)
    if shadow is None:
        return []
    changes = Decision(allowed, rule, shadow=shadow).would_change
    return [labelled(SHADOW, shadow[0], _effect(shadow[1]), str(changes).lower())]


def _validation(seen: Seen) -> list[Labels]:
    return [labelled(VALIDATION, seen.reason)] if seen.reason in VALIDATION_REASONS else []


def _rate_limits(seen: Seen) -> list[Labels]:
    allowed = [labelled(RATE_LIMITS, policy, "allowed") for policy in seen.limits]
    return [*allowed, labelled(RATE_LIMITS, None, "refused")] if seen.reason is Reason.RATE_LIMITED else allowed


COUNTS: Final[dict[Instrument, View]] = {
    REQUESTS: _requests,
    AUTHN: _authn,
    AUTHZ: _authz,
    SHADOW: _shadow,
    VALIDATION: _validation,
    RATE_LIMITS: _rate_limits,
}


def _effect(allowed: bool) -> str:
    return "allow" if allowed else "deny"


def _policy(rule: str | None) -> str:
    return "default" if rule is None else rule.split("/", 1)[0]


def error_type(status: int | None, reason: Reason | None) -> str | None:
    """`error.type` of a server span or metric: our reason, or the upstream's status, of a 5xx answer; else nothing."""
    if status is None or status < 500:
        return None
    return str(reason) if reason is not None else str(status)


def client_error_type(status: int | None, reason: Reason | None) -> str | None:
    """`error.type` of a call to an upstream: its 4xx or 5xx status, or why there is none."""
    if status is not None:
        return str(status) if status >= 400 else None
    return str(reason) if reason is not None else "cancelled"
