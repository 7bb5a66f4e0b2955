"""Grants in the database: nothing of them can be read there, and what was changed there is refused."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.grants.grant import Grant, Malformed, read
from gateway.credentials.grants.kept import Kept, forget
from gateway.store.sql.engine import Database
from gateway.store.sql.grants import GrantRows
from gateway.store.sql.rows import Conflict
from tests.fakes import CountingMetrics, SteppedClock

CANARIES = ("canary-access", "canary-refresh", "canary-previous")
ALICE = Grant(
    "github",
    "corp",
    "alice",
    access=Secret(CANARIES[0].encode()),
    refresh=Secret(CANARIES[1].encode()),
    previous=Secret(CANARIES[2].encode()),
    scopes=("repo", "read:org"),
    client="client-1",
    refreshed_at=5.5,
    expires_at=1_780_003_600.25,
)


async def test_a_grant_is_read_as_it_was_stored(kept: Kept, clock: SteppedClock) -> None:
    stored = await kept.put(ALICE)
    assert stored == replace(ALICE, version=stored.version, created_at=clock.now())
    assert await kept.get(ALICE.key) == stored
    broken = await kept.put(stored.broken("refused"))
    assert await kept.get(ALICE.key) == broken
    assert (broken.is_live, broken.problem, broken.version) == (False, "refused", stored.version + 1)


async def test_nobody_else_has_it(kept: Kept) -> None:
    await kept.put(ALICE)
    for key in (("github", "corp", "bob"), ("github", "partner", "alice"), ("gitlab", "corp", "alice")):
        assert await kept.get(key) is None


async def test_no_file_of_the_database_holds_a_token_in_plain(kept: Kept, tmp_path: Path) -> None:
    stored = await kept.put(ALICE)
    for _ in range(20):
        stored = await kept.put(stored)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"store.db", "store.db-wal"} <= files.keys()
    assert b"read:org" in b"".join(files.values()), "what is not secret is there: we looked at the right files"
    for canary in CANARIES:
        assert all(canary.encode() not in content for content in files.values())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE grants SET subject = 'mallory'",
        "UPDATE grants SET issuer = 'partner', subject = 'mallory'",
        "UPDATE grants SET version = version + 1, subject = 'mallory'",
        "UPDATE grants SET sealed = substr(sealed, 1, length(sealed) - 4) || 'AAAA', subject = 'mallory'",
        "UPDATE grants SET sealed = 'canary', subject = 'mallory'",
    ],
    ids=["other-subject", "other-issuer", "other-version", "other-bytes", "no-envelope"],
)
async def test_a_row_that_was_tampered_with_is_refused_counted_and_told(
    kept: Kept, database: Database, metrics: CountingMetrics, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    await kept.put(ALICE)
    await database.write(text(change))
    issuer = "partner" if "partner" in change else "corp"
    with caplog.at_level(logging.CRITICAL), pytest.raises(DependencyDown, match="does not open"):
        await kept.get(("github", issuer, "mallory"))
    assert caplog.messages == ["a stored grant does not open"]
    assert sum(count for (name, _), count in metrics.counts.items() if name == "gateway.grant.refused") == 1
    assert "canary" not in caplog.text


async def test_an_older_text_put_back_behind_a_newer_one_is_refused(kept: Kept, database: Database) -> None:
    stored = await kept.put(ALICE)
    old = (await database.rows(text("SELECT sealed FROM grants")))[0][0]
    await kept.put(replace(stored, access=Secret(b"newer")))
    await database.write(text("UPDATE grants SET sealed = :old").bindparams(old=old))
    with pytest.raises(DependencyDown, match="altered"):
        await kept.get(ALICE.key)


async def test_columns_beside_the_sealed_one_decide_nothing(kept: Kept, database: Database) -> None:
    stored = await kept.put(ALICE.broken("refused"))
    await database.write(text("UPDATE grants SET state = 'live', scopes = 'admin', expires_at = NULL, problem = ''"))
    assert await kept.get(ALICE.key) == stored


async def test_of_two_writers_of_one_version_one_learns_that_it_was_second(kept: Kept) -> None:
    stored = await kept.put(ALICE)
    await kept.put(stored)
    with pytest.raises(Conflict):
        await kept.put(stored)
    with pytest.raises(Conflict):
        await kept.put(ALICE)


async def test_a_deleted_grant_is_gone(kept: Kept, database: Database) -> None:
    await kept.put(ALICE)
    assert await forget(GrantRows(database), ALICE.key)
    assert await kept.get(ALICE.key) is None
    assert not await forget(GrantRows(database), ALICE.key)


@pytest.mark.parametrize("written", [b"", b"{}", b"[]", b'{"access": 1}', b"\xff"], ids=repr)
def test_what_is_no_grant_is_refused_without_a_word_of_it(written: bytes) -> None:
    with pytest.raises(Malformed):
        read(ALICE.key, 1, Secret(written))
