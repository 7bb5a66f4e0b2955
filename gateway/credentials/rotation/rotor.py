"""Goes the steps of one rotation: mint, keep beside the old, try, switch, and revoke the old one after the overlap.

Each step is written down before the next begins, and each can be gone again: whoever finds a rotation half done goes on with it.
One gateway at a time has it, by a lease; one that was thought dead finds that its write does not compare, and stops.
Whatever fails, the old secret stays in force, the new one is revoked, and the next attempt waits.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Metrics
from gateway.credentials.rotation import hook
from gateway.credentials.rotation.hook import HookFailed
from gateway.credentials.rotation.ledger import PREFIX, Current, Ledger
from gateway.credentials.rotation.model import Rotate
from gateway.credentials.rotation.record import LONGEST_CAUSE, LONGEST_SECRET, Held, Phase, Record
from gateway.credentials.rotation.trial import Trial
from gateway.credentials.stored.drawer import Sealing
from gateway.credentials.tokens import Tell
from gateway.store.sql.leases import Leases
from gateway.store.sql.rows import Conflict
from gateway.store.sql.secrets import SecretRows

log = logging.getLogger(__name__)

STEPS: Final = "gateway.rotation.steps"
MARGIN: Final = 60.0
"""Seconds that a lease lasts beyond what the program and the upstream may take."""
FIRST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 6 * 3600.0
CUT_OFF: Final = "a gateway ended while the hook was minting: the provider may have a secret that nobody holds"
GONE: Final = "the secret was replaced or revoked meanwhile"


class Outcome(StrEnum):
    """What a turn came to."""

    NOTHING = "nothing to do"
    WAITING = "waiting until it may be tried again"
    BUSY = "another gateway is at it"
    OVERLAPPING = "switched, the old one is revoked after the overlap"
    REVOKED = "the old one is revoked"
    FAILED = "failed, the old one stays"


@dataclass(frozen=True, slots=True)
class Job:
    """What rotates: `name` of the stored secret, and the credential that has it."""

    name: str
    credential: str
    rotate: Rotate
    trial: Trial


class Place(NamedTuple):
    """Where it is kept, and who is told."""

    rows: SecretRows
    leases: Leases
    ring: Sealing
    clock: Clock
    metrics: Metrics
    tell: Tell


class Rotor:
    """One rotation, from wherever it stands."""

    def __init__(self, job: Job, place: Place) -> None:
        self._job = job
        self._place = place
        self._now: Callable[[], float] = place.clock.now
        self._ledger = Ledger(job.name, place.rows, place.ring, place.clock.now)

    async def turn(self, *, at_once: bool = False) -> Outcome:
        """Do what is due; `at_once` whatever is next. Raises DependencyDown: then all is as far as it was written."""
        if not await self._is_due(at_once):
            return Outcome.WAITING if self._ledger.record.failures else Outcome.NOTHING
        rotate = self._job.rotate
        lease = await self._place.leases.take(PREFIX + self._job.name, rotate.hook.timeout * 2 + rotate.verify_.within + MARGIN)
        if lease is None:
            return Outcome.BUSY
        try:
            return await self._step(at_once)
        except Conflict:
            return Outcome.BUSY
        finally:
            await self._place.leases.release(lease)

    async def overdue(self) -> bool:
        """Whether a new one should have been in force for a tenth of `every`. Raises DependencyDown."""
        current = await self._ledger.load()
        return current is not None and current.secret is not None and is_overdue(current.since, self._job.rotate, self._now())

    async def standing(self) -> tuple[Current | None, Record]:
        """The secret in force, and how far its rotation came. Raises DependencyDown."""
        return await self._ledger.load(), self._ledger.record

    async def _is_due(self, at_once: bool) -> bool:
        """Asked without a lease: most of the time nothing is."""
        current, record = await self._ledger.load(), self._ledger.record
        if record.phase is not Phase.IDLE:
            return at_once or record.moment <= self._now()
        if current is None or current.secret is None:
            return False
        return at_once or (current.since + self._job.rotate.every <= self._now() and record.moment <= self._now())

    async def _step(self, at_once: bool) -> Outcome:
        if not await self._is_due(at_once):  # somebody else was faster
            return Outcome.NOTHING
        match self._ledger.record.phase:
            case Phase.IDLE:
                return await self._begin()
            case Phase.MINTING:
                return await self._failed("mint", CUT_OFF, replace(self._ledger.record, phase=Phase.IDLE))
            case Phase.MINTED:
                return await self._settle()
            case Phase.OVERLAP:
                return await self._retire()
            case Phase.REJECTED:
                return await self._discard()

    async def _begin(self) -> Outcome:
        current, record = await self._ledger.current(), self._ledger.record
        if current is None or current.secret is None:
            return Outcome.NOTHING
        if len(current.secret) > LONGEST_SECRET:
            return await self._failed("mint", f"a secret of more than {LONGEST_SECRET // 1024} KiB is not rotated", record)
        old = Held(current.secret, record.handle if record.base == current.version else None)
        rotate, failures = self._job.rotate, record.failures
        await self._ledger.write(replace(record, phase=Phase.MINTING))
        try:
            new = await hook.mint(rotate.hook.command, rotate.hook.timeout, old)
        except HookFailed as error:
            return await self._failed("mint", f"the hook {error}", replace(record, phase=Phase.IDLE))
        if new.secret == old.secret:
            return await self._failed("mint", "the hook gave the old one again", replace(record, phase=Phase.IDLE))
        await self._keep(Record(Phase.MINTED, current.version, old=old, new=new, failures=failures))
        return await self._settle()

    async def _keep(self, record: Record) -> None:
        """Write down what was minted. Where that cannot be done it is revoked at once: nobody will find it again."""
        try:
            await self._ledger.write(record)
        except (DependencyDown, Conflict):
            await self._revoke(record.new, record.old)
            raise

    async def _settle(self) -> Outcome:
        """Try what was minted, and put it in force."""
        record, current = self._ledger.record, await self._ledger.current()
        old, new = record.old, record.new
        if old is None or new is None:
            return await self._failed("verify", "the record of the rotation lacks a secret", Record())
        if current is not None and current.secret == new.secret:
            return await self._switched(replace(record, base=current.version))
        if current is None or current.secret is None or current.version != record.base:
            return await self._reject("switch", GONE)
        wrong = await self._job.trial.passes(new.secret, self._job.rotate.verify_.within, self._place.clock.monotonic)
        if wrong:
            return await self._reject("verify", wrong)
        try:
            version = await self._ledger.switch(new.secret, record.base)
        except Conflict:
            return await self._reject("switch", GONE)
        return await self._switched(replace(record, base=version))

    async def _switched(self, record: Record) -> Outcome:
        moment = self._now() + self._job.rotate.overlap
        await self._ledger.write(replace(record, phase=Phase.OVERLAP, moment=moment, failures=0, cause=""))
        self._tell("secret.rotated", "rotated")
        log.info("a secret was rotated", extra={"entry": self._job.name})
        return Outcome.OVERLAPPING

    async def _retire(self) -> Outcome:
        """Revoke the old one, unless somebody has put it back: then it is the new one that goes."""
        record, current = self._ledger.record, await self._ledger.current()
        in_force = current.secret if current is not None else None
        if record.old is None or in_force == record.old.secret:
            return await self._reject("revoke", "the old one was put back")
        wrong = await self._revoke(record.old, Held(in_force) if in_force is not None else None)
        if wrong:
            return await self._failed("revoke", wrong, record)
        await self._ledger.write(Record(base=record.base, handle=record.new.handle if record.new is not None else None))
        self._tell("secret.retired", "revoked")
        return Outcome.REVOKED

    async def _reject(self, step: str, cause: str) -> Outcome:
        """What was minted is not used: revoke it, now if that can be done."""
        record = self._ledger.record
        await self._ledger.write(replace(record, phase=Phase.REJECTED, moment=0.0, cause=cause[:LONGEST_CAUSE]))
        self._alarm(step, cause)
        await self._discard()
        return Outcome.FAILED

    async def _discard(self) -> Outcome:
        record, current = self._ledger.record, await self._ledger.current()
        in_force = current.secret if current is not None else None
        if record.new is not None and in_force == record.new.secret:
            return await self._switched(record)  # an operator has put it in force by hand
        wrong = await self._revoke(record.new, Held(in_force) if in_force is not None else None)
        if wrong:
            return await self._failed("discard", wrong, record)
        failures = record.failures + 1
        again = Record(moment=self._now() + pause(failures), failures=failures, cause=record.cause)
        if current is not None and record.old is not None and in_force == record.old.secret:
            again = replace(again, base=current.version, handle=record.old.handle)
        await self._ledger.write(again)
        return Outcome.FAILED

    async def _revoke(self, gone: Held | None, current: Held | None) -> str:
        """Have a secret revoked; why that could not be done, "" where it was."""
        chosen = self._job.rotate.hook
        if gone is None:
            return ""
        try:
            await hook.revoke(chosen.command, chosen.timeout, gone, current.secret if current is not None else None)
        except HookFailed as error:
            return f"the hook {error}"
        return ""

    async def _failed(self, step: str, cause: str, record: Record) -> Outcome:
        """Write down that an attempt failed, and when the next may be."""
        failures = self._ledger.record.failures + 1
        moment = self._now() + pause(failures)
        await self._ledger.write(replace(record, moment=moment, failures=failures, cause=cause[:LONGEST_CAUSE]))
        self._alarm(step, cause)
        return Outcome.FAILED

    def _alarm(self, step: str, cause: str) -> None:
        job = self._job
        self._place.metrics.count(STEPS, 1, credential=job.credential, outcome="failed")
        self._place.tell("secret.rotation.failed", entry=job.name, credential=job.credential, step=step, detail=cause)
        log.error("a rotation failed, the old secret stays", extra={"entry": job.name, "step": step, "cause": cause})

    def _tell(self, event: str, outcome: str) -> None:
        self._place.metrics.count(STEPS, 1, credential=self._job.credential, outcome=outcome)
        self._place.tell(event, entry=self._job.name, credential=self._job.credential)


def pause(failures: int) -> float:
    """Seconds until the next attempt after so many that failed: a minute, doubled each time, six hours at most."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 16)))


def is_overdue(since: float, rotate: Rotate, now: float) -> bool:
    """Whether a secret has been there for a tenth longer than it should."""
    return since + rotate.every * 1.1 <= now
