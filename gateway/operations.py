"""What operators see of the running gateway, and the little they may change. Implements `admin.app.Operations`."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from gateway import __version__
from gateway.admin.access import Access
from gateway.admin.app import Endpoints, Operations
from gateway.audit.record import Record
from gateway.authn.issuers import strong_secret
from gateway.authn.login.sessions import Sessions
from gateway.authn.strength import SHORTEST
from gateway.config.address import parse_address
from gateway.core.ports import Clock, Metrics, SecretSource
from gateway.credentials.sources.following import status
from gateway.credentials.sources.source import RemoteSource
from gateway.credentials.stored.source import StoredSource
from gateway.credentials.tokens import Tell
from gateway.fetch import Contexts, HttpFetch
from gateway.portal.login import shown
from gateway.reload import Reload
from gateway.resources import USER_AGENT, Resources
from gateway.server.lifecycle import Server
from gateway.server.listener import AsgiApp
from gateway.settings import Loaded, Settings
from gateway.settings.rules.upstreams import TELLING
from gateway.snapshot import Current
from gateway.store.sql.model import Postgres
from gateway.telemetry import logs
from gateway.telemetry.levels import CUSTODY, UPSTREAMS
from gateway.telemetry.series import Family, Labels
from gateway.telemetry.telemetry import Telemetry

if TYPE_CHECKING:
    from gateway.operators.desk import Desk
    from gateway.operators.office import Office

MASK: Final = "***"


class Running(Protocol):
    """The parts of a process that operators ask about."""

    loaded: Loaded
    current: Current
    server: Server
    reload: Reload
    resources: Resources
    trail: Record
    telemetry: Telemetry
    logs: logs.Logs | None


class Operating:
    """The operators' view of one process."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._entrance = Entrance(self, running.resources.clock, running.telemetry.metrics, running.trail.event)

    def app(self, loaded: Loaded, settings: Settings, token: SecretSource | None) -> AsgiApp:
        """The admin listener's application under a configuration. Raises ConfigError."""
        return self._entrance.app(loaded, settings, token)

    def ready(self) -> bool:
        """Configuration live and listeners bound, not draining (CONTRACT 1)."""
        return self._running.server.ready

    async def status(self) -> Mapping[str, Any]:
        return self.standing()

    def standing(self) -> dict[str, Any]:
        """What /readyz?verbose tells, as of now."""
        running = self._running
        refused = running.reload.last_error
        return {
            "version": __version__,
            "generation": running.current.snapshot.generation,
            "last_reload": "applied" if refused is None else "refused",
            "connections": running.server.connections,
            "audit": running.trail.status(),
            **running.loaded.vault.status(),
            **asked(running.loaded),
            **running.resources.status(),
        }

    async def metrics(self) -> bytes:
        return await asyncio.to_thread(self._running.telemetry.metrics.render)

    def describe(self) -> Mapping[str, Any]:
        """The resolved configuration. It holds references to secrets, never their values."""
        return described(self._running.loaded)

    async def routes(self) -> list[Mapping[str, Any]]:
        """Every route as it is served."""
        return self.table()

    def table(self) -> list[Mapping[str, Any]]:
        """The routes, as of now."""
        descriptions = dict(self._running.resources.descriptions)
        return [
            {
                "name": route.name,
                "path": route.pattern,
                "methods": list(route.methods) if route.methods is not None else "any",
                "upstream": route.service.upstream if route.service is not None else None,
                "credential": route.service.injector.name if route.service is not None else None,
                "described": descriptions[route.name].status() if route.name in descriptions else None,
                "websocket": route.service is not None and route.service.sockets is not None,
            }
            for route in self._running.current.snapshot.routes
        ]

    async def blocks(self) -> Mapping[str, Any]:
        return self._running.resources.guarding.guard.listing()

    async def release(self, address: str) -> bool:
        return self._running.resources.guarding.guard.release(address)

    async def sessions(self, issuer: str, subject: str) -> list[Mapping[str, Any]]:
        return await who_is_in(self._logins(), issuer, subject)

    async def end_session(self, name: str, operator: str) -> bool:
        return await self.end(("name", name), operator) > 0

    async def end_sessions(self, issuer: str, subject: str, operator: str) -> int:
        return await self.end(("who", issuer, subject), operator)

    async def end(self, tag: Sequence[str], operator: str) -> int:
        """How many ended. Raises DependencyDown."""
        sessions = self._logins()
        return 0 if sessions is None else await sessions.end_tagged(tag, "ended by an operator", operator=operator)

    def tell(self, event: str, /, **fields: Any) -> None:
        self._running.trail.event(event, **fields)

    def _logins(self) -> Sessions | None:
        return next((each.logins.sessions for _, each in self._running.resources.authentication if each.logins is not None), None)

    def level(self) -> str:
        return self._running.logs.level if self._running.logs is not None else "info"

    def set_level(self, level: str) -> None:
        if self._running.logs is not None:
            self._running.logs.set_level(level)


