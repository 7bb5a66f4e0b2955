"""The rows of operators' accounts. What stands in one is judged by whoever holds the key of its code."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from gateway.core.errors import DependencyDown
from gateway.store.sql.engine import Database
from gateway.store.sql.rows import Conflict, bounded, short, told
from gateway.store.sql.tables import OPERATORS

MOST: Final = 1001
"""Rows that are read: a thousand accounts, and the bootstrap."""
NAME_LENGTH: Final = 64
LONGEST: Final = 64 * 1024
WHOLE: Final = [bounded(column, LONGEST) for column in OPERATORS.columns]


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One account. `mac` is the code over name, version and body."""

    name: str
    body: str
    mac: str
    version: int = 0
    updated_at: float = 0.0


class OperatorRows:
    """The table of operators."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, name: str) -> OperatorRow | None:
        """Raises DependencyDown."""
        found = await self._database.rows(select(*WHOLE).where(OPERATORS.c.name == name))
        return OperatorRow(**told(OPERATORS, found[0])) if found else None

    async def every(self) -> list[OperatorRow]:
        """In the order of their names. Raises DependencyDown."""
        statement = select(*WHOLE).where(short(OPERATORS.c.name, NAME_LENGTH)).order_by(OPERATORS.c.name).limit(MOST)
        return [OperatorRow(**told(OPERATORS, row)) for row in await self._database.rows(statement)]

    async def put_all(self, rows: Sequence[tuple[OperatorRow, int]]) -> None:
        """Write rows, each in place of a version, 0 where there is to be none; all of them or none.

        Raises Conflict where another version is there, DependencyDown.
        """
        try:
            async with self._database.transaction() as connection:
                for row, before in rows:
                    values = asdict(row)
                    mine = (OPERATORS.c.name == row.name) & (OPERATORS.c.version == before)
                    statement = update(OPERATORS).where(mine).values(values) if before else insert(OPERATORS).values(values)
                    if (await connection.execute(statement)).rowcount != 1:
                        raise Conflict(f"operator {row.name}: somebody was faster, read again")
        except DependencyDown as error:
            if isinstance(error.__cause__, IntegrityError):
                raise Conflict("an operator of that name is there already") from error
            raise
