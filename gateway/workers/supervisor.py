"""The process that keeps the workers: it has the signals, the operators' listener, the audit file and the configuration.

It touches no request. What workers tell of requests it writes down; while it cannot, they refuse.
"""

import asyncio
import logging
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gateway.audit.trail import Trail
from gateway.core.errors import ConfigError
from gateway.edge.model import Drain
from gateway.reload import Reload, fingerprint, watch
from gateway.resources import SystemClock
from gateway.served import admin, data_keys
from gateway.server.lifecycle import Server, Signals, unless
from gateway.server.sockets import ListenError
from gateway.settings import Loaded, Settings
from gateway.source import Source
from gateway.standing import Fixed, alarm, bounds, keep_fresh, started, stopped, usable, warn
from gateway.telemetry import logs
from gateway.telemetry.telemetry import Telemetry
from gateway.workers.equipment import Equipment
from gateway.workers.fleet import Fleet
from gateway.workers.lines import Lines
from gateway.workers.nursery import Begun
from gateway.workers.operations import Operating
from gateway.workers.rules import check

log = logging.getLogger(__name__)

ROOM_EVERY: Final = 0.05
"""Seconds between looks whether the audit trail is full."""
LAST: Final = 5.0
"""Seconds for the end of what workers tell, when they are gone."""
HOPELESS: Final = "no worker can be started"


