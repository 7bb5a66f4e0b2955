"""Somebody reads the database's files, its log or a backup: nothing is there in plain, and what was revoked is not there at all."""

import base64
import secrets
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.core.secret import Secret
from gateway.credentials.grants.kept import Kept, forget
from gateway.credentials.stored.resealing import Resealing
from gateway.resources import Nobody, SystemClock
from gateway.store.sql.grants import GrantRows
from gateway.store.sql.model import Postgres, Sqlite
from tests.granting import a_grant
from tests.postgres_server import SUPERUSER, PostgresServer
from tests.storing import Beside, ring


def spellings(canary: bytes) -> Iterator[bytes]:
    """How a value may stand in a file. In base64 it looks another way at each of three offsets."""
    yield canary
    yield canary[::-1]
    yield canary.hex().encode()
    yield canary.hex().upper().encode()
    for coding in ("utf-16-le", "utf-16-be"):
        yield canary.decode().encode(coding)
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * offset + canary)[4:-4]  # what the bytes beside it have no part in


def traces(held: bytes, canary: bytes) -> list[bytes]:
    return [spelling for spelling in spellings(canary) if spelling in held]


class Shelf:
    """A database with secrets and grants, rotated once, and what lies on its disk."""

    def __init__(self, model: Sqlite | Postgres) -> None:
        self.model = model
        self.canaries = [f"canary-{secrets.token_hex(12)}".encode() for _ in range(6)]

    async def fill(self, beside: Beside) -> Kept:
        first, second, access, refresh, newer, previous = (Secret(canary) for canary in self.canaries)
        await beside.put("one", first.reveal().decode())
        await beside.put("two", second.reveal().decode())
        kept = Kept(GrantRows(beside.database), ring(), SystemClock(), Nobody())
        stored = await kept.put(replace(a_grant(), access=access, refresh=refresh))
        await kept.put(replace(stored, access=newer, previous=previous))
        resealing = Resealing(beside.database, ring("k2", "k1"), time.time)
        assert len([done async for done in resealing.run(time.time())]) == 3
        return kept


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[tuple[Shelf, Beside]]:
    shelf = Shelf(Sqlite(file=tmp_path / "store.db"))
    async with Beside(tmp_path / "store.db") as beside:
        yield shelf, beside


def on_disk(folder: Path) -> bytes:
    """Read by another process: closing a file here would let go of the database's locks."""
    files = sorted(folder.glob("store.db*"))
    assert [file.name for file in files] == ["store.db", "store.db-shm", "store.db-wal"]
    return subprocess.run(["cat", *files], capture_output=True, check=True, timeout=30).stdout


def test_a_trace_would_be_found() -> None:
    canary = f"canary-{secrets.token_hex(12)}".encode()
    for before in (b"", b"a", b"ab"):
        for form in (base64.b64encode, base64.urlsafe_b64encode, bytes.hex, bytes):
            written = form(before + canary + b"z")
            held = written.encode() if isinstance(written, str) else written
            assert traces(held, canary), (before, form)
    assert traces(canary.decode().encode("utf-16"), canary)


async def test_nothing_is_in_plain_in_a_sqlite_file_its_log_or_its_index(sqlite: tuple[Shelf, Beside], tmp_path: Path) -> None:
    shelf, beside = sqlite
    await shelf.fill(beside)
    held = on_disk(tmp_path)
    assert b"lgs1:k2:" in held
    assert [found for canary in shelf.canaries for found in traces(held, canary)] == []


async def test_what_was_revoked_is_not_even_sealed_in_a_sqlite_file(sqlite: tuple[Shelf, Beside], tmp_path: Path) -> None:
    """Neighbours come and go meanwhile, so that pages are moved about."""
    shelf, beside = sqlite
    await shelf.fill(beside)
    for number in range(60):
        await beside.put(f"n{number}", secrets.token_hex(300))
    names = ["one", "two", *(f"n{number}" for number in range(0, 60, 2))]
    gone = [row.sealed.rpartition(":")[2].encode() for row in await beside.rows.of(names)]
    grants = await beside.database.rows(text("SELECT sealed FROM grants"))
    gone += [row.sealed.rpartition(":")[2].encode() for row in grants]
    assert await beside.database.forget()
    before = on_disk(tmp_path)
    assert all(sealed[:40] in before for sealed in gone), "they are there to be found"
    for name in names:
        await beside.revoke(name)
    await forget(GrantRows(beside.database), a_grant().key)
    assert await beside.database.forget()
    held = on_disk(tmp_path)
    assert [sealed for sealed in gone if sealed[:40] in held or sealed[-40:] in held] == []


async def test_nothing_is_in_plain_in_a_dump_of_postgresql_or_in_its_files(postgres_server: PostgresServer) -> None:
    name = postgres_server.database()
    shelf = Shelf(Postgres.model_validate({"url": postgres_server.url(name), "username": SUPERUSER}))
    async with Beside(shelf.model) as beside:
        await shelf.fill(beside)
        dump = postgres_server.dump(name).encode()
        postgres_server.sql("CHECKPOINT")
        number = postgres_server.sql("SELECT oid FROM pg_database WHERE datname = current_database()", name)
        folders = [postgres_server.folder / "data" / "base" / number, postgres_server.folder / "data" / "pg_wal"]
        files = b"".join(path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file())
    for held in (dump, files):
        assert b"lgs1:k2:" in held
        assert [found for canary in shelf.canaries for found in traces(held, canary)] == []
