"""What the keys and the database say: whether they answer, how secrets, rotations and grants do. Each look is bounded in time, and
none of them changes anything."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final

from gateway.authz.lint import named
from gateway.config.document import Steps
from gateway.config.values import SealedSecret
from gateway.core.errors import DependencyDown, Problem
from gateway.doctor import keys
from gateway.doctor.ending import DAY, Calendar, when
from gateway.settings import Loaded, Settings
from gateway.settings.rotating import end_it, rotates, secret_of
from gateway.settings.secrets import references
from gateway.store.sql.model import Postgres

if TYPE_CHECKING:
    from gateway.store.sql.engine import Database
    from gateway.store.sql.grants import GrantRow

MOST_GRANTS: Final = 10_000
CAPTURED: Final = ("captured", "captured_keys")
"""What opens placeholders, which nothing counts."""
TOLD: Final = 10
"""Grants of one kind that are told by themselves."""


async def looked_at(loaded: Loaded, settings: Settings, now: float, within: float, patience: float) -> list[Problem]:
    """What keys and the database say; each look takes at most `patience` seconds."""
    looks: list[Callable[[], Awaitable[list[Problem]]]] = [lambda: _keys(loaded), lambda: _database(loaded, settings, now, within)]
    return [problem for look in looks for problem in await _bounded(loaded, look, patience)]


async def _bounded(loaded: Loaded, look: Callable[[], Awaitable[list[Problem]]], patience: float) -> list[Problem]:
    try:
        async with asyncio.timeout(patience):
            return await look()
    except TimeoutError:
        message = f"something did not answer within {patience:g} s"
        return [named("unreachable", loaded.problem((), message, "see whether the database and the vault can be reached"))]


async def _keys(loaded: Loaded) -> list[Problem]:
    """Whether the key that seals answers."""
    ring = loaded.vault.ring
    if ring is None:
        return []
    try:
        await asyncio.to_thread(ring.data_key)
    except DependencyDown as error:
        message = f"the key '{ring.ids[0]}' cannot be used: {error.detail}"
        return [
            named(
                "unreachable", loaded.problem(("vault", "keys", 0), message, "see whether it can be reached, and its token counts")
            )
        ]
    return []


async def _database(loaded: Loaded, settings: Settings, now: float, within: float) -> list[Problem]:
    model = settings.database
    if model is None:
        return list(idle(loaded, settings, frozenset()))
    from gateway.store.sql.engine import Database
    from gateway.store.sql.schema import WrongSchema

    try:
        reference = model.password if isinstance(model, Postgres) else None
        database = Database(model, loaded.secrets(reference) if reference is not None else None)
    except ValueError as error:
        return [named("unreachable", loaded.problem(("database",), str(error)))]
    try:
        return [each async for each in _asked(loaded, settings, database, now, within)]
    except (DependencyDown, WrongSchema, ValueError) as error:
        return [named("unreachable", loaded.problem(("database",), str(error), "`gateway database status` says more"))]
    finally:
        await database.close()


async def _asked(loaded: Loaded, settings: Settings, database: "Database", now: float, within: float) -> AsyncIterator[Problem]:
    from gateway.store.sql.grants import GrantRow, GrantRows
    from gateway.store.sql.schema import NEWEST, found

    if not isinstance(database.model, Postgres) and not database.model.file.exists():
        for problem in idle(loaded, settings, frozenset()):
            yield problem
        return
    standing = await database.run(found)
    if standing.superuser:
        message = "the role that serves is a superuser: whoever gets its password has the whole server"
        yield named(
            "superuser",
            loaded.problem(("database", "username"), message, "serve with a role that owns nothing", severity="warning"),
        )
    if standing.revision != NEWEST:
        message = f"the tables are of schema {standing.revision or 'none'}, this gateway needs {NEWEST}"
        yield named("wrong-schema", loaded.problem(("database",), message, "`gateway database migrate`"))
        return
    told = await sealings(loaded, settings, database, now) + await ends(loaded, database, Calendar(loaded, now, within))
    for problem in told + await rotations(loaded, settings, database, now):
        yield problem
    for problem in await keys.stored(loaded, settings, database, Calendar(loaded, now, within), now):
        yield problem
    table: list[GrantRow] = []
    async for row in GrantRows(database).every():
        table.append(row)
        if len(table) == MOST_GRANTS:
            break
    for problem in grants(loaded, settings, table, now, within):
        yield problem


async def sealings(loaded: Loaded, settings: Settings, database: "Database", now: float) -> list[Problem]:
    """What is under its key for too long, and keys that nothing is under. Raises DependencyDown."""
    ring, model = loaded.vault.ring, loaded.vault.model
    if ring is None or model is None:
        return []
    from gateway.credentials.stored.resealing import Resealing

    tables = await Resealing(database, ring, lambda: now).tally(now - model.rotate_after)
    told = list(idle(loaded, settings, {each.key_id for found in tables.values() for each in found}))
    overdue = {table: sum(each.overdue for each in found) for table, found in tables.items()}
    counts = ", ".join(f"{count} in {table}" for table, count in overdue.items() if count)
    if counts:
        message = f"sealed more than {model.rotate_after / DAY:.0f} days ago: {counts}"
        hint = "put a new key in front (`gateway secrets key`), then `gateway secrets rotate`"
        told.append(named("sealing-overdue", loaded.problem(("vault",), message, hint, severity="warning")))
    return told


async def ends(loaded: Loaded, database: "Database", found: Calendar) -> list[Problem]:
    """Secrets of the database that the configuration names, by the end that they were sealed with. Raises DependencyDown."""
    from gateway.credentials.stored.drawer import is_revoked
    from gateway.store.sql.secrets import SecretRows

    places: dict[str, Steps] = {}
    for path, reference in references(loaded.source):
        if isinstance(reference, SealedSecret) and reference.sealed not in loaded.vault.entries:
            places.setdefault(reference.sealed, path)
    told: list[Problem] = []
    for row in await SecretRows(database).of(list(places)):
        if row.expires_at is not None and not is_revoked(row):
            hint = f"`gateway secrets seal {row.name} --database` with a new one"
            told += found("secret-ends", places[row.name], "the secret", row.expires_at, hint)
    return told


async def rotations(loaded: Loaded, settings: Settings, database: "Database", now: float) -> list[Problem]:
    """Secrets in force for too long, attempts that failed, and rotations that nothing ends. Raises DependencyDown."""
    from gateway.credentials.rotation.job import is_overdue
    from gateway.credentials.rotation.ledger import PREFIX, orphans
    from gateway.store.sql.secrets import SecretRows

    rotating = {secret_of(each): (name, each.rotate) for name, one in settings.credentials.items() if (each := rotates(one))}
    rows = SecretRows(database)
    told = [_orphaned(loaded, name, step) for name, step in (await orphans(rows, rotating)).items()]
    for row in await rows.of([*rotating, *(PREFIX + name for name in rotating)]):
        credential, rotate = rotating[row.name.removeprefix(PREFIX)]
        path, hint = ("credentials", credential, "rotate"), f"`gateway secrets rotate-upstream {row.name.removeprefix(PREFIX)}"
        if row.name.startswith(PREFIX) and row.scopes:
            message = f"the last attempt to rotate failed: {row.scopes}"
            told.append(named("rotation-failed", loaded.problem(path, message, hint + "` when it is mended", severity="warning")))
        elif row.name in rotating and row.key_id and rotate is not None and is_overdue(row.created_at, rotate, now):
            message = f"the secret is in force for {int((now - row.created_at) // DAY)} days"
            told.append(named("rotation-overdue", loaded.problem(path, message, hint + " --dry-run`", severity="warning")))
    return told


def _orphaned(loaded: Loaded, name: str, step: str) -> Problem:
    message = f"the rotation of {name} is under way ({step}) and nothing goes on with it: the old secret may count for ever"
    return named("rotation-orphaned", loaded.problem(("credentials",), message, end_it(name), severity="warning"))


def grants(loaded: Loaded, settings: Settings, rows: Sequence["GrantRow"], now: float, within: float) -> Iterator[Problem]:
    """Grants that are broken, and those that end and cannot be refreshed; by themselves as long as they are few."""
    counts: Counter[str] = Counter()
    for row in rows:
        who, provider = f"the grant of {row.issuer}:{row.subject} at {row.provider}", settings.providers.get(row.provider)
        if row.state != "live":
            kind, hint = "grant-broken", "its principal has to connect anew"
            said = f"is broken: {row.problem or row.state}"
        elif row.expires_at is not None and row.expires_at - now < within and (provider is None or provider.client is None):
            kind, hint = "grant-ends", "name the provider's `client`, or add another token"
            said = f"{when(row.expires_at - now)}, and nothing refreshes it"
        else:
            continue
        counts[kind] += 1
        if counts[kind] <= TOLD:
            yield named(kind, loaded.problem(("providers", row.provider), f"{who} {said}", hint, severity="warning"))
    for kind, count in counts.items():
        if count > TOLD:
            yield named(
                kind, loaded.problem(("providers",), f"and {count - TOLD} more", "`gateway grants list`", severity="warning")
            )


def idle(loaded: Loaded, settings: Settings, stored: AbstractSet[str]) -> Iterator[Problem]:
    """Keys that open nothing any more, neither in the configuration nor, of those that are in `stored`, in the database."""
    ring = loaded.vault.ring
    used = {entry.key_id for entry in loaded.vault.entries.values()} | stored
    captured = any(credential.inject in CAPTURED for credential in settings.credentials.values())
    hint = "take it out and destroy it" + (", once the placeholders made under it have ended" if captured else "")
    for number, id in enumerate(ring.ids if ring is not None else ()):
        if number and id not in used:
            message = f"nothing is sealed under the key '{id}' any more"
            yield named("idle-key", loaded.problem(("vault", "keys", number), message, hint, severity="info"))
