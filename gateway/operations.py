"""What operators see of the running gateway, and the little they may change. Implements `admin.app.Operations`."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

from gateway import __version__
from gateway.admin.access import Access
from gateway.admin.app import Endpoints
from gateway.audit.record import Record
from gateway.config.address import parse_address
from gateway.core.ports import SecretSource
from gateway.credentials.sources.following import status
from gateway.credentials.sources.source import RemoteSource
from gateway.credentials.stored.source import StoredSource
from gateway.reload import Reload
from gateway.resources import Resources
from gateway.server.lifecycle import Server
from gateway.server.listener import AsgiApp
from gateway.settings import Loaded, Settings
from gateway.settings.rules.upstreams import TELLING
from gateway.snapshot import Current
from gateway.telemetry import logs
from gateway.telemetry.levels import CUSTODY, UPSTREAMS
from gateway.telemetry.series import Family, Labels
from gateway.telemetry.telemetry import Telemetry

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
        self._endpoints: Endpoints | None = None

    def app(self, settings: Settings, token: SecretSource | None) -> AsgiApp:
        """The admin listener's application under a configuration."""
        self._endpoints = self._endpoints or Endpoints(self)
        return application(self._endpoints, settings, token)

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

    def level(self) -> str:
        return self._running.logs.level if self._running.logs is not None else "info"

    def set_level(self, level: str) -> None:
        if self._running.logs is not None:
            self._running.logs.set_level(level)


def application(endpoints: Endpoints, settings: Settings, token: SecretSource | None) -> AsgiApp:
    """The admin listener's application under a configuration."""
    address = parse_address(settings.admin.address)
    access = Access(hosts=settings.admin.hosts, token=token, local=address.is_unix)
    return endpoints.under(access, prometheus=settings.telemetry.metrics.prometheus)


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
