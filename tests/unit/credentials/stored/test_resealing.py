"""Moving texts from old keys to the first: what they mean and their versions stay, whoever was faster wins, nothing is done twice."""

import asyncio
import time
from dataclasses import replace

import pytest
from sqlalchemy import text

from gateway.core.secret import Secret
from gateway.credentials.grants.kept import Kept
from gateway.credentials.stored.drawer import Drawer, Facts, revoke
from gateway.credentials.stored.resealing import Done, Resealing
from gateway.credentials.vault.fault import Fault
from gateway.resources import Nobody, SystemClock
from gateway.store.sql.engine import Database
from gateway.store.sql.grants import GrantRows
from gateway.store.sql.secrets import SecretRows
from gateway.store.sql.texts import Tally
from tests.granting import a_grant
from tests.storing import ring

ALICE = ("tracker", "corp", "alice")


class Keeper:
    """Secrets and grants of a database, sealed under the first of some keys."""

    def __init__(self, database: Database, *ids: str) -> None:
        self.database = database
        self.rows = SecretRows(database)
        self.drawer = Drawer(self.rows, ring(*ids), time.time)
        self.kept = Kept(GrantRows(database), ring(*ids), SystemClock(), Nobody())
        self.resealing = Resealing(database, ring(*ids), time.time)

    async def fill(self, count: int = 3) -> None:
        for number in range(count):
            await self.drawer.put(f"s{number}", Secret(b"value"), Facts())
        await self.kept.put(a_grant())

    async def reseal(self) -> list[Done]:
        return [done async for done in self.resealing.run(time.time())]

    async def counts(self) -> dict[str, list[Tally]]:
        return {table: list(found) for table, found in (await self.resealing.tally(0)).items()}


async def no_pause() -> None:
    await asyncio.sleep(0)


async def test_everything_goes_under_the_first_key_and_means_what_it_meant(database: Database) -> None:
    await Keeper(database, "k1").fill()
    both = Keeper(database, "k2", "k1")
    before = await both.rows.versions(["s0", "s1", "s2"]), await both.kept.get(ALICE)
    assert [done.resealed for done in await both.reseal()] == [True] * 4
    assert (await both.rows.versions(["s0", "s1", "s2"]), await both.kept.get(ALICE)) == before
    assert await both.counts() == {"secrets": [Tally("k2", 3, 0)], "grants": [Tally("k2", 1, 0)]}
    assert await both.reseal() == []
    only = Keeper(database, "k2")
    assert await only.kept.get(ALICE) == before[1]
    assert [done.fault async for done in only.resealing.verified()] == [None] * 4


async def test_a_stop_in_the_middle_loses_nothing_and_the_next_goes_on(database: Database) -> None:
    await Keeper(database, "k1").fill()
    both = Keeper(database, "k2", "k1")
    async for done in both.resealing.run(time.time()):
        assert done.resealed
        break
    assert len(await both.reseal()) == 3


async def test_whoever_writes_meanwhile_is_not_overwritten(database: Database) -> None:
    await Keeper(database, "k1").fill(1)
    both = Keeper(database, "k2", "k1")
    texts = both.resealing._tables[1]
    [read] = await texts.due("k2", time.time(), 0)
    grant = await both.kept.get(ALICE)
    assert grant is not None
    newer = await both.kept.put(replace(grant, access=Secret(b"canary-refreshed")))
    assert not await texts.replace(read, "lgs1:late", "k2", time.time())
    assert await both.kept.get(ALICE) == newer


async def test_who_read_before_a_text_was_sealed_anew_may_still_write_after(database: Database) -> None:
    old = Keeper(database, "k1")
    await old.fill(1)
    grant = await old.kept.get(ALICE)
    assert grant is not None
    both = Keeper(database, "k2", "k1")
    await both.reseal()
    stored = await old.kept.put(replace(grant, access=Secret(b"canary-refreshed")))
    assert await both.kept.get(ALICE) == stored
    assert [done.resealed for done in await both.reseal()] == [True], "an older gateway sealed it under the old key once more"


async def test_what_was_sealed_a_moment_ago_may_be_left_alone(database: Database) -> None:
    await Keeper(database, "k1").fill()
    both = Keeper(database, "k2", "k1")
    assert not await both.resealing.is_due(time.time() - 600, 0)
    assert await both.resealing.turn(time.time() - 600, 0, no_pause) == []
    assert await both.resealing.is_due(time.time(), 0)


async def test_what_is_overdue_under_the_first_key_is_sealed_anew_where_that_is_asked_for(database: Database) -> None:
    keeper = Keeper(database, "k1")
    await keeper.fill(1)
    await database.write(text("UPDATE secrets SET updated_at = 5"))
    assert (await keeper.resealing.tally(10))["secrets"] == [Tally("k1", 1, 1)]
    assert [done.text.key for done in await keeper.resealing.turn(0, 10, no_pause)] == [("s0",)]
    assert not await keeper.resealing.is_due(0, 10)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("UPDATE secrets SET version = version + 1", Fault.ALTERED),
        ("UPDATE secrets SET sealed = 'lgs1:x'", Fault.MALFORMED),
        ("UPDATE secrets SET sealed = replace(sealed, 'lgs1:k1', 'lgs1:k9'), key_id = 'k9'", Fault.UNKNOWN_KEY),
        ("UPDATE secrets SET key_id = 'k2'", None),
    ],
    ids=["version", "text", "key", "column"],
)
async def test_what_does_not_open_stays_as_it_is(database: Database, change: str, fault: Fault | None) -> None:
    await Keeper(database, "k1").fill(1)
    await database.write(text(change))
    both = Keeper(database, "k2", "k1")
    before = await both.rows.get("s0")
    secrets = [done for done in await both.reseal() if done.table == "secrets"]
    assert [(done.resealed, done.fault) for done in secrets] == ([(False, fault)] if fault is not None else [])
    assert await both.rows.get("s0") == before
    assert [done.fault async for done in both.resealing.verified() if done.table == "secrets"] == [fault or Fault.ALTERED]


async def test_a_first_key_fits_where_it_opens_anything_or_there_is_nothing_under_it(database: Database) -> None:
    keeper, alter = Keeper(database, "k1"), "UPDATE {} SET version = version + 1"
    assert await keeper.resealing.misfits() == []
    await keeper.fill(2)
    await database.write(text(alter.format("secrets")))
    assert await keeper.resealing.misfits() == [], "the grant opens"
    await database.write(text(alter.format("grants")))
    assert len(await keeper.resealing.misfits()) == 3
    assert await Keeper(database, "k2", "k1").resealing.misfits() == []


async def test_what_was_revoked_is_not_counted_and_not_touched(database: Database) -> None:
    keeper = Keeper(database, "k1")
    await keeper.fill(1)
    await revoke(keeper.rows, "s0", time.time())
    both = Keeper(database, "k2", "k1")
    assert (await both.counts())["secrets"] == []
    assert [done.table for done in await both.reseal()] == ["grants"]
