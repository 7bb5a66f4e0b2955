"""The rows of sealed secrets. Every write says which version it replaces, so that of two writers one learns that it was second."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Insert, Select, Update, delete, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from gateway.core.errors import DependencyDown
from gateway.store.sql.engine import Database
from gateway.store.sql.rows import Conflict, bounded, read, short, told
from gateway.store.sql.tables import SECRETS

PAGE: Final = 500
LONGEST_NAME: Final = 200
NAMED: Final = short(SECRETS.c.name, LONGEST_NAME)
"""Of what is named otherwise nothing is read: nobody can ask for it."""
WHOLE: Final = [bounded(column) for column in SECRETS.columns]


@dataclass(frozen=True, slots=True)
class SecretRow:
    """One sealed secret and what may be told of it. Times are Unix seconds; `updated_at` is when it was last sealed."""

    name: str
    sealed: str
    key_id: str
    version: int = 0
    provider: str = ""
    subject: str = ""
    scopes: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    expires_at: float | None = None


class SecretRows:
    """The table of secrets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str) -> SecretRow | None:
        """Raises DependencyDown."""
        found = await self._database.rows(select(*WHOLE).where(SECRETS.c.name == name))
        return _row(found[0]) if found else None

    async def page(self, after: str = "") -> Sequence[SecretRow]:
        """The next at most PAGE secrets in the order of their names. Raises DependencyDown."""
        wanted = (SECRETS.c.name > after) & NAMED
        statement = select(*WHOLE).where(wanted).order_by(SECRETS.c.name).limit(PAGE)
        return [_row(each) for each in await self._database.rows(statement)]

    async def every(self) -> AsyncIterator[SecretRow]:
        """All secrets in the order of their names. Raises DependencyDown."""
        after = ""
        while page := await self.page(after):
            for row in page:
                yield row
            after = page[-1].name

    async def versions(self, names: Sequence[str]) -> Mapping[str, int]:
        """Which version there is of each named secret; those that are not there are left out. Raises DependencyDown."""
        statement = select(SECRETS.c.name, SECRETS.c.version)
        rows = [read(SECRETS, row) for row in await self._named(statement, names)]
        return {row["name"]: row["version"] for row in rows}

    async def of(self, names: Sequence[str]) -> Sequence[SecretRow]:
        """The named secrets, as far as they are there. Raises DependencyDown."""
        return [_row(each) for each in await self._named(select(*WHOLE), names)]

    async def starting(self, prefix: str, but: str) -> Sequence[tuple[str, str]]:
        """Name and subject of the first at most PAGE secrets whose names begin so, without those of the subject `but`. A name that
        is no text is NO_TEXT. Raises DependencyDown."""
        wanted = SECRETS.c.name.startswith(prefix, autoescape=True) & (SECRETS.c.subject != but) & NAMED
        statement = select(SECRETS.c.name, bounded(SECRETS.c.subject, LONGEST_NAME)).where(wanted)
        rows = await self._database.rows(statement.order_by(SECRETS.c.name).limit(PAGE))
        return [(row["name"], row["subject"]) for row in (told(SECRETS, each) for each in rows)]

    async def _named(self, statement: Select[Any], names: Sequence[str]) -> list[Row[Any]]:
        found: list[Row[Any]] = []
        for start in range(0, len(names), PAGE):
            found += await self._database.rows(statement.where(SECRETS.c.name.in_(names[start : start + PAGE])))
        return found

    async def put(self, row: SecretRow, version: int) -> SecretRow:
        """Write as `version` what follows `row.version`, of which 0 means that there is none; the row as it now stands.

        Versions are the caller's to choose: one that a deleted row has had must not come again.

        Raises Conflict where another version is there, ValueError for a name that is none, DependencyDown.
        """
        return (await self.put_all([(row, version)]))[0]

    async def put_all(self, rows: Sequence[tuple[SecretRow, int]]) -> list[SecretRow]:
        """Several, each with its version, all of them or none. Raises as `put` does."""
        if not all(0 < len(row.name) <= LONGEST_NAME for row, _ in rows):
            raise ValueError(f"the name of a secret has 1 to {LONGEST_NAME} characters")
        written = [SecretRow(**{**asdict(row), "version": version}) for row, version in rows]
        try:
            async with self._database.transaction() as connection:
                for (row, _), new in zip(rows, written, strict=True):
                    if (await connection.execute(_putting(row, new))).rowcount != 1:
                        raise Conflict(f"secret {row.name}: version {row.version} is not there any more")
        except DependencyDown as error:
            if isinstance(error.__cause__, IntegrityError):
                raise Conflict("a secret is there already") from error
            raise
        return written

    async def delete(self, name: str, version: int) -> None:
        """Raises Conflict where another version is there, DependencyDown."""
        mine = (SECRETS.c.name == name) & (SECRETS.c.version == version)
        if await self._database.write(delete(SECRETS).where(mine)) != 1:
            raise Conflict(f"secret {name}: version {version} is not there any more")


def _putting(row: SecretRow, new: SecretRow) -> Insert | Update:
    if row.version == 0:
        return insert(SECRETS).values(asdict(new))
    mine = (SECRETS.c.name == row.name) & (SECRETS.c.version == row.version)
    return update(SECRETS).where(mine).values(asdict(new))


def _row(found: Row[Any]) -> SecretRow:
    return SecretRow(**read(SECRETS, found))
