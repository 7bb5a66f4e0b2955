"""Upstreams: where they are and what may be sent to them."""

import re
from collections.abc import Iterator
from typing import Final

from gateway.config.document import Steps
from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft
from gateway.upstream.fields import fixed_fields
from gateway.upstream.model import Upstream
from gateway.upstream.target import judge, parse_target, parse_targets

TELLING: Final = re.compile(r"auth|token|secret|passw|api-?key|cookie|credential", re.IGNORECASE)
"""Header names that carry credentials."""


def check(draft: Draft) -> Iterator[Problem]:
    for path, upstream in draft.parts(Upstream, "upstreams"):
        yield from _targets(draft, path, upstream)
        yield from _tls(draft, path, upstream)
        yield from _smuggled(draft, path, upstream)
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