class Supervisor:
    """A gateway of several workers, from start to end. Used inside one event loop, in a process of its own."""

    def __init__(self, source: Source, workers: int, begun: Begun | None = None) -> None:
        """`begun` is the process to fork workers from, where there is one already."""
        self._begun = begun
        self._source = source
        self._count = workers
        self._tasks: list[asyncio.Task[Any]] = []
        self._rolling: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._again = False
        self._hopeless: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.draining = False
        self.loaded: Loaded
        self.fleet: Fleet
        self.logs: logs.Logs

    # Start

    async def start(self) -> None:
        """Load, bind, start every worker. Raises ConfigError, GoneError; nothing is left running then."""
        loaded, parcel = self._source.load_to_hand_over(apart=False)
        settings = self._checked(loaded)
        self.logs = logs.configure(settings.log)
        warn(loaded)
        try:
            self._furnish(settings)
            equipment = Equipment(self._count)
            equipment.pack(loaded, parcel)
            await self._open(loaded, settings, equipment)
        except BaseException:
            await self._end()
            raise

    def _checked(self, loaded: Loaded) -> Settings:
        settings = usable(loaded)
        check(loaded, settings)
        return settings

    def _furnish(self, settings: Settings) -> None:
        """What lives as long as the process."""
        self._fixed = Fixed(settings)
        clock = SystemClock()
        # Requests are traced where they are answered.
        self.telemetry = Telemetry(settings.telemetry.model_copy(update={"traces": None}), clock=clock)
        metrics = self.telemetry.metrics
        metrics.observe("gateway.log.dropped", lambda: self.logs.dropped)
        self.trail = Trail(settings.audit, clock=clock, metrics=metrics)
        self._audit = Lines(self.trail.accept, self._torn)
        self._logs = Lines(self.logs.accept, lambda _: None)
        self.reload = Reload(self._attempt, metrics, self._refused)
        self._operating = Operating(self)

    def _torn(self, size: int) -> None:
        log.error("a worker died while it told an audit event", extra={"bytes": size})
        self.telemetry.metrics.count("gateway.audit.dropped")

    async def _open(self, loaded: Loaded, settings: Settings, equipment: Equipment) -> None:
        metrics = self.telemetry.metrics
        await self.trail.start()
        self.loaded = loaded
        self.fleet = Fleet(
            equipment, self._audit, self._logs, metrics, told=self.trail.event, hopeless=self._give_up, begun=self._begun
        )
        metrics.join = self.fleet.sums.join
        metrics.observe("gateway.workers", lambda: len(self.fleet.serving))
        self.server = Server([admin(loaded, settings, self._operating.app)], metrics=metrics)
        try:
            equipment.bind(data_keys(settings))
            await self.server.start()
        except ListenError as error:
            raise ConfigError([loaded.problem(("listen",), str(error))]) from error
        await self.fleet.start()
        self._adopt(loaded, fingerprint(loaded.files))
        metrics.gauge("gateway.config.last_success", 1)
        self._tasks += [asyncio.create_task(self._tell_room()), asyncio.create_task(keep_fresh(lambda: self.loaded, metrics))]
        addresses = {**equipment.addresses, **self.server.addresses}
        log.info("serving", extra={"listeners": addresses, "generation": loaded.generation, "workers": self._count})
        started(self.trail, loaded.generation, addresses)

    def _adopt(self, loaded: Loaded, seen: str) -> None:
        self.loaded = loaded
        self._seen = seen
        self._fixed.compare(usable(loaded))
        self.logs.adopt(usable(loaded).log)

    def _give_up(self, code: int) -> None:
        if not self._hopeless.done():
            self._hopeless.set_result(code)

    # While running

    async def _tell_room(self) -> None:
        while True:
            self.fleet.be_full(self.trail.status()["full"])
            await asyncio.sleep(ROOM_EVERY)

    @property
    def ready(self) -> bool:
        """Somebody serves, and is to go on."""
        return not self.draining and bool(self.fleet.serving)

    def files(self) -> list[Path]:
        """Everything a reload would read."""
        return self.loaded.files

    def watch(self) -> None:
        """Reload whenever a file of the configuration changes."""
        self._watching = asyncio.create_task(watch(self.files, lambda: self._seen, self.reload))
        self._tasks.append(self._watching)

    # Reload

    async def _attempt(self) -> str:
        """One reload, of everybody or of nobody. Raises ConfigError."""
        loaded, parcel = await asyncio.to_thread(lambda: self._source.load_to_hand_over(apart=True))
        alarm(loaded, self.trail, self.telemetry.metrics)
        settings = self._checked(loaded)
        seen = await asyncio.to_thread(fingerprint, loaded.files)
        before = self.fleet.equipment
        loaded.secrets.adopt(self.loaded.secrets)
        equipment = Equipment(self._count, before.mask_key)
        try:
            equipment.bind(data_keys(settings), before)
            equipment.pack(loaded, parcel)
            await self.fleet.renew(equipment, lambda: self._move_operators(loaded, settings))
        except ListenError as error:
            raise ConfigError([loaded.problem(("listen",), str(error))]) from error
        except ConfigError:
            equipment.release(before)
            raise
        previous = self.loaded.generation
        self._adopt(loaded, seen)
        self.trail.event("config.changed", generation=loaded.generation, previous=previous)
        return loaded.generation

    def _move_operators(self, loaded: Loaded, settings: Settings) -> None:
        try:
            self.server.apply([admin(loaded, settings, self._operating.app)])
        except ListenError as error:
            raise ConfigError([loaded.problem(("admin", "address"), str(error))]) from error

    def _refused(self, error: ConfigError) -> None:
        self.trail.event("config.refused", problems=[str(problem) for problem in error.problems])

    # Signals

    async def run(self) -> int:
        """Until a signal says stop, or no worker can be had. SIGHUP reloads, SIGUSR2 replaces every worker. Gives the exit code."""
        signals = Signals(signal.SIGUSR2)
        code = 1
        try:
            code = await self._obey(signals)
        finally:
            signals.close()
            await self._stop(cut_off=code != 0)
        return code

    async def _obey(self, signals: Signals) -> int:
        orders = asyncio.ensure_future(self._orders(signals))
        await asyncio.wait((orders, self._hopeless), return_when=asyncio.FIRST_COMPLETED)
        if not orders.done():
            orders.cancel()
            log.error(HOPELESS)
            return self._hopeless.result()
        log.info("draining")
        self.draining = True
        for task in (self._rolling, self._watching):
            if task is not None:
                task.cancel()
        finished = await unless(self.fleet.drain(self._bounds()), signals.stop_again())
        forced = await self.fleet.force()
        return 0 if finished and forced else 1

    async def _orders(self, signals: Signals) -> None:
        while (number := await signals.next()) not in signals.STOPS:
            if number == signal.SIGHUP:
                self.trail.reopen()
                await self.reload()
            else:
                self._roll()

    def _roll(self) -> None:
        """Replace every worker; asked for in the middle of it, once more afterwards."""
        self._again = True
        if self._rolling is None or self._rolling.done():
            self._rolling = asyncio.create_task(self._keep_rolling())

    async def _keep_rolling(self) -> None:
        while self._again:
            self._again = False
            await self.fleet.roll(self._bounds())

    def _bounds(self) -> Drain:
        return bounds(usable(self.loaded))

    # End

    async def _stop(self, *, cut_off: bool) -> None:
        await self.fleet.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._audit.ended(), LAST)
        stopped(self.trail, self.loaded.generation, cut_off=cut_off)
        await self._end()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if hasattr(self, "fleet"):
            await self.fleet.close()
            self.fleet.equipment.release()
            self._audit.close()
            self._logs.close()
        if hasattr(self, "server"):
            await self.server.close()
        if hasattr(self, "trail"):
            await self.trail.close()
            await self.telemetry.close()
        self.logs.close()
