"""From series to points: what each instrument sees of the requests that were counted together."""

from collections.abc import Callable
from typing import Any, Final

from gateway.core.reason import Reason
from gateway.telemetry.instruments import (
    AUTHN,
    AUTHZ,
    BOUNDS,
    CLIENT_DURATION,
    REQUESTS,
    SERVER_DURATION,
    VALIDATION,
    Instrument,
)
from gateway.telemetry.names import Names
from gateway.telemetry.series import OVERFLOWN, VALUE, Buckets, Family, Labels, Seen, Series

CREDENTIAL_REASONS: Final = frozenset(
    {Reason.CREDENTIAL_AMBIGUOUS, Reason.CREDENTIAL_MISSING, Reason.CREDENTIAL_INVALID, Reason.CREDENTIAL_EXPIRED}
)
VALIDATION_REASONS: Final = frozenset(
    {Reason.PARAM_INVALID, Reason.QUERY_INVALID, Reason.BODY_TOO_LARGE, Reason.MEDIA_TYPE, Reason.BODY_INVALID}
)


def project(series: list[Series], names: Names) -> list[Family]:
    """All families that come from requests. Labels an instrument does not have are summed over."""
    return [Family(instrument, _points(instrument, labels, series, names)) for instrument, labels in VIEWS.items()]


def _points(instrument: Instrument, view: "View", series: list[Series], names: Names) -> tuple[tuple[Labels, float | Buckets], ...]:
    if instrument in (SERVER_DURATION, CLIENT_DURATION):
        histograms: dict[Labels, Buckets] = {}
        for one in series:
            buckets = one.server if instrument is SERVER_DURATION else one.client
            for labels in _labels(one, view, names) if buckets is not None else ():
                histograms.setdefault(labels, Buckets(BOUNDS)).add(buckets)
        return tuple(histograms.items())
    counts: dict[Labels, float] = {}
    for one in series:
        for labels in _labels(one, view, names):
            counts[labels] = counts.get(labels, 0.0) + sum(one.server.counts)
    return tuple(counts.items())


def _labels(series: Series, view: "View", names: Names) -> list[Labels]:
    return [OVERFLOWN] if series.key is None else view(Seen(*series.key), names)


def labelled(instrument: Instrument, *values: Any) -> Labels:
    """Values with the names of an instrument's labels; those unknown are left out."""
    pairs = zip(instrument.labels, values, strict=True)
    return tuple((name, str(value)[:VALUE]) for name, value in pairs if value is not None and value != "")


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


def _requests(seen: Seen, names: Names) -> list[Labels]:
    return [labelled(REQUESTS, seen.route, seen.source, seen.reason, seen.status)]


def _authn(seen: Seen, names: Names) -> list[Labels]:
    if seen.scheme is not None:
        return [labelled(AUTHN, seen.scheme, "anonymous" if seen.scheme == "anonymous" else "success", None)]
    if seen.reason in CREDENTIAL_REASONS:
        return [labelled(AUTHN, None, "failure", seen.reason)]
    return []


def _authz(seen: Seen, names: Names) -> list[Labels]:
    if seen.decision is None:
        return []
    allowed, rule, shadow = seen.decision
    found = [labelled(AUTHZ, _effect(allowed), _policy(rule), "enforce")]
    if shadow is not None:
        found.append(labelled(AUTHZ, _effect(shadow[1]), _policy(shadow[0]), "shadow"))
    return found


def _validation(seen: Seen, names: Names) -> list[Labels]:
    return [labelled(VALIDATION, seen.reason)] if seen.reason in VALIDATION_REASONS else []


View = Callable[[Seen, Names], list[Labels]]
VIEWS: Final[dict[Instrument, View]] = {
    SERVER_DURATION: _server,
    CLIENT_DURATION: _client,
    REQUESTS: _requests,
    AUTHN: _authn,
    AUTHZ: _authz,
    VALIDATION: _validation,
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
