"""Protected resources: that a client which follows their metadata comes back with a token that is accepted."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.authn.model import WAIVED, Introspection, JwtIssuer, Stated, issuer_of
from gateway.config.document import Steps
from gateway.core.errors import Problem
from gateway.edge.model import Resource
from gateway.settings.rules.draft import Draft


def check(draft: Draft) -> Iterator[Problem]:
    issuers: dict[str, Stated] = {str(path[-1]): each for path, each in draft.parts(JwtIssuer, "authentication", "jwt")}
    issuers |= {str(path[-1]): each for path, each in draft.parts(Introspection, "authentication", "introspection")}
    paths: dict[str, str] = {}
    for path, resource in draft.parts(Resource, "resources"):
        name, where = str(path[-1]), urlsplit(resource.url).path.rstrip("/")
        if where in paths:
            yield draft.error((*path, "url"), f"has the path of '{paths[where]}': their metadata would be at one place")
        paths.setdefault(where, name)
        yield from _accepted(draft, path, resource, name, issuers)
    for place, route in draft.routes():
        if route.get("resource") is not None and route.get("anonymous") is True:
            yield draft.error((*place, "resource"), "asks for tokens where everybody is let in", key=True)


def _accepted(draft: Draft, path: Steps, resource: Resource, name: str, issuers: dict[str, Stated]) -> Iterator[Problem]:
    routes = [place for place, route in draft.routes() if route.get("resource") == name]
    named = {scheme for place in routes for scheme in draft.items(*place, "authenticate") if isinstance(scheme, str)}
    asked = {issuer_of(scheme) for scheme in named - {"tokens"}}
    if not routes or not asked <= issuers.keys() | {"api_keys", "mtls"}:
        return
    found = [issuers[each] for each in sorted(asked & issuers.keys()) if issuers[each].issuer != WAIVED]
    if not found and "tokens" not in named:
        yield draft.error(path, "no route of it accepts tokens of an issuer: there is no server to send clients to", key=True)
    for issuer in found:
        if resource.own_tokens_only and issuer.audience != WAIVED and resource.url not in issuer.audience:
            hint = f"add {resource.url} to `audience`, or set `own_tokens_only: false`"
            yield draft.error((*path, "url"), f"tokens of {issuer.issuer} for this resource would be refused", hint)
