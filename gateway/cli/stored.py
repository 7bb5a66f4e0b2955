"""What `gateway secrets` does with the database: the rows of secrets, and how many rows and grants each key seals."""

import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from gateway.cli.bell import rung
from gateway.cli.database import asked, chosen
from gateway.cli.terminal import one_line
from gateway.config.values import NAME
from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.settings import Loaded
from gateway.settings.stored import rows_now
from gateway.store.sql.model import Postgres

if TYPE_CHECKING:
    from gateway.credentials.stored.resealing import Done, Resealing
    from gateway.credentials.vault.ring import Ring
    from gateway.store.sql.engine import Database
    from gateway.store.sql.secrets import SecretRow
    from gateway.store.sql.texts import Tally

T = TypeVar("T")
MOST_TOLD: Final = 5
LONGEST_TOLD: Final = 200


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


def seal(loaded: Loaded, ring: "Ring", name: str, secret: Secret, *, force: bool) -> bool:
    """Store a secret; whether one was replaced. Unless by `force`, only where the keys here prove to be those of the gateways."""

    async def work(database: "Database") -> bool:
        from gateway.credentials.stored.drawer import Drawer, Facts
        from gateway.store.sql.secrets import SecretRows

        rows = SecretRows(database)
        if not force:
            await proven(database, ring, await rows.of([name]))
        replaced = await Drawer(rows, ring, time.time).put(name, secret, Facts())
        await rung(loaded)
        return replaced

    return ask(loaded, work)


async def proven(database: "Database", ring: "Ring", replaced: "Sequence[SecretRow]") -> None:
    """See that what is to be replaced opens, and that the first key opens what is under it: of an id that the gateways know, it
    must be their key. Raises ValueError that says what to do, and DependencyDown."""
    from gateway.credentials.stored.drawer import is_revoked
    from gateway.credentials.stored.resealing import Done, Resealing
    from gateway.store.sql.texts import Text

    resealing, closed = Resealing(database, ring, time.time), []
    for row in replaced:
        text = Text((row.name,), row.version, row.sealed, row.key_id)
        if not is_revoked(row) and (fault := await resealing.fault("secrets", text)) is not None:
            closed.append(named(Done("secrets", text, fault=fault)))
    if not closed and (misfits := await resealing.misfits()):
        closed.append(_foreign(ring, misfits))
    if closed:
        told = "nothing was written: give the keys of the gateways in `vault.keys`, or --force where the old values are lost"
        raise ValueError("\n".join([*closed, told]))


def _foreign(ring: "Ring", misfits: "Sequence[Done]") -> str:
    which = ", ".join(one_line(f"{each.table}: {' '.join(each.text.key)}"[:LONGEST_TOLD]) for each in misfits[:MOST_TOLD])
    more = f", and {len(misfits) - MOST_TOLD} more" if len(misfits) > MOST_TOLD else ""
    return f"nothing that is under the key {ring.ids[0]} opens with it ({which}{more}): it is another key of that name"


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


def tell_hidden(loaded: Loaded, names: "Sequence[str]", where: object = "`sealed:`") -> None:
    """Say which of the names the database has, too, where an entry of the files was made. A database that is away is no failure."""
    model = loaded.settings.database if loaded.settings is not None else None
    if model is None:
        return
    try:
        password = model.password if isinstance(model, Postgres) else None
        hidden = [row.name for row in rows_now(model, loaded.secrets(password) if password is not None else None, names)]
    except (DependencyDown, ValueError):
        print("whether the database has a secret of that name, too, could not be seen", file=sys.stderr)
        return
    for name in hidden:
        told = f"the entry in {where} counts, that one is hidden until you take the entry out"
        print(f"the database has a secret {name}, too: {told}", file=sys.stderr)


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


def fitting(loaded: Loaded, ring: "Ring") -> None:
    """See that the first key is that of whoever sealed under it. Exits where it is not."""

    async def work(database: "Database") -> None:
        from gateway.credentials.stored.resealing import Resealing

        if misfits := await Resealing(database, ring, time.time).misfits():
            raise ValueError(f"{_foreign(ring, misfits)}; nothing was written: give theirs, or call your new key something else")

    if present(loaded):
        ask(loaded, work)


def named(done: "Done") -> str:
    """Which row does not open, and why, in one line. Keys of grants are of others' making."""
    return one_line(f"{done.table}: {' '.join(done.text.key)} does not open ({done.fault})")


def told(done: "Done") -> str:
    """The same, and the way out."""
    return f"{named(done)}: {one_line(_mending(done))}"


def _mending(done: "Done") -> str:
    if done.fault == "unknown-key":
        return f"put the key {done.text.key_id} back into `vault.keys`"
    if done.table == "grants":
        mended = "`gateway grants revoke`, and its principal connects anew"
    elif re.fullmatch(NAME, done.text.key[0]) and done.text.version > 0:
        mended = f"`gateway secrets seal {done.text.key[0]} --database --force` with its value"
    else:
        mended = "delete the row"
    return f"see who may write the database; then {mended}"
