"""Upstreams: where they are and what may be sent to them."""

import re
from collections.abc import Iterator
from typing import Final

from gateway.config.document import Steps
from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft
from gateway.upstream.check import span_of
from gateway.upstream.fields import fixed_fields
from gateway.upstream.model import Upstream
from gateway.upstream.target import is_literal, judge, parse_target, parse_targets

TELLING: Final = re.compile(r"auth|token|secret|passw|api-?key|cookie|credential", re.IGNORECASE)
"""Header names that carry credentials."""


def check(draft: Draft) -> Iterator[Problem]:
    for path, upstream in draft.parts(Upstream, "upstreams"):
        yield from _targets(draft, path, upstream)
        yield from _tls(draft, path, upstream)
        yield from _smuggled(draft, path, upstream)
        yield from _resilience(draft, path, upstream)
        try:
            fixed_fields(upstream)
        except ValueError as error:
            yield draft.error((*path, "headers"), str(error))


def _smuggled(draft: Draft, path: Steps, upstream: Upstream) -> Iterator[Problem]:
    """A secret is never a bare string (CONTRACT 2), in a fixed header neither."""
    for name in upstream.headers.set:
        if TELLING.search(name):
            place = (*path, "headers", "set", name)
            yield draft.warning(place, "looks like a credential, written out", "configure it under `credentials`", key=True)


def _targets(draft: Draft, path: Steps, upstream: Upstream) -> Iterator[Problem]:
    places: list[tuple[Steps, str]] = [((*path, "targets", number), url) for number, url in enumerate(upstream.targets or [])]
    if upstream.url is not None:
        places.append(((*path, "url"), upstream.url))
    sound = bool(places)
    for place, url in places:
        try:
            judge(parse_target(url), upstream)
        except ValueError as error:
            sound = False
            yield draft.error(place, *_split(str(error)))
    if sound or not places:
        try:
            parse_targets(upstream)
        except ValueError as error:
            yield draft.error(path, str(error), key=True)


def _resilience(draft: Draft, path: Steps, upstream: Upstream) -> Iterator[Problem]:
    """Health checks, ejection and circuit breaker: what contradicts itself, and what has no effect."""
    found, breaker, check = upstream.outlier_detection, upstream.circuit_breaker, upstream.health_check
    if found.base_ejection_time > found.max_ejection_time:
        yield draft.error((*path, "outlier_detection"), "`base_ejection_time` is longer than `max_ejection_time`", key=True)
    if breaker is not None and breaker.base_open_time > breaker.max_open_time:
        yield draft.error((*path, "circuit_breaker"), "`base_open_time` is longer than `max_open_time`", key=True)
    for number, span in enumerate(check.expected_statuses if check is not None else ()):
        first, last = span_of(span)
        if first > last:
            yield draft.error(
                (*path, "health_check", "expected_statuses", number), f"{span} is no range", "write the lower one first"
            )
    if upstream.streams != Upstream.model_fields["streams"].default and not upstream.http2:
        yield draft.warning((*path, "streams"), "has no effect", "set `http2: true`, if the upstream speaks it", key=True)
    if draft.value(*path, "outlier_detection") and is_single(upstream):
        hint = "configure `circuit_breaker`, or more targets"
        yield draft.warning((*path, "outlier_detection"), "has no effect: there is only one address", hint, key=True)


def is_single(upstream: Upstream) -> bool:
    """Whether there is one address whatever DNS says."""
    urls = [upstream.url] if upstream.url is not None else upstream.targets or []
    try:
        return len(urls) == 1 and is_literal(parse_target(urls[0]).host)
    except ValueError:
        return False


def _split(message: str) -> tuple[str, str]:
    """`what is wrong: how to mend it` -> message and hint."""
    wrong, _, fix = message.partition(": ")
    return wrong, fix


def _tls(draft: Draft, path: Steps, upstream: Upstream) -> Iterator[Problem]:
    tls = upstream.tls
    if (tls.client_certificate is None) != (tls.client_key is None):
        yield draft.error((*path, "tls"), "`client_certificate` and `client_key` belong together", key=True)
    urls = [upstream.url] if upstream.url is not None else upstream.targets or []
    if draft.value(*path, "tls") and urls and all(url.lower().startswith("http://") for url in urls):
        yield draft.warning((*path, "tls"), "has no effect: the upstream speaks plain HTTP", key=True)
