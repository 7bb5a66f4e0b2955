"""Both databases, each with the newest tables."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from gateway.store.sql.engine import Database
from gateway.store.sql.model import Postgres, Sqlite
from gateway.store.sql.schema import migrate
from gateway.store.sql.tables import METADATA
from tests.postgres_server import SUPERUSER, PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Sqlite | Postgres:
    """Where an empty database is."""
    if request.param == "sqlite":
        return Sqlite(file=tmp_path / "store.db")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return postgres(server, server.database())


def postgres(server: PostgresServer, database: str, **more: object) -> Postgres:
    """`statement_timeout` is the longest a configuration may say: a machine that stands still ends no transaction of a test."""
    asked = {"url": server.url(database), "username": SUPERUSER, "statement_timeout": "60s"}
    return Postgres.model_validate(asked | more)


@pytest.fixture
async def empty(model: Sqlite | Postgres) -> AsyncIterator[Database]:
    """A database without tables."""
    opened = Database(model)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture(scope="session")
def standing(postgres_server: PostgresServer) -> str:
    """A database of the server that has the newest tables: to make one takes longer than the test."""
    return postgres_server.database()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database with the newest tables and no rows."""
    if request.param == "sqlite":
        opened = Database(Sqlite(file=tmp_path / "store.db"))
    else:
        opened = Database(postgres(request.getfixturevalue("postgres_server"), request.getfixturevalue("standing")))
    try:
        await migrate(opened)
        for table in METADATA.tables.values():
            await opened.write(delete(table))
        yield opened
    finally:
        await opened.close()
