"""What `gateway secrets list` tells: names, homes, key ids, ages, and how many texts each key still seals. Never a value."""

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from gateway.cli import stored
from gateway.cli.terminal import aligned, one_line
from gateway.credentials.vault.sealed import Entry
from gateway.settings import Loaded
from gateway.settings.rotating import rotating

if TYPE_CHECKING:
    from gateway.credentials.vault.ring import Ring
    from gateway.store.sql.secrets import SecretRow

DAY: Final = 86400
COLUMNS: Final = ("NAME", "HOME", "KEY", "AGE", "STATE")


def listed(loaded: Loaded) -> list[dict[str, Any]]:
    """All that is sealed: in the files, then in the database."""
    now = time.time()
    rows = [shown(loaded, each, now) for each in loaded.vault.entries.values()]
    return rows + [of_row(loaded, each, now) for each in stored.rows(loaded)]


def table(rows: list[dict[str, Any]]) -> None:
    """Print them as a table."""
    for line in aligned([COLUMNS, *(cells(row) for row in rows)]):
        print(line)


def shown(loaded: Loaded, each: Entry, now: float) -> dict[str, Any]:
    age = max(0, int(now - each.sealed_at)) if each.sealed_at else None
    return {"name": each.name, "home": "files", "key": each.key_id or None, "age_seconds": age, "state": _state(loaded, each, now)}


def of_row(loaded: Loaded, row: "SecretRow", now: float) -> dict[str, Any]:
    from gateway.credentials.rotation.ledger import PREFIX

    after = loaded.vault.model.rotate_after if loaded.vault.model is not None else now
    age = max(0, int(now - row.updated_at))
    if row.name.startswith(PREFIX):
        return {"name": row.name, "home": "database", "key": row.key_id, "age_seconds": age, "state": _step(loaded, row)}
    state = "revoked" if not row.key_id else "overdue" if age > after else "sealed"
    if row.expires_at is not None and row.key_id:
        state += ", expired" if row.expires_at <= now else f", expires in {int(row.expires_at - now) // DAY}d"
    return {"name": row.name, "home": "database", "key": row.key_id or None, "age_seconds": age, "state": state}


def _step(loaded: Loaded, row: "SecretRow") -> str:
    """How far a rotation is, and whether anything goes on with it."""
    from gateway.credentials.rotation.ledger import is_orphan, step

    goes_on = rotating(loaded.settings) if loaded.settings is not None else {}
    return f"{step(row.subject)}, orphaned" if is_orphan(row.name, row.subject, goes_on) else step(row.subject)


def _state(loaded: Loaded, each: Entry, now: float) -> str:
    if each.source is None:
        return "does not open"
    if each.source.revoked:
        return "revoked"
    return "overdue" if each.name in loaded.vault.overdue(now) else "sealed"


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    age = row["age_seconds"]
    return row["name"], row["home"], row["key"] or "-", "-" if age is None else f"{age // DAY}d", row["state"]


def tell_keys(loaded: Loaded, ring: "Ring") -> None:
    """What each key still seals."""
    counts = {id: {"files": 0} for id in ring.ids}
    for each in loaded.vault.entries.values():
        if each.key_id:
            counts.setdefault(each.key_id, {"files": 0})["files"] += 1
    for table, found in stored.tally(loaded, ring, 0).items():
        for tally in found:
            counts.setdefault(tally.key_id, {"files": 0})[table] = tally.count
    for id, homes in counts.items():
        seals = ", ".join(f"{count} in {home}" for home, count in homes.items() if count)
        retired = "" if seals or id == ring.ids[0] else ", may be retired"
        print(one_line(f"key {id}: {seals or 'nothing'}{retired}"), file=sys.stderr)
