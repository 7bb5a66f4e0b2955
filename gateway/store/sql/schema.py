"""Which tables the database has, and which this gateway needs. It serves only where the two are the same.

Migrations are Alembic's, in `migrations/`, and go forward only: the way back is a backup. Each runs whole or not at all, and one
process at a time.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, inspect, text

from gateway.store.sql.engine import Database
from gateway.store.sql.model import Postgres, Sqlite

log = logging.getLogger(__name__)

NEWEST: Final = "0003"
"""The newest migration; a test compares it with the folder."""
MIGRATIONS: Final = Path(__file__).with_name("migrations")
COMMAND: Final = "gateway database migrate"
TURN: Final = 0x4C617463
"""The advisory lock under which PostgreSQL is migrated."""


class WrongSchema(Exception):
    """The tables are not those that this gateway knows; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What was found in a database: its migration (empty where there is none), and how mighty our role is."""

    revision: str
    superuser: bool


def found(connection: Connection) -> Standing:
    """What there is."""
    has_any = inspect(connection).has_table("alembic_version")
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if has_any else None
    mighty = False
    if connection.dialect.name == "postgresql":
        mighty = bool(connection.execute(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")).scalar())
    return Standing(str(revision or ""), mighty)


async def ready(database: Database) -> Standing:
    """See that the tables are ours; a new SQLite file gets them. Raises WrongSchema, ValueError for a file that others may read,
    and DependencyDown. A PostgreSQL is never migrated by who serves: its role should not be able to.
    """
    database.claim()
    standing: Standing = await database.run(found)
    if not standing.revision and isinstance(database.model, Sqlite):
        await migrate(database)
        standing = await database.run(found)
    if standing.superuser:
        log.warning("the database role is a superuser: serve with one that owns nothing", extra={"fix": "docs/how-to/database.md"})
    if standing.revision != NEWEST:
        raise WrongSchema(_complaint(standing.revision))
    return standing


def _complaint(revision: str) -> str:
    if revision > NEWEST:
        return f"a newer gateway migrated the database (its schema is {revision}, this one knows {NEWEST}): run that version"
    state = f"has the schema {revision}, this gateway needs {NEWEST}" if revision else "has no tables of ours yet"
    return f"the database {state}: run `{COMMAND}` with the role that may create tables"


async def migrate(database: Database, served_by: str | None = None) -> str:
    """Bring the tables up to date, let the role `served_by` use them; gives the migration before.

    Raises DependencyDown, and ValueError for a SQLite file that others may read.
    """
    database.claim()

    def work(connection: Connection) -> str:
        _take_turn(connection)
        before = found(connection).revision
        if before < NEWEST:
            _upgrade(connection)
        if served_by is not None and connection.dialect.name == "postgresql":
            _allow(connection, served_by)
        return before

    return str(await database.run(work))


def _take_turn(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Large tables take their time, and so may whoever is before us.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({TURN})"))
    else:
        # The driver begins no transaction for what defines tables; without one two processes would define them at once.
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def steps_known() -> Any:
    """The migrations that lie in the folder, as Alembic reads them."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(MIGRATIONS), version_locations=[str(MIGRATIONS)])


def _upgrade(connection: Connection) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    script = steps_known()

    def ahead(revision: Any, _: Any) -> Any:
        return script._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), script, fn=ahead, destination_rev="head") as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()


def _allow(connection: Connection, role: str) -> None:
    quoted = connection.dialect.identifier_preparer.quote_identifier(role)
    connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON secrets, grants, leases, api_keys, operators TO {quoted}"))
    connection.execute(text(f"GRANT SELECT ON alembic_version TO {quoted}"))


def migrating(model: Postgres) -> Postgres:
    """The same database as the role that migrates sees it."""
    role = model.migrate
    if role is None:
        return model
    return model.model_copy(update={"username": role.username, "password": role.password})
