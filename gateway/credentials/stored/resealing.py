"""Moves what lies in the database from old keys to the first one: a text at a time, each compared with what was read.

What a text means, and the version of its row, stay: requests, refreshes and other gateways notice nothing. It may be stopped
anywhere and begun again; what was done is not found a second time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.credentials.grants.kept import at as at_grant
from gateway.credentials.stored.drawer import Sealing
from gateway.credentials.stored.drawer import at as at_secret
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.store.sql.engine import Database
from gateway.store.sql.tables import GRANTS, SECRETS
from gateway.store.sql.texts import Key, Tally, Text, Texts

NEVER: Final = 0.0
"""The time before which nothing was sealed."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one text. `fault` says why it stays as it is; neither: somebody else was faster."""

    table: str
    text: Text
    resealed: bool = False
    fault: Fault | None = None


class Resealing:
    """The sealed texts of a database, and the keys they are to be under."""

    def __init__(self, database: Database, ring: Sealing, now: Callable[[], float]) -> None:
        self._tables = (Texts(database, SECRETS), Texts(database, GRANTS))
        self._ring = ring
        self._now = now
        self._after: dict[str, Key] = {}

    async def run(self, settled: float, overdue: float = NEVER) -> AsyncIterator[Done]:
        """Seal anew, one by one, whatever is due, see `Texts.due`. Raises DependencyDown."""
        for texts in self._tables:
            after: Key = ()
            while page := await texts.due(self._ring.ids[0], settled, overdue, after):
                for text in page:
                    yield await self._resealed(texts, text)
                after = page[-1].key

    async def turn(self, settled: float, overdue: float, pause: Callable[[], Awaitable[None]]) -> list[Done]:
        """The next page of each table, where the last turn ended. Raises DependencyDown."""
        done = []
        for texts in self._tables:
            page = await texts.due(self._ring.ids[0], settled, overdue, self._after.get(texts.table, ()))
            for text in page:
                done.append(await self._resealed(texts, text))
                await pause()
            self._after[texts.table] = page[-1].key if page else ()
        return done

    async def is_due(self, settled: float, overdue: float) -> bool:
        """Whether there is anything to do. Raises DependencyDown."""
        return any([await texts.due(self._ring.ids[0], settled, overdue) for texts in self._tables])

    async def misfits(self) -> list[Done]:
        """The texts that are said to be under the first key, where it opens none of them: it is another than the one of whoever
        sealed them, and what it seals opens for nobody but who has it. Raises DependencyDown."""
        closed = []
        for texts in self._tables:
            async for text in texts.under(self._ring.ids[0]):
                fault = await self.fault(texts.table, text)
                if fault is None:
                    return []
                closed.append(Done(texts.table, text, fault=fault))
        return closed

    async def verified(self) -> AsyncIterator[Done]:
        """Open every text there is, and change none. Raises DependencyDown."""
        for texts in self._tables:
            after: Key = ()
            while page := await texts.every(after):
                for text in page:
                    yield Done(texts.table, text, fault=await self.fault(texts.table, text))
                after = page[-1].key

    async def tally(self, before: float) -> dict[str, Sequence[Tally]]:
        """By table, how many texts each key seals, and how many of them since before a time. Raises DependencyDown."""
        return {texts.table: await texts.tally(before, self._ring.ids) for texts in self._tables}

    async def fault(self, table: str, text: Text) -> Fault | None:
        """Why a text does not open; None where it does. Raises DependencyDown."""
        try:
            opened = await asyncio.to_thread(self._ring.open, _place(table, text), text.sealed)
        except NotOpened as error:
            return error.fault
        return None if opened.key_id == text.key_id else Fault.ALTERED

    async def _resealed(self, texts: Texts, text: Text) -> Done:
        place = _place(texts.table, text)
        try:
            opened = await asyncio.to_thread(self._ring.open, place, text.sealed)
        except NotOpened as error:
            return Done(texts.table, text, fault=error.fault)
        sealed = await asyncio.to_thread(self._ring.seal, place, opened.secret)
        return Done(texts.table, text, await texts.replace(text, sealed, self._ring.ids[0], self._now()))


def _place(table: str, text: Text) -> bytes:
    if table == SECRETS.name:
        return at_secret(text.key[0], text.version)
    provider, issuer, subject = text.key
    return at_grant((provider, issuer, subject), text.version)
