"""How the database is opened: a private file, verified TLS, and no waiting without an end."""

import asyncio
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trustme
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import text

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.store.sql import engine
from gateway.store.sql.engine import Database, private
from gateway.store.sql.model import Database as Model
from gateway.store.sql.model import DatabaseTls, Postgres, Sqlite
from gateway.store.sql.schema import migrate
from tests.postgres_server import PostgresServer
from tests.unit.store.sql.conftest import postgres


class Password:
    """A password that a test may replace."""

    name = "env:DATABASE_PASSWORD"

    def __init__(self, value: str) -> None:
        self.value = value

    def current(self) -> Secret:
        return Secret(self.value.encode())


@asynccontextmanager
async def opened(model: Sqlite | Postgres, password: Password | None = None) -> AsyncIterator[Database]:
    database = Database(model, password)
    try:
        yield database
    finally:
        await database.close()


async def test_sqlite_files_are_for_their_owner_alone_also_the_log_beside(tmp_path: Path) -> None:
    async with opened(Sqlite(file=tmp_path / "store.db")) as database:
        await migrate(database)
        found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert found == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


async def test_a_new_file_that_another_process_is_about_to_change_is_waited_for(tmp_path: Path) -> None:
    """SQLite itself does not wait to change a file to WAL while somebody has reserved it."""
    model = Sqlite(file=tmp_path / "store.db")
    private(model.file)
    async with opened(model) as database:
        other = sqlite3.connect(model.file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        migrating = asyncio.create_task(migrate(database))
        done, _ = await asyncio.wait([migrating], timeout=0.2)
        other.close()
        assert not done
        assert await migrating == ""


async def test_a_file_that_another_process_never_lets_go_of_is_not_waited_for_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.1)
    model = Sqlite(file=tmp_path / "store.db")
    private(model.file)
    async with opened(model) as database:
        with closing(sqlite3.connect(model.file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DependencyDown, match="SQLITE_BUSY"):
                await migrate(database)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660], ids=oct)
