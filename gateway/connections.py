"""The connections that routes take to their upstreams: an upstream's own, or those of a certificate that a route shows there.

Each certificate has connections, health checks and bounds of its own. Nothing is shared, so nothing can be mixed up.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from gateway.config.document import Steps
from gateway.config.secrets import Secrets
from gateway.credentials.model import Mtls
from gateway.resources import Resources
from gateway.settings import RouteModel, Settings, credentials_of
from gateway.upstream.pool import Upstream, label
from gateway.upstream.tls import Shown

Attempt = Callable[[Steps, Callable[[], Any]], Any]
"""What the second gives, None with its complaint noted at the first."""


class Connections:
    """All of a configuration, built or taken over. An upstream that is only shown certificates has no others."""

    def __init__(self, settings: Settings, resources: Resources, secrets: Secrets, attempt: Attempt) -> None:
        self._settings = settings
        self._resources = resources
        self._secrets = secrets
        used = [(route.upstream, self._certificate(route)) for route in settings.routes if route.upstream in settings.upstreams]
        unused = [(name, None) for name in settings.upstreams if name not in dict(used)]
        self._made = {way: attempt(at(*way), partial(self._make, *way)) for way in dict.fromkeys([*used, *unused])}

    def of(self, route: RouteModel) -> Upstream | None:
        """The connections of a route; None where they could not be built."""
        made: Upstream | None = self._made[route.upstream, self._certificate(route)]
        return made

    def _certificate(self, route: RouteModel) -> str | None:
        """The credential that is a certificate, if there is one: it stands alone, see `settings.rules.certificates`."""
        named = credentials_of(route, self._settings.upstreams)
        return next((name for name in named if isinstance(self._settings.credentials.get(name), Mtls)), None)

    def _make(self, name: str, certificate: str | None) -> Upstream:
        model, metrics = self._settings.upstreams[name], self._resources.metrics
        shown = None if certificate is None else self._shown(certificate)
        return self._resources.upstreams.take(
            label(name, shown), (model, shown), lambda: Upstream(name, model, metrics=metrics, shown=shown)
        )

    def _shown(self, certificate: str) -> Shown | None:
        model = self._settings.credentials[certificate]
        return Shown(certificate, model.certificate, self._secrets(model.key)) if isinstance(model, Mtls) else None


def at(name: str, certificate: str | None) -> Steps:
    """Where complaints belong."""
    return ("upstreams", name) if certificate is None else ("credentials", certificate)
