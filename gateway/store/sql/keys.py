"""The rows of API keys. What stands in one is judged by whoever holds the key of its code; one that is refused spoils no other."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import case, func, insert, or_, select, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from gateway.core.errors import DependencyDown
from gateway.store.sql.engine import Database
from gateway.store.sql.rows import END, NO_TEXT, Conflict, bounded, short, told
from gateway.store.sql.tables import KEYS

PAGE: Final = 500
MOST: Final = 100_000
"""Keys that are read."""
ID_LENGTH: Final = 12
LONGEST: Final = 64 * 1024
NAMED: Final = short(KEYS.c.id, ID_LENGTH)
"""Of what has a longer id nothing is read: no key is written like it."""
WHOLE: Final = [bounded(column, LONGEST) for column in KEYS.columns]
SOUND: Final = case((KEYS.c.version.between(0, END), KEYS.c.version), else_=0)

Mark = tuple[Any, ...]
"""Changes whenever a gateway writes: how many rows, the sum of their versions, the time of the last change."""


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key. `mac` is the code over id, version and body; `used_at` is not covered and decides nothing. Times are Unix time."""

    id: str
    body: str
    mac: str
    version: int = 0
    updated_at: float = 0.0
    used_at: float | None = None


class KeyRows:
    """The table of API keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def mark(self) -> Mark:
        """Raises DependencyDown."""
        statement = select(func.count(), func.sum(SOUND), func.max(KEYS.c.updated_at)).select_from(KEYS)
        return tuple(repr(each) for each in (await self._database.rows(statement))[0])

    async def versions(self) -> Mapping[str, int]:
        """Which version there is of each key; an id that is no text is left out. Raises DependencyDown."""
        statement = select(KEYS.c.id, KEYS.c.version).where(NAMED).order_by(KEYS.c.id).limit(MOST)
        rows = [told(KEYS, row) for row in await self._database.rows(statement)]
        return {row["id"]: row["version"] for row in rows if row["id"] != NO_TEXT}

    async def of(self, ids: Sequence[str]) -> list[KeyRow]:
        """The rows of ids, as far as they are there. Raises DependencyDown."""
        found: list[Row[Any]] = []
        for start in range(0, len(ids), PAGE):
            found += await self._database.rows(select(*WHOLE).where(KEYS.c.id.in_(ids[start : start + PAGE])))
        return [KeyRow(**told(KEYS, row)) for row in found]

    async def put_all(self, rows: Sequence[tuple[KeyRow, int]]) -> None:
        """Write rows, each in place of a version, 0 where there is to be none; all of them or none.

        Raises Conflict where another version is there, DependencyDown.
        """
        try:
            async with self._database.transaction() as connection:
                for row, before in rows:
                    values = asdict(row)
                    mine = (KEYS.c.id == row.id) & (KEYS.c.version == before)
                    statement = update(KEYS).where(mine).values(values) if before else insert(KEYS).values(values)
                    if (await connection.execute(statement)).rowcount != 1:
                        raise Conflict(f"key {row.id}: version {before} is not there any more, somebody was faster")
        except DependencyDown as error:
            if isinstance(error.__cause__, IntegrityError):
                raise Conflict("a key of that id is there already") from error
            raise

    async def touch(self, ids: Sequence[str], now: float, apart: float) -> None:
        """Note that keys were used, unless that was noted less than `apart` seconds ago. Raises DependencyDown."""
        before = or_(KEYS.c.used_at.is_(None), KEYS.c.used_at < now - apart)
        for start in range(0, len(ids), PAGE):
            mine = KEYS.c.id.in_(ids[start : start + PAGE]) & before
            await self._database.write(update(KEYS).where(mine).values(used_at=now))
