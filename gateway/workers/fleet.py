"""The workers: started, restarted when they die, replaced one by one, told the same.

Each has a place, and the place a socket of each listener. While nobody serves a place another worker takes from its sockets too:
the kernel goes on giving them their share of the connections.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from gateway.core.errors import ConfigError
from gateway.core.ports import Metrics
from gateway.edge.model import Drain
from gateway.telemetry.merge import Sums
from gateway.workers.births import Births, bear
from gateway.workers.blocks import Spread
from gateway.workers.channel import GoneError
from gateway.workers.equipment import Equipment
from gateway.workers.lines import Lines
from gateway.workers.member import Member, State
from gateway.workers.nursery import Begun
from gateway.workers.pulse import Pulse
from gateway.workers.renewal import commit, prepare
from gateway.workers.standins import StandIns
from gateway.workers.tries import Tries

log = logging.getLogger(__name__)

REAPED: Final = 0.5
"""Seconds in which the exit code of one that is gone arrives."""
LAST: Final = 10.0
"""Seconds beyond a drain's bound that a worker gets to hand over its evidence."""


class Fleet:
    """All workers of a gateway. `changed` is called when one comes, goes or leaves, `hopeless` when starting them is in vain."""

    def __init__(
        self,
        equipment: Equipment,
        audit: Lines,
        logs: Lines,
        metrics: Metrics,
        *,
        told: Callable[..., None],
        hopeless: Callable[[int], None],
        begun: Begun | None = None,
    ) -> None:
        """`told` takes audit events; `hopeless` the exit code to end with."""
        self.equipment = equipment
        self.sums = Sums()
        self.pulse = Pulse(self)
        self.spread = Spread(self)
        self._metrics = metrics
        self._told = told
        self._hopeless = hopeless
        self._births = Births(audit, logs, self._exited, begun)
        self._places: list[Member | None] = [None] * equipment.count
        self._everybody: set[Member] = set()
        self._stand_ins = StandIns()
        self._tries = Tries(equipment.count)
        self._ending = False
        self._full = False
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._burials: set[asyncio.Task[None]] = set()

    # Birth

    async def start(self) -> None:
        """Fill every place. Raises ConfigError for a configuration that a worker refuses, GoneError where none can be started."""
        born = await asyncio.gather(*(self._bear(slot) for slot in range(self.equipment.count)), return_exceptions=True)
        failures = [failure for failure in born if isinstance(failure, BaseException)]
        if failures:
            raise next((failure for failure in failures if isinstance(failure, ConfigError)), failures[0])
        for member in born:
            if isinstance(member, Member):
                self._place(member)
        self._spawn(self.pulse.watch())

    async def _bear(self, slot: int) -> Member:
        """A worker that serves. Raises ConfigError, GoneError."""
        member = await self._births.begin(slot, self._leaves, self._over, self.spread.note)
        self._everybody.add(member)
        try:
            await bear(member, self.equipment)
        except GoneError:
            member.drop()
            self.kill(member)
            raise
        self.spread.greet(member)
        if self._full:
            member.tell("room", full=True)
        return member

    def _place(self, member: Member) -> None:
        self._places[member.slot] = member
        if member.state is State.GONE:  # it died as soon as it was there
            self._refill(member, "died")
            return
        member.state = State.SERVING
        self._tries.serves()
        log.info("worker serves", extra=member.facts)
        self._told("worker.started", **member.facts)
        self._stand_ins.cover(self._places, self.equipment)

    # Death

    def _exited(self, pid: int, code: int) -> None:
        for member in self._everybody:
            if member.pid == pid:
                member.reap(code)

    def _leaves(self, member: Member) -> None:
        """It goes of its own accord."""
        member.state = State.LEAVING
        self._refill(member, "left")

    def _over(self, member: Member) -> None:
        """It is gone."""
        if member.families:
            self.sums.note(member.serial, "", member.families)
        self.sums.end(member.serial)
        self._burials.add(burial := asyncio.ensure_future(self._bury(member)))
        burial.add_done_callback(self._burials.discard)
        if self._places[member.slot] is member:
            self._refill(member, "died")

    async def _bury(self, member: Member) -> None:
        """Tell of its end, with its exit code if it comes soon."""
        with suppress(TimeoutError):
            await asyncio.wait_for(member.reaped.wait(), REAPED)
        self._everybody.discard(member)
        facts = {**member.facts, "exit": member.code, "cut_off": member.cut_off}
        (log.info if member.said_goodbye else log.error)("worker ended", extra=facts)
        self._told("worker.stopped", **facts)

    def _refill(self, member: Member, cause: str) -> None:
        slot = member.slot
        self._places[slot] = None
        self._stand_ins.cover(self._places, self.equipment)
        if self._ending:
            return
        self._tries.ended(slot, asyncio.get_running_loop().time() - member.born, by_itself=cause == "died")
        self._spawn(self._revive(slot, cause))

    async def _revive(self, slot: int, cause: str) -> None:
        """Fill a place again, however long it takes; not with a configuration that was refused, before there is another."""
        while self._misses(slot):
            await asyncio.sleep(self._tries.pause(slot))
            try:
                async with self._lock:
                    if self._misses(slot):
                        self._metrics.count("gateway.worker.restarts", cause=cause)
                        self._place(await self._bear(slot))
            except ConfigError as refused:
                self._tries.refused(slot)
                told = {"worker": slot, "problems": [str(problem) for problem in refused.problems]}
                log.error("a worker refuses the configuration, its place is empty until a reload", extra=told)
                self._despair()
                return
            except GoneError:
                self._tries.failed(slot)
                log.error("a worker did not start", extra={"worker": slot})
                self._despair()

    def _misses(self, slot: int) -> bool:
        return not self._ending and self._places[slot] is None

    def _despair(self) -> None:
        if self._tries.verdict is not None and not self.serving and not self._ending:
            self._hopeless(self._tries.verdict)

    # All of them

    @property
    def serving(self) -> list[Member]:
        """Those that take connections."""
        return [member for member in self._places if member is not None and member.state is State.SERVING]

    @property
    def alive(self) -> list[Member]:
        """Those that answer requests, also those that leave."""
        return [member for member in self._everybody if member.state in (State.SERVING, State.LEAVING)]

    def tell(self, what: str, **facts: Any) -> None:
        """The same to everybody."""
        for member in self.alive:
            member.tell(what, **facts)

    def be_full(self, full: bool) -> None:
        """Whether the audit trail takes no more events."""
        if full != self._full:
            self._full = full
            self.tell("room", full=full)

    # Another configuration

    async def renew(self, equipment: Equipment, others: Callable[[], None]) -> None:
        """Everybody builds it, then everybody goes over to it; or nobody does. `others` is done in between, and may refuse too.

        Raises ConfigError. A worker that dies in the middle is started anew with what the others have then.
        """
        async with self._lock:
            members = self.alive
            try:
                await prepare(members, equipment, self.equipment)
                others()
            except ConfigError:
                self.tell("abandon")
                raise
            before, self.equipment = self.equipment, equipment
            await asyncio.gather(*(self._commit(member) for member in members))
            self._stand_ins.forget()
            self._stand_ins.cover(self._places, self.equipment)
            before.release(equipment)
        for slot in self._tries.again():
            self._spawn(self._revive(slot, "refused"))

    async def _commit(self, member: Member) -> None:
        if not await commit(member):
            log.error("a worker does not go over to the new configuration and is ended", extra={"worker": member.slot})
            self.kill(member)

    # One after the other

    async def roll(self, bounds: Drain) -> bool:
        """Replace every worker, one after the other: a new one serves beside the old one before that leaves. False: broken off."""
        for old in self.serving:
            try:
                async with self._lock:
                    self._metrics.count("gateway.worker.restarts", cause="replaced")
                    new = await self._bear(old.slot)
                    if old.state is not State.GONE:
                        old.state = State.LEAVING
                    self._place(new)
            except (ConfigError, GoneError):
                log.error("workers are replaced no further: a new one did not start", extra={"worker": old.slot})
                return False
            old.tell("retire", timeout=bounds.timeout)
            await self._gone(old, bounds.timeout)
        log.info("workers are replaced")
        return True

    def kill(self, member: Member) -> None:
        """End one that does not do as told."""
        self._births.kill(member)

    def is_in_place(self, member: Member) -> bool:
        """Whether it is the one that its place is known by, and not on its way out."""
        return self._places[member.slot] is member

    async def _gone(self, member: Member, timeout: float) -> None:
        try:
            await asyncio.wait_for(member.gone.wait(), timeout + LAST)
        except TimeoutError:
            log.error("a worker does not end and is ended", extra={"worker": member.slot})
            self.kill(member)

    # The end

    async def drain(self, bounds: Drain) -> bool:
        """Everybody finishes what is in flight and ends. False when requests were cut off."""
        self._ending = True
        for unborn in [member for member in self._everybody if member.state is State.STARTING]:
            unborn.drop()
        members = self.alive
        for member in members:
            member.tell("drain", delay=bounds.delay, timeout=bounds.timeout)
        await asyncio.sleep(bounds.delay)
        self.equipment.hang_up()
        await asyncio.gather(*(self._gone(member, bounds.timeout) for member in members))
        return not any(member.cut_off for member in members)

    async def force(self) -> bool:
        """End everybody now. False when requests were cut off."""
        self._ending = True
        members = self.alive
        self.tell("force")
        await asyncio.gather(*(self._gone(member, 0.0) for member in members))
        return not any(member.cut_off for member in members)

    async def close(self) -> None:
        """When no worker is left."""
        self._ending = True
        for member in list(self._everybody):
            member.channel.close()
        await asyncio.gather(*self._burials)
        await self._births.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
