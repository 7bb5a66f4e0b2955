"""`gateway secrets rotate-upstream`: have a new secret minted now, tried and put in force; or see whether that could be done."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from gateway import __version__
from gateway.cli import stored
from gateway.cli.record import CommandRecord
from gateway.cli.terminal import one_line
from gateway.core.errors import ConfigError
from gateway.fetch import HttpFetch
from gateway.resources import Nobody, SystemClock
from gateway.settings import Loaded
from gateway.settings.rotating import jobs, rotating

if TYPE_CHECKING:
    from gateway.credentials.rotation.job import Job, Outcome
    from gateway.credentials.rotation.record import Record
    from gateway.credentials.rotation.rotor import Rotor
    from gateway.credentials.vault.ring import Ring
    from gateway.store.sql.engine import Database
    from gateway.store.sql.leases import Lease, Leases

LEASE: Final = 960.0
"""Seconds for which no gateway may go a step while a rotation is forgotten: as long as the longest of theirs."""
POLL: Final = 1.0
Words = tuple[bool, str]
"""Whether it went well, and a line that says what there is."""


def run(loaded: Loaded, ring: "Ring", name: str, *, revoke_now: bool, dry_run: bool) -> None:
    """Rotate or rehearse, and tell it on standard error. Raises typer.Exit where it did not go well, or would not."""
    told = rehearse(loaded, ring, name) if dry_run else [rotate_now(loaded, ring, name, revoke_now=revoke_now)]
    for _, line in told:
        print(one_line(line), file=sys.stderr)
    if not all(well for well, _ in told):
        raise typer.Exit(1)


def rotate_now(loaded: Loaded, ring: "Ring", name: str, *, revoke_now: bool) -> Words:
    """Go the next steps at once, whether due or not. Raises ConfigError where the secret does not rotate."""
    trail = CommandRecord(loaded)
    told: list[tuple[str, Mapping[str, Any]]] = []

    def tell(event: str, /, **fields: Any) -> None:
        trail.tell(event, fields)
        told.append((event, fields))

    async def work(database: "Database") -> Words:
        fetch = HttpFetch(user_agent=f"latchgate/{__version__}")
        try:
            outcome = await _turned(_rotor(_job(loaded, fetch, name), database, ring, tell), revoke_now=revoke_now)
        finally:
            await fetch.close()
        causes = [str(fields["detail"]) for event, fields in told if event == "secret.rotation.failed"]
        return not causes and outcome in _well(), f"{name}: {': '.join([str(outcome), *causes])}"

    try:
        return stored.ask(loaded, work)
    finally:
        trail.close()


def rehearse(loaded: Loaded, ring: "Ring", name: str) -> list[Words]:
    """What can be seen without minting: what mints, what is said of the secret in force, and how far all is."""

    async def work(database: "Database") -> list[Words]:
        fetch = HttpFetch(user_agent=f"latchgate/{__version__}")
        try:
            job = _job(loaded, fetch, name)
            return [_minter(job), *await _seen(_rotor(job, database, ring, _untold), job)]
        finally:
            await fetch.close()

    return stored.ask(loaded, work)


async def _turned(rotor: "Rotor", *, revoke_now: bool) -> "Outcome":
    from gateway.credentials.rotation.job import Outcome
    from gateway.credentials.rotation.record import Phase

    _, record = await rotor.standing()
    if record.phase is Phase.OVERLAP and not revoke_now:
        print("the one before still counts: it is revoked after the overlap, or at once with --revoke-now", file=sys.stderr)
        return Outcome.WAITING
    outcome = await rotor.turn(at_once=True)
    if outcome is Outcome.BUSY:
        outcome = await _waited(rotor, record)
    if outcome is Outcome.OVERLAPPING and revoke_now:
        outcome = await rotor.turn(at_once=True)
    return outcome


async def _waited(rotor: "Rotor", before: "Record") -> "Outcome":
    """Who is at it may have ended in the middle: try until it has gone a step, or is taken to be dead."""
    from gateway.credentials.rotation.job import Outcome

    outcome, is_over, end = Outcome.BUSY, False, _waiting(rotor.lasting)
    while outcome is Outcome.BUSY and not is_over and (await rotor.standing())[1] == before:
        await asyncio.sleep(POLL)
        is_over = time.monotonic() >= end
        outcome = await rotor.turn(at_once=True)
    return outcome


def _waiting(lasting: float) -> float:
    """Tell that a lease is waited for; until when, by the monotonic clock."""
    from gateway.credentials.rotation.turns import MARGIN

    longest = lasting + 2 * MARGIN
    print(f"another gateway is at it, or ended in the middle: waiting, {longest / 60:.0f} minutes at most", file=sys.stderr)
    return time.monotonic() + longest


async def _seen(rotor: "Rotor", job: "Job") -> list[Words]:
    current, record = await rotor.standing()
    if current is None or current.secret is None:
        return [(False, f"{job.name}: there is none in the database, or it was revoked")]
    wrong, open_to_all = await asyncio.gather(job.trial.once(current.secret), job.trial.once(None))
    asked = "the upstream" if job.rotate.verify_ is not None else "the provider"
    verdict = f"{asked} takes the secret in force{f': no, {wrong}' if wrong else ''}"
    proof = "and answers the same without any: this path proves nothing" if not open_to_all else "and refuses to answer without"
    days = (current.since + job.rotate.every - time.time()) / 86400
    when = f"due in {days:.0f} days" if days > 0 else f"due for {-days:.0f} days"
    failed = f", failed {record.failures} times: {record.cause}" if record.failures else ""
    return [(not wrong, verdict), (bool(open_to_all), proof), (True, f"{job.name}: {record.phase}, {when}{failed}")]


def _minter(job: "Job") -> Words:
    from gateway.credentials.rotation.hook import unfit

    if job.rotate.hook is None:
        return True, f"minted by {job.rotate.provider.kind if job.rotate.provider is not None else 'nobody'}"
    program = Path(job.rotate.hook.command[0])
    wrong = unfit(program) or ("" if os.access(program, os.X_OK) else "this account may not run it")
    return not wrong, f"the hook {program}{f': {wrong}' if wrong else ' can be run'}"


def _rotor(job: "Job", database: "Database", ring: "Ring", tell: Any) -> "Rotor":
    from gateway.credentials.rotation.job import Place
    from gateway.credentials.rotation.rotor import Rotor
    from gateway.credentials.rotation.turns import Turns
    from gateway.store.sql.leases import Leases
    from gateway.store.sql.secrets import SecretRows

    turns = Turns(time.monotonic)
    return Rotor(job, Place(SecretRows(database), Leases(database), turns, ring, SystemClock(), Nobody(), tell))


def forget(loaded: Loaded, ring: "Ring", name: str) -> None:
    """End a rotation that nothing goes on with, and say what to revoke by hand.

    Raises typer.Exit where there is none, and ConfigError where the secret still rotates.
    """
    if loaded.settings is None or loaded.errors:
        raise ConfigError(loaded.errors)
    if name in rotating(loaded.settings):
        hint = f"`gateway secrets rotate-upstream {name} --revoke-now` ends it"
        raise ConfigError([loaded.problem(("credentials", rotating(loaded.settings)[name], "rotate"), f"'{name}' rotates", hint)])
    trail = CommandRecord(loaded)
    try:
        found = stored.ask(loaded, lambda database: _forgotten(database, ring, name))
        if found is None:
            print(one_line(f"no rotation of {name} is under way, or a gateway is at it"), file=sys.stderr)
            raise typer.Exit(1)
        trail.tell("secret.rotation.forgotten", {"entry": name, "step": str(found.phase)})
    finally:
        trail.close()
    for line in _leftover(name, found):
        print(one_line(line), file=sys.stderr)


async def _forgotten(database: "Database", ring: "Ring", name: str) -> "Record | None":
    """What was known of a rotation, which is forgotten now; None where nothing was."""
    from gateway.credentials.rotation.ledger import PREFIX, Ledger
    from gateway.credentials.rotation.record import Phase, Record
    from gateway.store.sql.leases import Leases
    from gateway.store.sql.secrets import SecretRows

    ledger, leases = Ledger(name, SecretRows(database), ring, time.time), Leases(database)
    await ledger.load()
    lease = await _turn(leases, PREFIX + name) if ledger.record.phase is not Phase.IDLE else None
    if lease is None:
        return None
    try:
        await ledger.load()
        found = ledger.record
        if found.phase is Phase.IDLE:
            return None
        await ledger.write(Record())
        return found
    finally:
        await leases.release(lease)


async def _turn(leases: "Leases", name: str) -> "Lease | None":
    """The lease, if it must be from who has it and does not end; None where there always is another."""
    from gateway.credentials.rotation.turns import Turns

    turns = Turns(time.monotonic)
    lease = await turns.take(leases, name, LEASE)
    is_over, end = False, _waiting(LEASE) if lease is None else 0.0
    while lease is None and not is_over:
        await asyncio.sleep(POLL)
        is_over = time.monotonic() >= end
        lease = await turns.take(leases, name, LEASE)
    return lease


def _leftover(name: str, record: "Record") -> list[str]:
    """What of a rotation may still count at its provider, as far as it has said by which name it goes."""
    from gateway.credentials.rotation.record import Phase

    old = f"the one before{f', {record.old.handle}' if record.old is not None and record.old.handle else ''}"
    new = f"the one that was minted{f', {record.new.handle}' if record.new is not None and record.new.handle else ''}"
    left = {
        Phase.MINTING: "the provider may have one that nobody holds: look through its list",
        Phase.MINTED: f"revoke {new}, unless it is in force, and then {old}",
        Phase.OVERLAP: f"revoke {old}",
        Phase.REJECTED: f"revoke {new}",
    }
    return [f"the rotation of {name} ({record.phase}) is forgotten", left[record.phase]]


def _job(loaded: Loaded, fetch: HttpFetch, name: str) -> "Job":
    settings = loaded.settings
    if settings is None or loaded.errors:
        raise ConfigError(loaded.errors)
    found = jobs(settings, fetch, time.time)
    if name not in found:
        advice = "add `rotate: {every: 90d, hook: …, verify: …}` to its credential, or `--forget` what is left of it"
        hint = f"one of {', '.join(found)}" if found else advice
        raise ConfigError([loaded.problem(("credentials",), f"no credential rotates a secret of the name '{name}'", hint)])
    return found[name]


def _well() -> "frozenset[Outcome]":
    from gateway.credentials.rotation.job import Outcome

    return frozenset({Outcome.OVERLAPPING, Outcome.REVOKED})


def _untold(event: str, /, **fields: Any) -> None:
    """A rehearsal changes nothing: there is nothing to tell."""
