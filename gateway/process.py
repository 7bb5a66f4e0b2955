"""One running gateway: configuration, snapshot, listeners, evidence; its reload and its end."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import memory
from gateway.app import GatewayApp, RequestIds
from gateway.audit.record import Record
from gateway.audit.relay import Relay
from gateway.audit.trail import Trail
from gateway.build import build
from gateway.core.errors import ConfigError
from gateway.core.message import Inbound
from gateway.core.ports import App
from gateway.core.secret import Secret
from gateway.custody import Custody
from gateway.edge.model import Drain
from gateway.evidence import Evidence
from gateway.fetch import HttpFetch
from gateway.operations import Operating, levels
from gateway.reload import Reload, fingerprint, watch
from gateway.resources import USER_AGENT, Resources, SystemClock
from gateway.revocations import Revocations
from gateway.rotations import Rotations
from gateway.served import Served
from gateway.server.lifecycle import Server, run_until_signal
from gateway.server.listener import Listener
from gateway.server.sockets import ListenError, Sockets
from gateway.settings import Loaded, Settings
from gateway.snapshot import Current, Snapshot
from gateway.source import Handed, Source
from gateway.standing import Fixed, alarm, bounds, fit, keep_asked, keep_fresh, names_of, served, started, stopped, usable, warn
from gateway.telemetry import logs
from gateway.telemetry.telemetry import Telemetry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """What a process gets that is one of several: its number, sockets that are bound, pipes to the audit trail and the log.

    Operators, signals, reloads and the trail's file are then somebody else's.
    """

    number: int
    sockets: Sockets
    audit: int
    log: int
    mask_key: Secret


@dataclass(frozen=True, slots=True)
class Prepared:
    """A configuration that is built and not live yet. `seen` says what its files held."""

    loaded: Loaded
    snapshot: Snapshot
    listeners: Sequence[Listener]
    seen: str


class Process:
    """A gateway from start to end. Used inside one event loop."""

    def __init__(self, source: Source | Handed, place: Place | None = None) -> None:
        self._source = source
        self._place = place
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
            self.logs = self._logs(settings)
        if self._place is None:
            warn(loaded)
        self._furnish(settings, loaded)
        try:
            await self._open(loaded)
        except BaseException:
            await self._end()
            raise
        if alone:
            memory.settle()

    def _logs(self, settings: Settings) -> logs.Logs:
        place = self._place
        if place is None:
            return logs.configure(settings.log)
        return logs.configure(settings.log, descriptor=place.log, mark={"worker": place.number})

    def _furnish(self, settings: Settings, loaded: Loaded) -> None:
        """What lives as long as the process."""
        self._fixed = Fixed(settings)
        clock = SystemClock()
        place = self._place
        self.telemetry = Telemetry(settings.telemetry, clock=clock, pushes=place is None)
        metrics = self.telemetry.metrics
        loaded.secrets.metrics = metrics
        if (lines := self.logs) is not None:
            metrics.observe("gateway.log.dropped", lambda: lines.dropped)
        self.trail: Record = (
            Trail(settings.audit, clock=clock, metrics=metrics)
            if place is None
            else Relay(settings.audit, place.audit, clock=clock, metrics=metrics, mask_key=place.mask_key)
        )
        self._fetch = HttpFetch(user_agent=USER_AGENT)
        self.resources = Resources(
            clock=clock, metrics=metrics, fetch=self._fetch, ensure_room=self.trail.ensure_room, tell=self.trail.event
        )
        self._evidence = Evidence(self.telemetry, self.trail, first=place is not None)
        self._ids = RequestIds()
        self.reload = Reload(self._attempt, metrics, self._refused)
        self._served = Served(self._app_of, Operating(self) if place is None else None)

    def _app_of(self, listener: str) -> App:
        return GatewayApp(self.current, listener, self._evidence, new_id=self._ids.next).serve

    async def _open(self, loaded: Loaded) -> None:
        snapshot = build(loaded, self.resources)
        await fit(loaded, self.resources)
        self.current = Current(snapshot)
        await self.trail.start()
        sockets = None if self._place is None else self._place.sockets
        self.server = Server(self._served.listeners(loaded), metrics=self.telemetry.metrics, sockets=sockets)
        try:
            await self.server.start()
        except ListenError as error:
            raise ConfigError([loaded.problem(("listen",), str(error))]) from error
        await self._adopt(loaded, fingerprint(loaded.files))
        self.telemetry.metrics.gauge("gateway.config.last_success", 1)
        metrics, resources, stores = self.telemetry.metrics, self.resources, self.resources.stores
        metrics.watch(lambda: levels(resources, self.loaded))
        self._tasks.append(asyncio.create_task(keep_fresh(lambda: self.loaded, metrics)))
        self._tasks.append(asyncio.create_task(keep_asked(lambda: self.loaded, self._fetch, metrics, self.trail.event)))
        custody = Custody(lambda: self.loaded, lambda: stores.opened, resources.clock, metrics, self.trail.event, stores.bell)
        self._tasks += [asyncio.create_task(custody.follow()), asyncio.create_task(custody.keep_sealed())]
        rotations = Rotations(lambda: self.loaded, lambda: stores.opened, self._fetch, resources.clock, metrics, self.trail.event)
        self._tasks.append(asyncio.create_task(rotations.watch()))
        if self._place is None or self._place.number == 0:  # the others see the file change
            lists = Revocations(lambda: self.loaded.settings, self._fetch, metrics)
            self._tasks.append(asyncio.create_task(lists.watch(), name="revocations"))
        log.info("serving", extra={"listeners": self.server.addresses, "generation": snapshot.generation})
        if self._place is None:
            started(self.trail, snapshot.generation, self.server.addresses)

    # Reload

    async def _attempt(self) -> str:
        """One reload. Raises ConfigError and leaves everything as it was."""
        with memory.undisturbed() if self._alone else nullcontext():
            return await self._renew()

    async def _renew(self) -> str:
        loaded = await asyncio.to_thread(self._source.load_apart)
        alarm(loaded, self.trail, self.telemetry.metrics)
        previous = self.current.snapshot.generation
        await self.adopt(await self.prepare(loaded))
        generation = self.current.snapshot.generation
        self.trail.event("config.changed", generation=generation, previous=previous)
        return generation

    async def prepare(self, loaded: Loaded) -> Prepared:
        """Build what `adopt` makes live or `resources.abandon` throws away. Raises ConfigError, and then nothing is left of it."""
        usable(loaded)
        seen = await asyncio.to_thread(fingerprint, loaded.files)
        loaded.secrets.adopt(self.loaded.secrets)
        try:
            snapshot = await asyncio.to_thread(build, loaded, self.resources)
            await fit(loaded, self.resources)
            return Prepared(loaded, snapshot, self._served.listeners(loaded), seen)
        except BaseException:
            await self.resources.abandon()
            raise

    async def adopt(self, prepared: Prepared) -> None:
        """Make it live. Raises ConfigError, with everything as it was, for an address that cannot be listened on."""
        loaded, snapshot = self.loaded, self.current.snapshot
        try:
            self._apply(prepared)
        except BaseException:
            await self.resources.abandon()
            raise
        await self._adopt(prepared.loaded, prepared.seen)
        if self.logs is not None:
            self.logs.adopt(usable(prepared.loaded).log)
        old = [loaded, *snapshot.retire()]
        del loaded
        await asyncio.to_thread(memory.release, old)

    def _apply(self, prepared: Prepared) -> None:
        """Listeners and snapshot change together: nothing is awaited in between."""
        try:
            self.server.apply(prepared.listeners)
        except ListenError as error:
            raise ConfigError([prepared.loaded.problem(("listen",), str(error))]) from error
        self.current.snapshot = prepared.snapshot

    async def _adopt(self, loaded: Loaded, seen: str) -> None:
        """The configuration is live, read from files that held what `seen` says: resources follow it."""
        self.loaded = served(loaded)
        self._seen = seen
        settings = usable(loaded)
        trusting = any(listen.trusted_proxies or listen.address.startswith("unix:") for listen in settings.served().values())
        self.telemetry.describe(names_of(settings), self._trusts if trusting else None)
        if self._place is None:
            self._fixed.compare(settings)
        await self.resources.commit()

    def _trusts(self, inbound: Inbound) -> bool:
        """Whose `traceparent` continues a trace: that of the proxies whose word counts anyway."""
        door = self.current.snapshot.doors.get(inbound.listener)
        return door is not None and door.intake.trusts(inbound)

    def _refused(self, error: ConfigError) -> None:
        self.trail.event("config.refused", problems=[str(problem) for problem in error.problems])

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
        return bounds(usable(self.loaded))

    # End

    async def stop(self, *, cut_off: bool = False) -> None:
        """End everything, evidence last."""
        await self.server.close()
        self._evidence.write()
        if self._place is None:
            stopped(self.trail, self.current.snapshot.generation, cut_off=cut_off)
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
