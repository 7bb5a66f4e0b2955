"""Where a sealed text stands, as bytes that its encryption is bound to: moved elsewhere it does not open."""

from typing import Final

SEALED: Final = "sealed"
ROW: Final = "row"


def entry(name: str) -> bytes:
    """An entry of the configuration's map `sealed:`."""
    return bound(SEALED, name)


def row(table: str, column: str, key: str) -> bytes:
    """A column of one row of a database; `key` is the row's primary key, several parts joined by the caller without ambiguity."""
    return bound(ROW, table, column, key)


def bound(*parts: str | bytes) -> bytes:
    """Parts one after the other, each behind its length in bytes: no two lists of parts give the same bytes."""
    encoded = [part if isinstance(part, bytes) else part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4) + part for part in encoded)
