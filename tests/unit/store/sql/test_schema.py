"""Migrations, and the refusal to serve without them."""

import asyncio
import logging
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from gateway.core.errors import DependencyDown
from gateway.store.sql.engine import Database
from gateway.store.sql.model import Postgres, Sqlite
from gateway.store.sql.schema import NEWEST, WrongSchema, migrate, ready, steps_known
from gateway.store.sql.tables import METADATA
from tests.postgres_server import PostgresServer
from tests.unit.store.sql.conftest import postgres


def test_the_newest_migration_is_the_one_that_the_code_knows() -> None:
    assert steps_known().get_heads() == [NEWEST]


async def test_migrations_leave_the_tables_that_the_code_asks(empty: Database) -> None:
    await migrate(empty)

    def columns(connection: Connection) -> dict[str, dict[str, tuple[str, bool]]]:
        inspector = inspect(connection)
        return {
            name: {
                column["name"]: (str(column["type"].compile(connection.dialect)), column["nullable"])
                for column in inspector.get_columns(name)
            }
            for name in METADATA.tables
        }

    def created(connection: Connection) -> None:
        METADATA.drop_all(connection)
        METADATA.create_all(connection)

    migrated = await empty.run(columns)
    await empty.run(created)
    assert migrated == await empty.run(columns)


async def test_migrating_twice_changes_nothing(database: Database) -> None:
    assert await migrate(database) == NEWEST
    assert (await ready(database)).revision == NEWEST


async def test_several_processes_migrate_one_after_the_other(model: Sqlite | Postgres) -> None:
    opened = [Database(model) for _ in range(4)]
    try:
        assert sorted(await asyncio.gather(*(migrate(each) for each in opened))) == ["", NEWEST, NEWEST, NEWEST]
    finally:
        for each in opened:
            await each.close()


async def test_a_new_sqlite_file_gets_its_tables_by_itself(tmp_path: Path) -> None:
    database = Database(Sqlite(file=tmp_path / "store.db"))
    assert (await ready(database)).revision == NEWEST
    await database.close()


async def test_an_empty_postgresql_is_refused_with_the_command_that_migrates(postgres_server: PostgresServer) -> None:
    database = Database(postgres(postgres_server, postgres_server.database()))
    with pytest.raises(WrongSchema, match="has no tables of ours yet: run `gateway database migrate`"):
        await ready(database)
    await database.close()


@pytest.mark.parametrize(
    ("revision", "told"), [("0000", "run `gateway database migrate`"), ("9999", "a newer gateway")], ids=["older", "newer"]
)
async def test_another_schema_is_refused(empty: Database, revision: str, told: str) -> None:
    database = empty
    await migrate(database)
    await database.write(text("UPDATE alembic_version SET version_num = :revision").bindparams(revision=revision))
    with pytest.raises(WrongSchema, match=told):
        await ready(database)


async def test_who_serves_needs_no_right_to_change_tables_and_a_superuser_is_warned_of(
    postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    server, name = postgres_server, postgres_server.database()
    server.sql(f"CREATE ROLE {name}_run LOGIN; CREATE ROLE {name}_own LOGIN; ALTER DATABASE {name} OWNER TO {name}_own")
    owner, runner = (Database(postgres(server, name, username=f"{name}_{role}")) for role in ("own", "run"))
    mighty = Database(postgres(server, name))
    try:
        assert await migrate(owner, served_by=f"{name}_run") == ""
        with caplog.at_level(logging.WARNING):
            assert not (await ready(runner)).superuser
            assert caplog.messages == []
            await runner.write(text("DELETE FROM grants"))
            with pytest.raises(DependencyDown, match="42501"):
                await runner.write(text("DROP TABLE grants"))
            with pytest.raises(DependencyDown, match="42501"):
                await runner.write(text("UPDATE alembic_version SET version_num = '0000'"))
            assert (await ready(mighty)).superuser
            assert ["superuser" in message for message in caplog.messages] == [True]
    finally:
        for each in (owner, runner, mighty):
            await each.close()
