"""One running gateway: configuration, snapshot, listeners, evidence; its reload and its end."""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway import __version__, memory
from gateway.app import GatewayApp, RequestIds
from gateway.audit.trail import Trail
from gateway.build import build
from gateway.config.apart import read_apart
from gateway.core.errors import ConfigError
from gateway.core.message import Inbound
from gateway.core.ports import App
from gateway.edge.model import Drain
from gateway.evidence import Evidence
from gateway.fetch import HttpFetch
from gateway.operations import Operating, upstream_levels
from gateway.reload import Reload, fingerprint, watch
from gateway.resources import USER_AGENT, Resources, SystemClock
from gateway.served import Served
from gateway.server.lifecycle import Server, run_until_signal
from gateway.server.sockets import ListenError
from gateway.settings import Loaded, Settings, load
from gateway.snapshot import Current, Snapshot
from gateway.telemetry import logs
from gateway.telemetry.names import Names
from gateway.telemetry.telemetry import Telemetry

log = logging.getLogger(__name__)

SECRETS_EVERY: Final = 2.0
"""Seconds between looks at secret files."""
FIXED: Final = ("audit", "telemetry")
"""Sections whose threads and files live as long as the process."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration comes from: files, later ones over earlier ones, variable files, the environment."""

    paths: Sequence[Path]
    env_files: Sequence[Path] = ()
    environ: Mapping[str, str] | None = None

    def load(self) -> Loaded:
        """In this process: for the start."""
        return load(self.paths, self.env_files, environ=self.environ)

    def load_apart(self) -> Loaded:
        """With the parsing in a process of its own, so that requests do not wait for it: for reloads."""
        return load(self.paths, self.env_files, environ=self.environ, read=read_apart)


