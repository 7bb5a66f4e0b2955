"""All that a configuration says of logins, put together: providers, the flow, sessions, and who is sent there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final
from urllib.parse import urlencode

from gateway.authn.issuers import Secrets, strong_secret
from gateway.authn.login.browser import navigates
from gateway.authn.login.cookies import Cookie
from gateway.authn.login.flow import Flow
from gateway.authn.login.model import Sessions as Model
from gateway.authn.login.pending import PendingLogins
from gateway.authn.login.provider import Provider
from gateway.authn.login.seal import Seal
from gateway.authn.login.sessions import Sessions
from gateway.authn.login.targets import target
from gateway.authn.model import Authentication
from gateway.authn.strength import SHORTEST
from gateway.core.errors import GatewayError
from gateway.core.message import Request, Response
from gateway.core.ports import Clock, Fetch, Metrics, Once
from gateway.core.session_store import SessionStore

NOT_KEPT: Final = ((b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer"))


@dataclass(frozen=True, slots=True)
class Backing:
    """What logins need of the house: `prefix` is the portal's."""

    prefix: str
    store: SessionStore
    once: Once
    tell: Callable[..., None]
    signal: Callable[..., None]


@final
class Logins:
    """Lives as long as its configuration."""

    def __init__(
        self,
        authentication: Authentication,
        model: Model,
        backing: Backing,
        fetch: Fetch,
        clock: Clock,
        metrics: Metrics,
        secrets: Secrets,
    ) -> None:
        """Raises ConfigError for a weak or missing key."""
        key = [strong_secret(secrets, each, "authentication.sessions.key", SHORTEST) for each in model.keys]
        self.providers = {
            name: Provider(name, each, secrets(each.client_secret) if each.client_secret else None, fetch, clock, metrics)
            for name, each in authentication.login.items()
        }
        self.prefix = backing.prefix
        self.origin = model.origin
        self.once = backing.once
        self.tell = backing.tell
        self.metrics = metrics
        self.sessions = Sessions(model, self.providers, backing.store, key, clock, metrics, backing.tell, backing.signal)
        redirects = {name: f"{model.origin}{backing.prefix}/callback/{name}" for name in self.providers}
        self.connecting = Cookie(f"{model.cookie}-connect", "lax")  # a provider sends the browser back, from another site
        self.connecting_seal = Seal(key, "connect")
        pending = PendingLogins(model.cookie, Seal(key, "login"), clock)
        self.flow = Flow(self.providers, redirects, pending=pending, once=backing.once)

    def elsewhere(self, accepted: Sequence[str], request: Request, error: GatewayError) -> Response | None:
        """Where a person's browser is sent instead of being told 401; None for programs, which are told."""
        if not navigates(request):
            return None
        path = request.path + (f"?{request.query.decode('latin-1')}" if request.query else "")
        asked = [("provider", name) for name in accepted] if len(accepted) < len(self.providers) or len(accepted) == 1 else []
        asked.append(("rd", target(path)))
        members = error.members or {}
        asked += [(name, str(members[name])) for name in ("acr_values", "max_age") if name in members]
        location = f"{self.origin}{self.prefix}/login?{urlencode(asked)}"
        return Response(303, [(b"location", location.encode("ascii")), *NOT_KEPT, (b"vary", b"cookie, accept, sec-fetch-mode")])

    @property
    def cookies(self) -> frozenset[bytes]:
        """Cookies that are ours: no upstream is told them, or may set them."""
        return self.flow.pending.names | {self.sessions.cookie.name, self.connecting.name}

    @property
    def session_cookie(self) -> list[str]:
        """The one that is a credential."""
        return [self.sessions.cookie.name.decode("ascii")]

    def start(self) -> None:
        """Begin to keep keys fresh."""
        for provider in self.providers.values():
            provider.keys.start()

    async def close(self) -> None:
        """End all background work."""
        await self.sessions.close()
        for provider in self.providers.values():
            await provider.keys.close()
            await provider.discovery.close()

    def status(self) -> dict[str, Any]:
        """For the operators' page."""
        return {f"login.{name}": provider.keys.status() for name, provider in self.providers.items()}


def configured(
    model: Authentication, backing: Backing | None, fetch: Fetch, clock: Clock, metrics: Metrics, secrets: Secrets
) -> Logins | None:
    """None where nobody logs in, or nothing is at hand to keep sessions in. Raises ConfigError."""
    if model.sessions is None or backing is None:
        return None
    return Logins(model, model.sessions, backing, fetch, clock, metrics, secrets)
