"""Client certificates as credentials: where nothing could be shown, and where it would not be clear which is."""

from collections.abc import Iterator

from gateway.config.document import Steps
from gateway.core.errors import Problem
from gateway.settings.rules.draft import Draft


def check(draft: Draft) -> Iterator[Problem]:
    for upstream in draft.names("upstreams"):
        yield from _use(draft, ("upstreams", upstream, "credential"), upstream)
    for place, route in draft.routes():
        if isinstance(leads_to := route.get("upstream"), str):
            yield from _use(draft, (*place, "credential"), leads_to)


def _use(draft: Draft, place: Steps, upstream: str) -> Iterator[Problem]:
    named = draft.items(*place)
    shown = [name for name in named if isinstance(name, str) and draft.value("credentials", name, "inject") == "mtls"]
    if not shown:
        return
    if len(named) > 1:
        wrong = f"'{shown[0]}' is a client certificate and stands alone: connections are chosen before credentials are tried"
        yield draft.error(place, wrong, "name it alone, or as `tls.client_certificate` of an upstream that the other is used with")
    urls = [draft.value("upstreams", upstream, "url"), *draft.items("upstreams", upstream, "targets")]
    if any(isinstance(url, str) and url.lower().startswith("http://") for url in urls):
        yield draft.error(
            place, f"a client certificate is shown over TLS only, and upstream '{upstream}' speaks plain HTTP", "use https://"
        )
