"""Credentials that sign what is sent: where they may be used, because a signature names the host and the body."""

from collections.abc import Iterator
from typing import Any

from gateway.config.document import Steps
from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft


def check(draft: Draft) -> Iterator[Problem]:
    for place, name, upstream in dict.fromkeys(uses(draft)):
        credential = draft.value("credentials", name)
        if isinstance(credential, dict) and _names_host(credential):
            yield from _host(draft, place, upstream)
            yield from _payload(draft, place, credential, upstream)
        if isinstance(credential, dict) and credential.get("inject") == "signed_jwt":
            yield from _identity(draft, place, upstream)


def _names_host(credential: dict[str, Any]) -> bool:
    return credential.get("inject") in ("sigv4", "captured_keys") or (
        credential.get("inject") == "hmac" and "{host}" in str(credential.get("content"))
    )


def uses(draft: Draft) -> Iterator[tuple[Steps, str, str]]:
    """Every place that names a credential, with the credential and the upstream."""
    for upstream in draft.names("upstreams"):
        path: Steps = ("upstreams", upstream, "credential")
        yield from ((path, name, upstream) for name in draft.items(*path) if isinstance(name, str))
    for place, route in draft.routes():
        leads_to, path = route.get("upstream"), (*place, "credential")
        if isinstance(leads_to, str):
            yield from ((path, name, leads_to) for name in draft.items(*path) if isinstance(name, str))


def _host(draft: Draft, place: Steps, upstream: str) -> Iterator[Problem]:
    if draft.value("upstreams", upstream, "preserve_host") is True:
        wrong = f"a signature names the upstream's host, and upstream '{upstream}' keeps the client's"
        yield draft.error(place, wrong, "leave `preserve_host` out")
    if len(draft.items("upstreams", upstream, "targets")) > 1:
        wrong = f"a signature names one host, and upstream '{upstream}' has several targets"
        yield draft.error(place, wrong, "use `url`, or one upstream for each target")


def _identity(draft: Draft, place: Steps, upstream: str) -> Iterator[Problem]:
    """Who is asking is told to our own upstreams only (CONTRACT 6)."""
    if draft.value("upstreams", upstream, "internal") is not True:
        wrong = f"a signed JWT tells who is asking, and upstream '{upstream}' is not `internal`"
        yield draft.error(place, wrong, "say `internal: true` where it is ours")


def _payload(draft: Draft, place: Steps, credential: dict[str, Any], upstream: str) -> Iterator[Problem]:
    urls = [draft.value("upstreams", upstream, "url"), *draft.items("upstreams", upstream, "targets")]
    if credential.get("unsigned_payload") is True and any(isinstance(url, str) and url.startswith("http://") for url in urls):
        wrong = f"unsigned bodies go over TLS only, and upstream '{upstream}' speaks plain HTTP"
        yield draft.error(place, wrong, "leave `unsigned_payload` out: long bodies go in signed chunks")
