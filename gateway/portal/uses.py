"""What the gateway does with the accounts that people connect, read off the configuration: for them to agree to."""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.credentials.grants.model import Grant
from gateway.settings import RouteModel, Settings, credentials_of


class Use(NamedTuple):
    """One route that sends a person's own token: which requests, and to which host."""

    route: str
    methods: str
    path: str
    to: str


class Uses(NamedTuple):
    """All of one provider. `scopes` are those that some route needs."""

    routes: tuple[Use, ...]
    scopes: frozenset[str]


def uses(settings: Settings) -> Mapping[str, Uses]:
    """By provider."""
    grants = {name: each for name, each in settings.credentials.items() if isinstance(each, Grant)}
    found: dict[str, tuple[list[Use], set[str]]] = {name: ([], set()) for name in settings.providers}
    for credential in grants.values():
        found.get(credential.provider, ([], set()))[1].update(credential.requires_scopes)
    for route in settings.routes:
        named = (grants[name].provider for name in credentials_of(route, settings.upstreams) if name in grants)
        for provider in dict.fromkeys(named):
            routes, scopes = found.get(provider, ([], set()))
            routes.append(_use(route, settings))
            scopes.update(route.requires_scopes)
    return {name: Uses(tuple(routes), frozenset(scopes)) for name, (routes, scopes) in found.items()}


def _use(route: RouteModel, settings: Settings) -> Use:
    methods = "any method" if route.match.methods == "any" else ", ".join(route.match.methods)
    upstream = settings.upstreams.get(route.upstream)
    targets = [] if upstream is None else [upstream.url] if upstream.url is not None else upstream.targets or []
    return Use(route.name, methods, route.match.path, ", ".join(urlsplit(target).netloc for target in targets))
