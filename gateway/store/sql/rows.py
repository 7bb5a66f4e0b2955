"""What the tables share: writing a row where there was none, and what it is called when another was faster."""

from sqlalchemy import Insert
from sqlalchemy.exc import IntegrityError

from gateway.core.errors import DependencyDown
from gateway.store.sql.engine import Database


class Conflict(Exception):
    """The row has another version than the writer had read: read again, then decide."""


async def inserted(database: Database, statement: Insert) -> int:
    """How many rows a plain insertion wrote: 0 where the key is taken. Raises DependencyDown."""
    try:
        return await database.write(statement)
    except DependencyDown as error:
        if isinstance(error.__cause__, IntegrityError):
            return 0
        raise