class Process:
    """A gateway from start to end. Used inside one event loop."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._tasks: list[asyncio.Task[Any]] = []
        self.logs: logs.Logs | None = None
        self.loaded: Loaded
        self.current: Current
        self.server: Server

    # Start

    async def start(self, *, alone: bool = False) -> None:
        """Load, build, bind. `alone`: this operating-system process is the gateway's, so its logging and collector are set.

        Raises ConfigError, also for what cannot be bound, with nothing left running.
        """
        loaded = self._source.load()
        settings = usable(loaded)
        self._alone = alone
        if alone:
            self.logs = logs.configure(settings.log)
        for problem in loaded.problems:
            log.warning("configuration", extra={"problem": str(problem)})
        self._furnish(settings, loaded)
        try:
            await self._open(loaded)
        except BaseException:
            await self._end()
            raise
        if alone:
            memory.settle()

    def _furnish(self, settings: Settings, loaded: Loaded) -> None:
        """What lives as long as the process."""
        self._fixed = {section: getattr(settings, section) for section in FIXED}
        clock = SystemClock()
        self.telemetry = Telemetry(settings.telemetry, clock=clock)
        metrics = self.telemetry.metrics
        loaded.secrets.metrics = metrics
        if (lines := self.logs) is not None:
            metrics.observe("gateway.log.dropped", lambda: lines.dropped)
        self.trail = Trail(settings.audit, clock=clock, metrics=metrics)
        self._fetch = HttpFetch(user_agent=USER_AGENT)
        self.resources = Resources(clock=clock, metrics=metrics, fetch=self._fetch, ensure_room=self.trail.ensure_room)
        metrics.watch(lambda: upstream_levels(self.resources))
        self._evidence = Evidence(self.telemetry, self.trail)
        self._ids = RequestIds()
        self.reload = Reload(self._attempt, metrics, self._refused)
        self._served = Served(self._app_of, Operating(self))

    def _app_of(self, listener: str) -> App:
        return GatewayApp(self.current, listener, self._evidence, new_id=self._ids.next).serve

    async def _open(self, loaded: Loaded) -> None:
        snapshot = build(loaded, self.resources)
        self.current = Current(snapshot)
        await self.trail.start()
        self.server = Server(self._served.listeners(loaded), metrics=self.telemetry.metrics)
        try:
            await self.server.start()
        except ListenError as error:
            raise ConfigError([loaded.problem(("listen",), str(error))]) from error
        await self._adopt(loaded, fingerprint(loaded.files))
        self.telemetry.metrics.gauge("gateway.config.last_success", 1)
        self._tasks.append(asyncio.create_task(self._refresh_secrets()))
        log.info("serving", extra={"listeners": self.server.addresses, "generation": snapshot.generation})
        self.trail.event(
            "gateway.started",
            version=__version__,
            generation=snapshot.generation,
            listeners=self.server.addresses,
            pid=os.getpid(),
        )

    # Reload

    async def _attempt(self) -> str:
        """One reload. Raises ConfigError and leaves everything as it was."""
        with memory.undisturbed() if self._alone else nullcontext():
            return await self._renew()

    async def _renew(self) -> str:
        loaded = await asyncio.to_thread(self._source.load_apart)
        settings = usable(loaded)
        seen = await asyncio.to_thread(fingerprint, loaded.files)
        loaded.secrets.adopt(self.loaded.secrets)
        previous, old = self.current.snapshot.generation, pieces(self.loaded, self.current.snapshot)
        try:
            snapshot = await asyncio.to_thread(build, loaded, self.resources)
            self._apply(loaded, snapshot)
        except BaseException:
            await self.resources.abandon()
            raise
        await self._adopt(loaded, seen)
        if self.logs is not None:
            self.logs.adopt(settings.log)
        self.trail.event("config.changed", generation=snapshot.generation, previous=previous)
        await asyncio.to_thread(memory.release, old)
        return snapshot.generation

    def _apply(self, loaded: Loaded, snapshot: Snapshot) -> None:
        """Listeners and snapshot change together: nothing is awaited in between."""
        try:
            self.server.apply(self._served.listeners(loaded))
        except ListenError as error:
            raise ConfigError([loaded.problem(("listen",), str(error))]) from error
        self.current.snapshot = snapshot

    async def _adopt(self, loaded: Loaded, seen: str) -> None:
        """The configuration is live, read from files that held what `seen` says: resources follow it."""
        self.loaded = loaded
        self._seen = seen
        settings = usable(loaded)
        trusting = any(listen.trusted_proxies or listen.address.startswith("unix:") for listen in settings.served().values())
        self.telemetry.describe(names_of(settings), self._trusts if trusting else None)
        for section in self._fixed:
            if getattr(settings, section) != self._fixed[section]:
                log.warning("a changed section counts from the next start", extra={"section": section})
        await self.resources.commit()

    def _trusts(self, inbound: Inbound) -> bool:
        """Whose `traceparent` continues a trace: that of the proxies whose word counts anyway."""
        door = self.current.snapshot.doors.get(inbound.listener)
        return door is not None and door.intake.trusts(inbound)

    def _refused(self, error: ConfigError) -> None:
        self.trail.event("config.refused", problems=[str(problem) for problem in error.problems])

    async def _refresh_secrets(self) -> None:
        while True:
            await asyncio.sleep(SECRETS_EVERY)
            await asyncio.to_thread(self.loaded.secrets.refresh)

    # Use

    def files(self) -> list[Path]:
        """Everything a reload would read."""
        return self.loaded.files

    def watch(self) -> None:
        """Reload whenever a file of the configuration changes."""
        self._tasks.append(asyncio.create_task(watch(self.files, lambda: self._seen, self.reload)))

    def address(self, listener: str) -> tuple[str, int]:
        """The bound host and port of a TCP listener."""
        host, _, port = self.server.addresses[listener].rpartition(":")
        return host.strip("[]"), int(port)

    async def flush(self) -> None:
        """Everything that ended so far is written down."""
        self._evidence.write()
        await self.trail.flush()

    async def run(self) -> int:
        """Serve until a signal says stop; SIGHUP reloads and reopens files. Gives the exit code."""
        code = 1
        try:
            code = await run_until_signal(self.server, on_reload=self._hang_up, drain=self._drain)
        finally:
            await self.stop(cut_off=code != 0)
        return code

    async def _hang_up(self) -> None:
        self.trail.reopen()
        await self.reload()

    def _drain(self) -> Drain:
        """The longest of the listeners' bounds."""
        drains = [listen.drain for listen in usable(self.loaded).served().values()]
        return Drain.model_construct(delay=max(d.delay for d in drains), timeout=max(d.timeout for d in drains))

    # End

    async def stop(self, *, cut_off: bool = False) -> None:
        """End everything, evidence last."""
        await self.server.close()
        self._evidence.write()
        generation = self.current.snapshot.generation
        self.trail.event("gateway.stopped", version=__version__, generation=generation, pid=os.getpid(), cut_off=cut_off)
        await self._end()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.resources.close()
        await self._fetch.close()
        await self.trail.close()
        await self.telemetry.close()
        if self.logs is not None:
            self.logs.close()


def pieces(loaded: Loaded, snapshot: Snapshot) -> list[object]:
    """A configuration taken apart, from the small to what holds it."""
    return [*snapshot.routes, *loaded.policies, snapshot, loaded]


def usable(loaded: Loaded) -> Settings:
    """The settings of a configuration without errors. Raises ConfigError with all of them."""
    if loaded.settings is None or loaded.errors:
        raise ConfigError(loaded.problems)
    return loaded.settings


def names_of(settings: Settings) -> Names:
    """What telemetry calls things."""
    routes = {route.name: route.match.path for route in settings.routes}
    upstreams = {name: (upstream.url or (upstream.targets or [""])[0]) for name, upstream in settings.upstreams.items()}
    hidden = [credential.name for credential in settings.credentials.values() if credential.inject == "query"]
    return Names.of(routes, upstreams, hidden)
