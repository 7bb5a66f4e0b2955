"""The sealed texts of a table, whatever they seal: which are due to be sealed anew, putting a new one in the place of an old one.

A text that is sealed anew means what it meant: its row keeps its version, so nobody who knows the row need read it again, and a
writer that knows the version writes on. Who was faster is told by the text itself.
"""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Table, and_, case, func, select, tuple_, update

from gateway.store.sql.engine import Database
from gateway.store.sql.rows import NO_TEXT, bounded, read, short, text_of

PAGE: Final = 200
SAMPLE: Final = 500
SOME: Final = 10
"""Mostly the first one tells."""
MOST_KEYS: Final = 100
"""Keys that are told apart, beside those that are asked for."""
LONGEST_KEY: Final = 2048
"""Characters of each part of a row's key. Of what has a longer one nothing is read: nobody can ask for it."""
LONGEST_ID: Final = 64
"""Characters of a key's id that are read: more than of any."""

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """One sealed text and its row's key and version."""

    key: Key
    version: int
    sealed: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many texts are under a key, and how many of them were sealed before a given time."""

    key_id: str
    count: int
    overdue: int


class Texts:
    """The column `sealed` of one table. `updated_at` is when a text was sealed; what is under the key "" is none."""

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        self._table = table
        self._key = list(table.primary_key.columns)

    @property
    def table(self) -> str:
        return self._table.name

    async def due(self, first: str, settled: float, overdue: float, after: Key = ()) -> Sequence[Text]:
        """The next at most PAGE texts under another key than `first`, sealed up to the time `settled`, or under it and sealed up to
        `overdue`, in the order of their keys. Raises DependencyDown."""
        columns = self._table.c
        other = and_(columns.key_id.not_in(["", first]), columns.updated_at <= settled)
        wanted = other | and_(columns.key_id == first, columns.updated_at <= overdue)
        if after:
            wanted &= tuple_(*self._key) > after
        rows = await self._database.rows(self._select().where(wanted).order_by(*self._key).limit(PAGE))
        return [self._text(read(self._table, row)) for row in rows]

    async def under(self, key_id: str) -> AsyncIterator[Text]:
        """At most SAMPLE texts that are said to be under a key, some at a time. Raises DependencyDown."""
        statement = self._select().where(self._table.c.key_id == key_id).order_by(*self._key)
        for offset in range(0, SAMPLE, SOME):
            rows = await self._database.rows(statement.offset(offset).limit(SOME))
            for row in rows:
                yield self._text(read(self._table, row))
            if len(rows) < SOME:
                return

    async def every(self, after: Key = ()) -> Sequence[Text]:
        """The next at most PAGE texts there are. Raises DependencyDown."""
        return await self.due("", float("inf"), 0, after)

    async def replace(self, text: Text, sealed: str, key_id: str, now: float) -> bool:
        """Whether the text was still there to be replaced. Raises DependencyDown; whether it was replaced is then not known."""
        columns = self._table.c
        same: ColumnElement[bool] = and_(columns.version == text.version, columns.sealed == text.sealed)
        for column, part in zip(self._key, text.key, strict=True):
            same &= column == part
        values: dict[str, Any] = {"sealed": sealed, "key_id": key_id, "updated_at": now}
        return await self._database.write(update(self._table).where(same).values(values)) == 1

    async def tally(self, before: float, known: Collection[str]) -> Sequence[Tally]:
        """The keys in use: those that are `known`, at most MOST_KEYS others, and NO_TEXT for ids that are none. Raises
        DependencyDown."""
        columns = self._table.c
        old = case((columns.updated_at <= before, 1), else_=0).label("old")
        each = select(bounded(columns.key_id, LONGEST_ID), old).where(columns.key_id != "").subquery()
        counted = select(each.c.key_id, func.count().label("many"), func.sum(each.c.old).label("old")).group_by(each.c.key_id)
        first = case((each.c.key_id.in_(list(known)), 0), else_=1)
        many, overdue = Counter[str](), Counter[str]()
        for row in await self._database.rows(counted.order_by(first, each.c.key_id).limit(len(known) + MOST_KEYS)):
            id = text_of(row.key_id) or NO_TEXT
            many[id] += row.many
            overdue[id] += row.old
        return [Tally(id, many[id], overdue[id]) for id in many]

    def _select(self) -> Select[Any]:
        columns = self._table.c
        chosen = select(*self._key, columns.version, bounded(columns.sealed), bounded(columns.key_id, LONGEST_ID))
        return chosen.where(*(short(column, LONGEST_KEY) for column in self._key))

    def _text(self, row: dict[str, Any]) -> Text:
        return Text(tuple([row[column.name] for column in self._key]), row["version"], row["sealed"], row["key_id"])
