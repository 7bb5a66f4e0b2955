"""Credentials that sign what is sent: where they may be used, because a signature names the host and the body."""

from collections.abc import Iterator
from typing import Any

from gateway.config.document import Steps
from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft

HOST_SIGNED = ("sigv4",)


def check(draft: Draft) -> Iterator[Problem]:
    for place, name, upstream in dict.fromkeys(_uses(draft)):
        credential = draft.value("credentials", name)
        if isinstance(credential, dict) and credential.get("inject") in HOST_SIGNED:
            yield from _host(draft, place, upstream)
            yield from _payload(draft, place, credential, upstream)


def _uses(draft: Draft) -> Iterator[tuple[Steps, str, str]]:
    """Every place that names a credential, with the credential and the upstream."""
    for upstream in draft.names("upstreams"):
        name = draft.value("upstreams", upstream, "credential")
        if isinstance(name, str):
            yield ("upstreams", upstream, "credential"), name, upstream
    for path, route in draft.routes():
        named, leads_to = route.get("credential"), route.get("upstream")
        if isinstance(named, str) and isinstance(leads_to, str):
            yield (*path, "credential"), named, leads_to


def _host(draft: Draft, place: Steps, upstream: str) -> Iterator[Problem]:
    if draft.value("upstreams", upstream, "preserve_host") is True:
        wrong = f"a signature names the upstream's host, and upstream '{upstream}' keeps the client's"
        yield draft.error(place, wrong, "leave `preserve_host` out")
    if len(draft.items("upstreams", upstream, "targets")) > 1:
        wrong = f"a signature names one host, and upstream '{upstream}' has several targets"
        yield draft.error(place, wrong, "use `url`, or one upstream for each target")


def _payload(draft: Draft, place: Steps, credential: dict[str, Any], upstream: str) -> Iterator[Problem]:
    urls = [draft.value("upstreams", upstream, "url"), *draft.items("upstreams", upstream, "targets")]
    if credential.get("unsigned_payload") is True and any(isinstance(url, str) and url.startswith("http://") for url in urls):
        wrong = f"unsigned bodies go over TLS only, and upstream '{upstream}' speaks plain HTTP"
        yield draft.error(place, wrong, "leave `unsigned_payload` out: long bodies go in signed chunks")
