"""The rows of sealed secrets. Every write says which version it replaces, so that of two writers one learns that it was second."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Row

from gateway.store.sql.engine import Database
from gateway.store.sql.rows import Conflict, inserted
from gateway.store.sql.tables import SECRETS

PAGE: Final = 500
LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class SecretRow:
    """One sealed secret and what may be told of it. Times are Unix seconds; `version` counts its values from 1."""

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
        found = await self._database.rows(select(SECRETS).where(SECRETS.c.name == name))
        return _row(found[0]) if found else None

    async def page(self, after: str = "") -> Sequence[SecretRow]:
        """The next at most PAGE secrets in the order of their names. Raises DependencyDown."""
        statement = select(SECRETS).where(SECRETS.c.name > after).order_by(SECRETS.c.name).limit(PAGE)
        return [_row(each) for each in await self._database.rows(statement)]

    async def put(self, row: SecretRow) -> SecretRow:
        """Write the value that follows `row.version`, of which 0 means that there is none; the row as it now stands.

        Raises Conflict where another version is there, ValueError for a name that is none, DependencyDown.
        """
        if not row.name or len(row.name) > LONGEST_NAME:
            raise ValueError(f"the name of a secret has 1 to {LONGEST_NAME} characters")
        values = {**asdict(row), "version": row.version + 1}
        if row.version == 0:
            written = await inserted(self._database, insert(SECRETS).values(values))
        else:
            mine = (SECRETS.c.name == row.name) & (SECRETS.c.version == row.version)
            written = await self._database.write(update(SECRETS).where(mine).values(values))
        if written != 1:
            raise Conflict(f"secret {row.name}: version {row.version} is not there any more")
        return SecretRow(**values)

    async def delete(self, name: str, version: int) -> None:
        """Raises Conflict where another version is there, DependencyDown."""
        mine = (SECRETS.c.name == name) & (SECRETS.c.version == version)
        if await self._database.write(delete(SECRETS).where(mine)) != 1:
            raise Conflict(f"secret {name}: version {version} is not there any more")


def _row(found: Row[Any]) -> SecretRow:
    return SecretRow(**found._mapping)
