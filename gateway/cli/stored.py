"""What `gateway secrets` does with the database: the rows of secrets, and how many rows and grants each key seals."""

import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from gateway.cli.bell import rung
from gateway.cli.database import asked, chosen
from gateway.cli.terminal import one_line
from gateway.core.secret import Secret
from gateway.settings import Loaded

if TYPE_CHECKING:
    from gateway.credentials.stored.drawer import Facts
    from gateway.credentials.stored.resealing import Done, Resealing
    from gateway.credentials.vault.ring import Ring
    from gateway.store.sql.engine import Database
    from gateway.store.sql.secrets import SecretRow
    from gateway.store.sql.texts import Tally

T = TypeVar("T")


def present(loaded: Loaded) -> bool:
    """Whether a database is configured."""
    return loaded.settings is not None and loaded.settings.database is not None


def ask(loaded: Loaded, work: "Callable[[Database], Awaitable[T]]") -> T:
    """What `work` gives with the database open and its tables in order. Exits where the database cannot."""

    async def run(database: "Database") -> T:
        from gateway.store.sql.schema import ready

        await ready(database)
        return await work(database)

    return asked(loaded, chosen(loaded), run)


def seal(loaded: Loaded, ring: "Ring", name: str, secret: Secret, facts: "Facts") -> bool:
    """Store a secret; whether one was replaced."""

    async def work(database: "Database") -> bool:
        from gateway.credentials.stored.drawer import Drawer
        from gateway.store.sql.secrets import SecretRows

        replaced = await Drawer(SecretRows(database), ring, time.time).put(name, secret, facts)
        await rung(loaded)
        return replaced

    return ask(loaded, work)


def revoke(loaded: Loaded, name: str) -> bool:
    """Take a secret back and let go of what it was sealed in; whether there was one."""

    async def work(database: "Database") -> bool:
        from gateway.credentials.stored.drawer import revoke as taken_back
        from gateway.store.sql.secrets import SecretRows

        found = await taken_back(SecretRows(database), name, time.time())
        await rung(loaded)
        if found and not await database.forget():
            print("others are reading the file: its log still holds the sealed text until they let go", file=sys.stderr)
        return found

    return ask(loaded, work)


def rows(loaded: Loaded) -> "list[SecretRow]":
    """All secrets of the database, none where none is configured."""
    if not present(loaded):
        return []

    async def work(database: "Database") -> "list[SecretRow]":
        from gateway.store.sql.secrets import SecretRows

        return [row async for row in SecretRows(database).every()]

    return ask(loaded, work)


def resealed(loaded: Loaded, ring: "Ring") -> "tuple[int, list[Done]]":
    """Everything under another key sealed under the first: how many, and what does not open and stays as it is."""
    return _through(loaded, ring, lambda resealing: resealing.run(time.time()), lambda done: done.resealed)


def verified(loaded: Loaded, ring: "Ring") -> "tuple[int, list[Done]]":
    """Every sealed text opened: how many there are, and those that do not open."""
    return _through(loaded, ring, lambda resealing: resealing.verified(), lambda _: True)


def _through(
    loaded: Loaded,
    ring: "Ring",
    walk: "Callable[[Resealing], AsyncIterator[Done]]",
    counts: "Callable[[Done], bool]",
) -> "tuple[int, list[Done]]":
    """All sealed texts gone through: how many of them count, and those that do not open."""
    if not present(loaded):
        return 0, []

    async def work(database: "Database") -> "tuple[int, list[Done]]":
        from gateway.credentials.stored.resealing import Resealing

        count, closed = 0, list["Done"]()
        async for done in walk(Resealing(database, ring, time.time)):
            count += counts(done)
            closed += [done] if done.fault is not None else []
        return count, closed

    return ask(loaded, work)


def tally(loaded: Loaded, ring: "Ring", overdue_after: float) -> "dict[str, Sequence[Tally]]":
    """By table, how many texts each key seals."""
    if not present(loaded):
        return {}

    async def work(database: "Database") -> "dict[str, Sequence[Tally]]":
        from gateway.credentials.stored.resealing import Resealing

        return await Resealing(database, ring, time.time).tally(time.time() - overdue_after)

    return ask(loaded, work)


def told(done: "Done") -> str:
    """What is wrong with a row, in one line. Keys of grants are of others' making."""
    return one_line(f"{done.table}: {' '.join(done.text.key)} does not open ({done.fault})")