class Entrance:
    """The admin listener of a process: its applications, and the desk at which operators log in, whatever the configuration."""

    def __init__(self, operations: Operations, clock: Clock, metrics: Metrics, tell: Tell) -> None:
        self._endpoints = Endpoints(operations)
        self._clock = clock
        self._metrics = metrics
        self._tell = tell
        self._desk: Desk | None = None
        self._contexts: Contexts = {}

    def app(self, loaded: Loaded, settings: Settings, token: SecretSource | None) -> AsgiApp:
        """The application under a configuration. Raises ConfigError for a weak or missing key."""
        local = parse_address(settings.admin.address).is_unix
        access = Access(hosts=settings.admin.hosts, token=token, local=local, office=self._office(loaded, settings))
        return self._endpoints.under(access, prometheus=settings.telemetry.metrics.prometheus)

    def _office(self, loaded: Loaded, settings: Settings) -> "Office | None":
        model, database = settings.admin.operators, settings.database
        if model is None or (model.local is not None and database is None):
            return None
        from gateway.operators.desk import Desk
        from gateway.operators.office import Office
        from gateway.store.sql.engine import Database

        self._desk = self._desk or Desk(self._clock, self._metrics, self._tell)
        key = strong_secret(loaded.secrets, model.key, "admin.operators.key", SHORTEST)
        chosen = database.password if isinstance(database, Postgres) else None
        password = loaded.secrets(chosen) if chosen is not None else None
        opened = partial(Database, database, password) if database is not None and model.local is not None else None
        secret = model.oidc.provider.client_secret if model.oidc is not None else None
        client = loaded.secrets(secret) if secret is not None else None
        return Office(self._desk, model, key, opened, settings.detection, fetching=self._fetching, client_secret=client)

    def _fetching(self) -> HttpFetch:
        return HttpFetch(user_agent=USER_AGENT, contexts=self._contexts)


async def who_is_in(sessions: Sessions | None, issuer: str, subject: str) -> list[Mapping[str, Any]]:
    """The sessions of one person, or of all where nobody is named, without what they hold. Raises DependencyDown."""
    if sessions is None:
        return []
    found = await sessions.listed(sessions.tag("who", issuer, subject) if issuer else sessions.tag("all"))
    return [shown(each) for each in found]


def asked(loaded: Loaded) -> dict[str, Any]:
    """The secrets that lie with services: how old each is, and what went wrong last. Nothing where there are none."""
    found = loaded.secrets.of(RemoteSource)
    return {"secret_sources": status(found)} if found else {}


def described(loaded: Loaded) -> Mapping[str, Any]:
    """A configuration as it was resolved."""
    settings = loaded.settings
    return masked(settings.model_dump(mode="json", by_alias=True)) if settings is not None else {}


def masked(described: dict[str, Any]) -> dict[str, Any]:
    """The dump with fixed headers of telling names masked, as `gateway config print` masks them."""
    for upstream in described["upstreams"].values():
        fixed = upstream["headers"]["set"]
        upstream["headers"]["set"] = {name: MASK if TELLING.search(name) else value for name, value in fixed.items()}
    described["sealed"] = dict.fromkeys(described["sealed"], MASK)
    return described


def levels(resources: Resources, loaded: Loaded) -> list[Family]:
    """The gauges of all upstreams, minted tokens, grants and stored secrets, as of now. May be called from any thread."""
    points: dict[str, list[tuple[Labels, float]]] = {instrument.name: [] for instrument in (*UPSTREAMS, *CUSTODY)}
    told = [
        (metric, value, {"upstream": name, **labels})
        for name, each in resources.upstreams
        for metric, value, labels in each.levels()
    ]
    told += [gauge for _, each in (*resources.tokens, *resources.held) for gauge in each.levels()]
    now = resources.clock.now()
    told += [gauge for source in loaded.secrets.of(StoredSource) for gauge in source.levels(now)]
    for metric, value, labels in told:
        points[metric].append((tuple(sorted(labels.items())), value))
    return [Family(instrument, tuple(points[instrument.name])) for instrument in (*UPSTREAMS, *CUSTODY) if points[instrument.name]]
