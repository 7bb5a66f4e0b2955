"""Goes the steps of one rotation: mint, keep beside the old, try, switch, and revoke the old one after the overlap.

Each step is written down before the next begins, and each can be gone again: whoever finds a rotation half done goes on with it.
One gateway at a time has it, by a lease; one that was thought dead finds that its write does not compare, and stops.
Whatever fails, the old secret stays in force, the new one is revoked, and the next attempt waits; but where the old one ends with
the new one (`Minter.replaces`), the new one is in force as soon as it is there.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.rotation.job import Job, Outcome, Place, is_overdue, pause
from gateway.credentials.rotation.ledger import PREFIX, Current, Ledger, Unanswered
from gateway.credentials.rotation.minter import NotDone
from gateway.credentials.rotation.record import LONGEST_CAUSE, LONGEST_SECRET, Held, Phase, Record
from gateway.store.sql.rows import Conflict

log = logging.getLogger(__name__)

STEPS: Final = "gateway.rotation.steps"
MARGIN: Final = 60.0
"""Seconds that a lease lasts beyond what the provider and the upstream may take."""
KEPT_TRYING: Final = (0.2, 1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts to write down a secret that took the place of another: nobody else has it."""
GONE: Final = "the secret was replaced or revoked meanwhile"
REPLACED: Final = "a gateway ended while it rotated; the secret was replaced since, by it or by hand: look whether any is left over"
LOST: Final = "the old one ended, and the new one could not be stored: make another by hand, `gateway secrets seal NAME --database`"
UNSURE: Final = (
    "the old one ended, and whether the new one%s was stored is not known: where `gateway secrets rotate-upstream NAME --dry-run` "
    "says that the one in force does not count, revoke that and make another by hand, `gateway secrets seal NAME --database`"
)


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
        before = self._ledger.record
        lease = await self._place.turns.take(self._place.leases, PREFIX + self._job.name, self.lasting)
        if lease is None:
            return Outcome.BUSY
        try:
            return await self._step(at_once, before)
        except Conflict:
            return Outcome.BUSY
        finally:
            await self._place.leases.release(lease)

    @property
    def lasting(self) -> float:
        """Seconds of a lease: longer than a turn."""
        return self._job.minter.patience * 2 + self._job.rotate.within + MARGIN

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

    async def _step(self, at_once: bool, before: Record) -> Outcome:
        if not await self._is_due(at_once):  # somebody else was faster
            return Outcome.NOTHING
        if at_once and self._ledger.record != before:
            return Outcome.BUSY
        match self._ledger.record.phase:
            case Phase.IDLE:
                return await self._begin()
            case Phase.MINTING:
                return await self._cut_off()
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
        begun = replace(record, phase=Phase.MINTING, base=current.version, handle=old.handle)
        await self._ledger.write(begun)
        try:
            new = await self._job.minter.mint(old)
        except NotDone as error:
            return await self._failed("mint", str(error), replace(begun, phase=Phase.IDLE))
        if new.secret == old.secret:
            return await self._failed("mint", "the old one was given again", replace(begun, phase=Phase.IDLE))
        minted = Record(Phase.MINTED, current.version, old=old, new=new, failures=record.failures)
        if self._job.minter.replaces:
            return await self._replace(minted, new)
        await self._keep(minted)
        return await self._settle()

    async def _cut_off(self) -> Outcome:
        """A gateway ended while it minted. What takes the old one's place is in force as soon as it is written anywhere."""
        record, current = self._ledger.record, await self._ledger.current()
        if self._job.minter.replaces and current is not None and current.version != record.base:
            return await self._failed("mint", REPLACED, Record())
        return await self._failed("mint", self._job.minter.cut_off, replace(record, phase=Phase.IDLE))

    async def _replace(self, minted: Record, new: Held) -> Outcome:
        """Put in force what ended the old one, before anything else: there is no way back, and nobody else has it."""
        try:
            version = await self._stored(new.secret, minted.base)
        except Conflict:
            self._ledger.record = minted
            return await self._reject("switch", GONE)
        except Unanswered:
            self._alarm("switch", (UNSURE % (f", {new.handle}," if new.handle else "")).replace("NAME", self._job.name))
            raise
        except DependencyDown:
            self._alarm("switch", LOST.replace("NAME", self._job.name))
            await self._revoke(new, None)
            raise
        wrong = await self._job.trial.passes(new.secret, self._job.rotate.within, self._place.clock.monotonic)
        told = Record(base=version, handle=new.handle, failures=1 if wrong else 0, cause=wrong[:LONGEST_CAUSE])
        await self._ledger.write(told)
        self._tell("secret.rotated", "rotated")
        self._tell("secret.retired", "revoked")
        if wrong:
            self._alarm("verify", wrong)
        return Outcome.UNPROVEN if wrong else Outcome.REVOKED

    async def _stored(self, secret: Secret, base: int) -> int:
        """The version of what was put in force, though the database is away for a moment. Raises as the ledger does, Unanswered
        where any attempt may have written."""
        unanswered: Unanswered | None = None
        for seconds in KEPT_TRYING:
            try:
                return await self._switch(secret, base)
            except DependencyDown as error:
                unanswered = error if isinstance(error, Unanswered) else unanswered
                await asyncio.sleep(seconds)
        try:
            return await self._switch(secret, base)
        except DependencyDown as error:
            raise unanswered or error from None

    async def _switch(self, secret: Secret, base: int) -> int:
        """One attempt. What an attempt before it wrote, whose answer was lost, is in force as well. Raises as the ledger does."""
        try:
            return await self._ledger.switch(secret, base)
        except Conflict:
            current = await self._ledger.current()
            if current is None or current.secret != secret:
                raise
            return current.version

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
        wrong = await self._job.trial.passes(new.secret, self._job.rotate.within, self._place.clock.monotonic)
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
        if gone is None:
            return ""
        try:
            await self._job.minter.revoke(gone, current.secret if current is not None else None)
        except NotDone as error:
            return str(error)
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
        log.error("a step of a rotation failed", extra={"entry": job.name, "step": step, "cause": cause})

    def _tell(self, event: str, outcome: str) -> None:
        self._place.metrics.count(STEPS, 1, credential=self._job.credential, outcome=outcome)
        self._place.tell(event, entry=self._job.name, credential=self._job.credential)
