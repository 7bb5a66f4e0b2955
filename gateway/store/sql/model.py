"""The configuration of a database: a SQLite file, or a PostgreSQL server."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, Discriminator, Field, Tag

from gateway.config.values import Duration, FilePath, Model, SecretRef
from gateway.store.sql.address import parse

ROLE: Final = r"^[^\x00-\x1f\x7f]{1,63}$"

Role = Annotated[str, Field(pattern=ROLE)]


def _url(text: str) -> str:
    parse(text)
    return text


class DatabaseTls(Model):
    """How the server is verified, against `ca` or the system's authorities, and what it is shown."""

    ca: FilePath | None = None
    client_certificate: FilePath | None = None
    client_key: FilePath | None = None


class MigrateRole(Model):
    """Who creates and alters tables; the role that serves then needs no such right."""

    username: Role
    password: SecretRef | None = None


class Sqlite(Model):
    """`{file: PATH}`: one file on a local disk, for the processes of one machine."""

    file: FilePath


class Postgres(Model):
    """`{url: postgresql://host:5432/name}`: a server that replicas share. `file: null` takes back that of an earlier file."""

    file: None = None
    url: Annotated[str, AfterValidator(_url)]
    username: Role
    password: SecretRef | None = None
    migrate: MigrateRole | None = None
    tls: DatabaseTls = DatabaseTls()
    allow_plaintext: bool = False
    connections: Annotated[int, Field(ge=1, le=50)] = 5
    connect_timeout: Annotated[Duration, Field(ge=0.1, le=60)] = 5.0
    statement_timeout: Annotated[Duration, Field(ge=0.1, le=60)] = 5.0


def _kind(value: Any) -> str | None:
    """Which kind of database; None refuses what is not exactly one."""
    if isinstance(value, Sqlite | Postgres):
        return type(value).__name__
    if not isinstance(value, dict):
        return None
    given = {key for key in ("file", "url") if value.get(key) is not None}
    return {frozenset({"file"}): "Sqlite", frozenset({"url"}): "Postgres"}.get(frozenset(given))


Database = Annotated[
    Annotated[Sqlite, Tag("Sqlite")] | Annotated[Postgres, Tag("Postgres")],
    Discriminator(
        _kind,
        custom_error_type="database",
        custom_error_message="a database is {file: PATH} for SQLite or {url: postgresql://…, username: …} for PostgreSQL",
    ),
]
"""Where sealed things are kept."""
