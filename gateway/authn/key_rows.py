"""API keys in the database: each row under a code that whoever writes the database cannot make.

The code's key is derived from the pepper, and the code covers id, version and everything that is said of the key: whoever may write
rows can take keys away, but cannot make one, widen one, prolong one or move what belongs to another.
"""

import hmac
import json
from collections.abc import Callable, Iterable
from typing import Final

from gateway.authn.key_entry import KeyEntry, revoked, rotated
from gateway.store.sql.keys import KeyRow, KeyRows

DOMAIN: Final = b"latchgate api key rows v1\0"
UNREADABLE: Final = "does not open under this pepper: see who may write the database, then delete the row"


class Altered(Exception):
    """A row that no gateway of this pepper wrote."""


class Binding:
    """Makes and judges the codes of rows."""

    def __init__(self, pepper: bytes) -> None:
        self._key = hmac.digest(pepper, DOMAIN, "sha256")

    def row(self, entry: KeyEntry, version: int, now: float) -> KeyRow:
        """The row of an entry."""
        body = json.dumps(entry.model_dump(mode="json", exclude_none=True), separators=(",", ":"), sort_keys=True)
        return KeyRow(entry.id, body, self._code(entry.id, version, body), version, now)

    def opened(self, row: KeyRow) -> KeyEntry:
        """The entry of a row. Raises Altered."""
        if not hmac.compare_digest(self._code(row.id, row.version, row.body).encode(), row.mac.encode()):
            raise Altered(row.id)
        try:
            entry = KeyEntry.model_validate(json.loads(row.body))
        except ValueError as error:
            raise Altered(row.id) from error
        if entry.id != row.id:
            raise Altered(row.id)
        return entry

    def _code(self, id: str, version: int, body: str) -> str:
        head = f"{len(id)}:{id}.{version}.".encode()
        return "hmac-sha256:" + hmac.digest(self._key, head + body.encode(), "sha256").hex()


class Editor:
    """The table of keys, to be changed."""

    def __init__(self, rows: KeyRows, binding: Binding, now: Callable[[], float]) -> None:
        self._rows = rows
        self._binding = binding
        self._now = now

    async def add(self, entries: Iterable[KeyEntry]) -> None:
        """Store new keys, all of them or none. Raises Conflict where there is one of an id already, DependencyDown."""
        await self._rows.put_all([(self._binding.row(entry, 1, self._now()), 0) for entry in entries])

    async def revoke(self, id: str, now: float) -> KeyEntry:
        """Take a key back, at once and for good. Raises KeyError, Conflict, DependencyDown, and ValueError for an altered row."""
        row, entry = await self._found(id)
        gone = revoked(entry, now)
        if gone is not entry:
            await self._rows.put_all([(self._next(row, gone), row.version)])
        return gone

    async def rotate(self, pepper: bytes, id: str, *, prefix: str, now: float, overlap: float) -> tuple[str, KeyEntry]:
        """A second key, as `key_entry.rotated` makes it, and its entry. Raises as `revoke` does."""
        row, old = await self._found(id)
        key, entry, closed = rotated(old, pepper, prefix=prefix, now=now, overlap=overlap)
        await self._rows.put_all([(self._next(row, closed), row.version), (self._binding.row(entry, 1, self._now()), 0)])
        return key, entry

    def _next(self, row: KeyRow, entry: KeyEntry) -> KeyRow:
        made = self._binding.row(entry, row.version + 1, self._now())
        return KeyRow(made.id, made.body, made.mac, made.version, made.updated_at, row.used_at)

    async def _found(self, id: str) -> tuple[KeyRow, KeyEntry]:
        found = await self._rows.of([id])
        if not found:
            raise KeyError(id)
        try:
            return found[0], self._binding.opened(found[0])
        except Altered as error:
            raise ValueError(f"the key {id} {UNREADABLE}") from error