def test_sqlite_file_that_others_may_open_is_refused_with_the_command_that_helps(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "store.db"
    file.touch()
    file.chmod(mode)
    with pytest.raises(ValueError, match="chmod 600"):
        private(file)


def test_sqlite_file_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        Database(Sqlite(file=tmp_path / "none" / "store.db")).claim()


async def test_sqlite_file_that_is_not_there_is_not_made_by_who_reads(tmp_path: Path) -> None:
    async with opened(Sqlite(file=tmp_path / "a b?#%.db")) as database:
        with pytest.raises(DependencyDown, match="SQLITE_CANTOPEN"):
            await database.rows(text("SELECT 1"))
        assert list(tmp_path.iterdir()) == []
        await migrate(database)
        assert (tmp_path / "a b?#%.db").is_file()


async def test_sqlite_keeps_what_it_said_it_kept_and_overwrites_what_it_deletes(tmp_path: Path) -> None:
    async with opened(Sqlite(file=tmp_path / "store.db")) as database:
        database.claim()
        found = {
            name: (await database.rows(text(f"PRAGMA {name}")))[0][0] for name in ("journal_mode", "synchronous", "secure_delete")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}


async def test_file_that_is_no_database_fails_without_a_word_of_it(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    file.write_bytes(b"canary " * 200)
    file.chmod(0o600)
    async with opened(Sqlite(file=file)) as database:
        with pytest.raises(DependencyDown, match="SQLITE_NOTADB") as caught:
            await migrate(database)
    assert "canary" not in str(caught.value)


async def test_no_value_is_told_when_a_statement_fails(database: Database) -> None:
    with pytest.raises(DependencyDown) as caught:
        await database.rows(text("SELECT :value FROM nowhere"), {"value": "canary"})
    assert str(caught.value).startswith("database: ")
    assert "canary" not in f"{caught.value} {caught.value.__cause__}"


async def test_statement_that_takes_too_long_is_ended_by_the_server(postgres_server: PostgresServer) -> None:
    model = postgres(postgres_server, "postgres", statement_timeout="100ms")
    async with opened(model) as database:
        with pytest.raises(DependencyDown, match="57014"):
            await database.rows(text("SELECT pg_sleep(30)"))
        assert (await database.rows(text("SELECT 1")))[0][0] == 1


async def test_server_that_accepts_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://127.0.0.1:{silent.getsockname()[1]}/x"
        model = Postgres.model_validate({"url": url, "username": "u", "connect_timeout": "100ms", "allow_plaintext": True})
        async with opened(model) as database:
            with pytest.raises(DependencyDown, match="TimeoutError"):
                await database.rows(text("SELECT 1"))


async def test_who_waits_for_a_connection_waits_not_for_ever(postgres_server: PostgresServer) -> None:
    model = postgres(postgres_server, "postgres", connections=1, connect_timeout="500ms")
    async with opened(model) as database, database.transaction():
        with pytest.raises(DependencyDown, match="TimeoutError"):
            await database.rows(text("SELECT 1"))


async def test_connections_that_the_server_ended_are_replaced(postgres_server: PostgresServer) -> None:
    async with opened(postgres(postgres_server, "postgres", connections=2)) as database:
        await asyncio.gather(*(database.rows(text("SELECT 1")) for _ in range(4)))
        postgres_server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'latchgate'")
        assert (await database.rows(text("SELECT 1")))[0][0] == 1


async def test_password_is_read_at_each_connection_and_told_in_no_error(postgres_server: PostgresServer) -> None:
    server, name = postgres_server, postgres_server.database()
    server.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'canary-1'")
    password = Password("canary-0")
    url = f"postgresql://127.0.0.1:{server.port}/{name}"
    model = Postgres.model_validate({"url": url, "username": name, "allow_plaintext": True})
    async with opened(model, password) as database:
        with pytest.raises(DependencyDown, match="28P01") as caught:
            await database.rows(text("SELECT 1"))
        assert "canary" not in f"{caught.value!r} {caught.value.__cause__}"
        password.value = "canary-1"
        assert (await database.rows(text("SELECT 1")))[0][0] == 1


async def test_server_is_verified_against_the_named_authority_and_by_its_name(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    server, name = postgres_server, postgres_server.database()
    server.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'p'")
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    server.ca.cert_pem.write_to_path(str(ours))
    trustme.CA().cert_pem.write_to_path(str(theirs))

    def model(host: str, ca: Path) -> Postgres:
        return Postgres(url=f"postgresql://{host}:{server.port}/{name}", username=name, tls=DatabaseTls(ca=ca))

    async with opened(model("127.0.0.1", ours), Password("p")) as database:
        assert (await database.rows(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")))[0][0] is True
    for wrong in (model("127.0.0.1", theirs), model("localhost", ours)):
        async with opened(wrong, Password("p")) as database:
            with pytest.raises(DependencyDown, match="SSLCertVerificationError"):
                await database.rows(text("SELECT 1"))


async def test_server_without_tls_is_refused_before_it_learns_anything() -> None:
    heard = bytearray()

    async def decline(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(8))
        writer.write(b"N")
        heard.extend(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(decline, "127.0.0.1", 0) as plain:
        url = f"postgresql://127.0.0.1:{plain.sockets[0].getsockname()[1]}/canary"
        async with opened(Postgres(url=url, username="canary"), Password("canary")) as database:
            with pytest.raises(DependencyDown, match="database: ConnectionError"):
                await database.rows(text("SELECT 1"))
    assert bytes(heard) == bytes.fromhex("0000000804d2162f")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"file": "/x", "url": "postgresql://db/x"},
        {"url": "postgresql://u:p@db/x", "username": "u"},
        {"url": "postgresql://db/x"},
    ],
    ids=["neither", "both", "password-in-url", "no-user"],
)
def test_configuration_names_exactly_one_database(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[Sqlite | Postgres](Model).validate_python(wrong)


def test_unusable_tls_files_are_told_at_load(tmp_path: Path) -> None:
    model = Postgres(url="postgresql://db/x", username="u", tls=DatabaseTls(ca=tmp_path / "none.pem"))
    with pytest.raises(ValueError, match="unusable TLS files for the database"):
        Database(model)


async def test_a_look_at_the_file_lets_go_of_no_lock_on_it(tmp_path: Path) -> None:
    """A descriptor that is closed takes every lock of its process along; then who closes the database next removes its log."""
    file = tmp_path / "store.db"
    async with opened(Sqlite(file=file)) as database:
        await migrate(database)
        database.claim()
        another = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA user_version').fetchall(); c.close()"
        subprocess.run([sys.executable, "-c", another, str(file)], check=True, timeout=30)
        assert file.with_name("store.db-wal").exists()
        assert list(await database.rows(text("SELECT * FROM secrets"))) == []
