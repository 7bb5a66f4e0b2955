"""The rows of grants: one principal's authorisation at one provider, sealed."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Text, and_, delete, insert, select, tuple_, update
from sqlalchemy.engine import Row

from gateway.store.sql.engine import Database
from gateway.store.sql.rows import Conflict, beginning, bounded, inserted, read, short, told
from gateway.store.sql.tables import GRANTS

PAGE: Final = 500
LONGEST: Final = 2048
"""Characters of a provider, an issuer or a subject."""
KEYED: Final = and_(*(short(column, LONGEST) for column in GRANTS.primary_key.columns))
"""Of what has a longer key nothing is read: nobody can ask for it."""
WHOLE: Final = [bounded(column) for column in GRANTS.columns]
TOLD: Final = [beginning(column, LONGEST) if isinstance(column.type, Text) else column for column in GRANTS.columns]

Key = tuple[str, str, str]
"""provider, issuer, subject."""


@dataclass(frozen=True, slots=True)
class GrantRow:
    """One sealed grant and what may be told of it. `state` is live or broken; `problem` says why, in one word."""

    provider: str
    issuer: str
    subject: str
    sealed: str
    key_id: str
    version: int = 0
    state: str = "live"
    problem: str = ""
    scopes: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    expires_at: float | None = None

    @property
    def key(self) -> Key:
        return self.provider, self.issuer, self.subject


class GrantRows:
    """The table of grants."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: Key) -> GrantRow | None:
        """Raises DependencyDown."""
        found = await self._database.rows(select(*WHOLE).where(_is(key)))
        return _row(found[0]) if found else None

    async def page(self, after: Key = ("", "", "")) -> Sequence[GrantRow]:
        """The next at most PAGE grants in the order of their keys. Raises DependencyDown."""
        key = tuple_(GRANTS.c.provider, GRANTS.c.issuer, GRANTS.c.subject)
        statement = select(*WHOLE).where(KEYED, key > after).order_by(*key.clauses).limit(PAGE)
        return [_row(each) for each in await self._database.rows(statement)]

    async def every(self) -> AsyncIterator[GrantRow]:
        """All grants in the order of their keys. Raises DependencyDown."""
        after: Key = ("", "", "")
        while page := await self.page(after):
            for row in page:
                yield row
            after = page[-1].key

    async def put(self, row: GrantRow, version: int) -> GrantRow:
        """Write as `version` what follows `row.version`, of which 0 means that there is none; the row as it now stands.

        Versions are the caller's to choose: one that a deleted row has had must not come again.

        Raises Conflict where another version is there, ValueError for a key that is none, DependencyDown.
        """
        if not all(part and len(part) <= LONGEST for part in row.key):
            raise ValueError(f"provider, issuer and subject have 1 to {LONGEST} characters each")
        values = {**asdict(row), "version": version}
        if row.version == 0:
            written = await inserted(self._database, insert(GRANTS).values(values))
        else:
            mine = _is(row.key) & (GRANTS.c.version == row.version)
            written = await self._database.write(update(GRANTS).where(mine).values(values))
        if written != 1:
            raise Conflict(f"grant at {row.provider}: version {row.version} is not there any more")
        return GrantRow(**values)

    async def delete(self, key: Key, version: int | None = None) -> bool:
        """Whether something was; without `version` whatever its version, also where it has none that a gateway wrote. Raises
        DependencyDown."""
        mine = _is(key) if version is None else _is(key) & (GRANTS.c.version == version)
        return await self._database.write(delete(GRANTS).where(mine)) > 0

    async def delete_some(self, issuer: str, subject: str) -> Sequence[GrantRow]:
        """Delete at most PAGE of one principal's, whoever wrote them; what they were, none where none is left. Raises
        DependencyDown."""
        theirs = (GRANTS.c.issuer == issuer) & (GRANTS.c.subject == subject)
        some = select(GRANTS.c.provider).where(theirs).order_by(GRANTS.c.provider).limit(PAGE)
        statement = delete(GRANTS).where(theirs & GRANTS.c.provider.in_(some)).returning(*TOLD)
        gone = [GrantRow(**told(GRANTS, each)) for each in await self._database.rows(statement)]
        return sorted(gone, key=lambda row: row.provider)


def _is(key: Key) -> ColumnElement[bool]:
    return (GRANTS.c.provider == key[0]) & (GRANTS.c.issuer == key[1]) & (GRANTS.c.subject == key[2])


def _row(found: Row[Any]) -> GrantRow:
    return GrantRow(**read(GRANTS, found))
