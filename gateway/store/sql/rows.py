"""What the tables share: reading a row whoever wrote it, writing one where there was none, and what it is called when another was
faster.

SQLite puts any value into any column, and who writes the database need not be a gateway: what is of another kind or longer than
anything we write is read as nothing, which opens nothing.
"""

from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Double, Insert, Integer, Table, Text, func
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError

from gateway.core.errors import DependencyDown
from gateway.store.sql.engine import Database

LONGEST: Final = 128 * 1024
"""Characters of a text that are read: more than of any sealed one."""
LAST: Final = 253402300799.0
"""The last second that calendars can write, in Unix time."""
NEVER: Final = -2
"""A version that no row is given."""
END: Final = 2**31 - 1
"""Above every version: a PostgreSQL's integers end here."""
NO_TEXT: Final = "?"
"""What is told in place of a key that is no text. No name and no id of a key is written like it."""


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


def bounded(column: Column[Any], longest: int = LONGEST) -> ColumnElement[Any]:
    """A column as it is asked for: of a long text no more than shows that it is too long."""
    if not isinstance(column.type, Text) or column.primary_key:
        return column
    return beginning(column, longest)


def beginning(column: Column[Any], longest: int) -> ColumnElement[Any]:
    """So many characters of a text, whatever column it is."""
    return func.substr(column, 1, longest, type_=Text()).label(column.name)


def short(column: Column[Any], longest: int) -> ColumnElement[bool]:
    """Whether a text is no longer than that, also behind a NUL, where SQLite's `length` ends."""
    return func.substr(column, 1, longest, type_=Text()) == column


def read(table: Table, found: Row[Any]) -> dict[str, Any]:
    """The columns of a row, each of its kind. Raises DependencyDown for a key that is no text."""
    return {name: _value(table.columns[name], value) for name, value in found._mapping.items()}


def told(table: Table, found: Row[Any]) -> dict[str, Any]:
    """The same of a row that is not asked for again by its key: one that is no text is NO_TEXT."""
    return {name: _value(column, found._mapping[name], NO_TEXT) for name, column in table.columns.items() if name in found._mapping}


def text_of(value: Any) -> str:
    """What a column of text holds; "" where it is none."""
    return value if isinstance(value, str) and _is_whole(value) else ""


def _value(column: Column[Any], value: Any, otherwise: str | None = None) -> Any:
    if isinstance(column.type, Double):
        return None if value is None and column.nullable else _time(value)
    if isinstance(column.type, Integer):
        return value if isinstance(value, int) and 0 < value < END else NEVER
    text = text_of(value)
    if column.primary_key and text != value:
        if otherwise is not None:
            return otherwise
        raise DependencyDown(f"database: a row of '{column.table.name}' has a key that is no text: delete it")
    return text


def _time(value: Any) -> float:
    """Unix seconds that can be told; what is no time lies in the past."""
    return min(value, LAST) if isinstance(value, int | float) and value >= 0 else 0.0


def _is_whole(text: str) -> bool:
    """Whether it was UTF-8, see `engine`."""
    return text.isascii() or not any("\ud800" <= each <= "\udfff" for each in text)
