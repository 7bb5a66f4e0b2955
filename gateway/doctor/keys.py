"""What needs care about API keys: their end, none at all, and long disuse. One that ended or was revoked does no harm."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from gateway.authn.key_entry import KeyEntry, moment, state
from gateway.authn.strength import StrongSecret
from gateway.authz.lint import named
from gateway.config.document import Steps
from gateway.core.errors import DependencyDown, Problem
from gateway.settings import Loaded, Settings

if TYPE_CHECKING:
    from gateway.doctor.ending import Calendar
    from gateway.store.sql.engine import Database

IDLE_DAYS: Final = 90
DAY: Final = 86400.0
TABLE: Final = ("authentication", "api_keys", "store")


def ends(entries: Sequence[KeyEntry], path: Steps, found: "Calendar") -> Iterator[Problem]:
    """Keys that count and end soon, but those that another one replaces."""
    for entry in entries:
        if entry.expires_at and not entry.revoked_at and not entry.replaced_by:
            hint = f"`gateway keys rotate {entry.id}`"
            told = found("key-ends", path, f"the key {entry.id} ({entry.name})", moment(entry.expires_at), hint)
            yield from (each for each in told if each.severity != "error")


def endless(loaded: Loaded, entries: Sequence[KeyEntry], path: Steps) -> Iterator[Problem]:
    """Keys that never end, in one finding."""
    names = [entry.id for entry in entries if state(entry, 0.0) == "live" and entry.expires_at is None]
    if names:
        message = f"{len(names)} API keys never end: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
        hint = "`gateway keys create --expires 90d`, then `gateway keys revoke` the old ones"
        yield named("key-endless", loaded.problem(path, message, hint, severity="info"))


async def stored(loaded: Loaded, settings: Settings, database: "Database", found: "Calendar", now: float) -> list[Problem]:
    """The keys of the database. Raises DependencyDown."""
    model = settings.authentication.api_keys
    if model is None or model.store != "database":
        return []
    from gateway.authn.key_rows import Altered, Binding
    from gateway.store.sql.keys import KeyRows

    told: list[Problem] = []
    rows, entries = KeyRows(database), []
    try:
        binding = Binding(StrongSecret(loaded.secrets(model.pepper)).current())
    except (DependencyDown, ValueError):  # told by the build
        return []
    for row in await rows.of(list(await rows.versions())):
        try:
            entry = binding.opened(row)
        except Altered:
            message = f"the row of the API key {row.id} was not written by a gateway of this pepper"
            told.append(named("key-altered", loaded.problem(TABLE, message, "see who may write the database, then delete the row")))
            continue
        entries.append(entry)
        since = row.used_at if row.used_at is not None else moment(entry.created_at) if entry.created_at else now
        if state(entry, now) == "live" and now - since > IDLE_DAYS * DAY:
            message = f"the key {entry.id} ({entry.name}) was not used for {int((now - since) // DAY)} days"
            told.append(
                named("key-unused", loaded.problem(TABLE, message, f"`gateway keys revoke {entry.id}`", severity="warning"))
            )
    return [*told, *ends(entries, TABLE, found), *endless(loaded, entries, TABLE)]
