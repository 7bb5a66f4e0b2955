"""The two rows of a rotation: that of the secret in force, and that of how far its rotation came. Every write compares."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.rotation.record import Phase, Record, read
from gateway.credentials.stored.drawer import Drawer, Facts, Sealing, at, is_revoked
from gateway.credentials.vault.fault import NotOpened
from gateway.store.sql.rows import NO_TEXT
from gateway.store.sql.secrets import SecretRow, SecretRows

PREFIX: Final = "rotation:"
"""Of the name of the row of a rotation. No name in a configuration has a colon."""
PROVIDER: Final = "rotation"


class Unanswered(DependencyDown):
    """The database did not say whether it has written."""


async def orphans(rows: SecretRows, rotating: Collection[str]) -> Mapping[str, str]:
    """The names of rotations that are under way and that nothing in a configuration goes on with, and the step of each. Raises
    DependencyDown."""
    found = await rows.starting(PREFIX, but=Phase.IDLE)
    return {name.removeprefix(PREFIX): step(said) for name, said in found if is_orphan(name, said, rotating)}


def is_orphan(name: str, said: str, rotating: Collection[str]) -> bool:
    """Whether a rotation's row tells of secrets that may still count, and is none of those that are configured."""
    return said != Phase.IDLE and name.removeprefix(PREFIX) not in rotating


def step(said: str) -> str:
    """How far a rotation is by the word beside its sealed text, which anybody may have written."""
    return said if said in tuple(Phase) else NO_TEXT


@dataclass(frozen=True, slots=True)
class Current:
    """The secret in force: its row's version, since when it is there, and itself. None of it where it was revoked."""

    version: int
    since: float
    secret: Secret | None


class Ledger:
    """What is known of one rotation. `load` first, and again after a Conflict."""

    def __init__(self, name: str, rows: SecretRows, ring: Sealing, now: Callable[[], float]) -> None:
        self._name = name
        self._rows = rows
        self._ring = ring
        self._drawer = Drawer(rows, ring, now)
        self._kept: SecretRow | None = None
        self.record = Record()

    async def load(self) -> Current | None:
        """Read both; the secret in force, None where there is none of that name. Raises DependencyDown."""
        found = {row.name: row for row in await self._rows.of([self._name, PREFIX + self._name])}
        self._kept = found.get(PREFIX + self._name)
        self.record = Record() if self._kept is None else await self._opened(self._kept)
        return await self._current(found.get(self._name))

    async def current(self) -> Current | None:
        """The secret in force, now. Raises DependencyDown."""
        return await self._current(await self._rows.get(self._name))

    async def write(self, record: Record) -> None:
        """The next step. Raises Conflict where somebody else has gone one, and DependencyDown."""
        facts = Facts(provider=PROVIDER, subject=str(record.phase), scopes=record.cause)
        row, version = await self._drawer.sealed(PREFIX + self._name, record.written(), facts, self._kept)
        self._kept = await self._rows.put(row, version)
        self.record = record

    async def switch(self, secret: Secret, base: int) -> int:
        """Put a secret in force in place of the version `base`; the new version. Raises Conflict, DependencyDown where nothing was
        written, and Unanswered where something may have been."""
        known = await self._rows.get(self._name)
        if known is None or known.version != base:
            known = SecretRow(self._name, "", "", base)  # the write tells that it is not there any more
        facts = Facts(known.provider, known.subject, known.scopes)
        row, version = await self._drawer.sealed(self._name, secret, facts, known)
        try:
            return (await self._rows.put(row, version)).version
        except DependencyDown as error:
            raise Unanswered(error.detail) from error

    async def _current(self, row: SecretRow | None) -> Current | None:
        if row is None:
            return None
        secret = None if is_revoked(row) else await self._text(row)
        return Current(row.version, row.created_at, secret)

    async def _opened(self, row: SecretRow) -> Record:
        try:
            return read(await self._text(row))
        except ValueError as error:
            raise DependencyDown(f"the rotation of {self._name}: {error}") from None

    async def _text(self, row: SecretRow) -> Secret:
        try:
            return (await asyncio.to_thread(self._ring.open, at(row.name, row.version), row.sealed)).secret
        except NotOpened as error:
            raise DependencyDown(f"{row.name} does not open ({error.fault})") from None
