"""Attacks by who can write the table of API keys, and on who reads it: no key is made, widened, prolonged or brought back, and a
broken row costs nobody else a key."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from gateway.authn import key_entry
from gateway.authn.key_rows import Binding, Editor
from gateway.authn.key_table import ALL_EVERY, USED_EVERY
from gateway.core.errors import DependencyDown
from gateway.store.sql.keys import KeyRow, KeyRows
from gateway.store.sql.rows import Conflict
from tests.issuer import PEPPER
from tests.keytable import MODEL, Table

ATTACKS = {
    "a role is added": """body = replace(body, '"reader"', '"admin"')""",
    "the end is taken away": """body = replace(body, '"expires_at"', '"description"')""",
    "the hash is another's": """body = replace(body, 'hmac-sha256:', 'hmac-sha256:0')""",
    "networks are opened": """body = replace(body, '10.0.0.0/8', '0.0.0.0/0')""",
    "the version is raised": "version = version + 1",
    "no code": "mac = ''",
    "a code that is no text": "mac = zeroblob(76)",
    "a code that is not ASCII": "mac = 'ä'",
    "a body that is bytes": "body = zeroblob(64)",
    "a body that is no UTF-8": "body = CAST(x'ff' AS TEXT)",
    "a huge body": "body = body || printf('%.*c', 20000000, ' ')",
    "a version that is text": "version = 'x'",
    "a version beyond all": "version = 9223372036854775807",
    "a negative version": "version = -5",
    "a time that is text": "updated_at = 'x', version = version + 1",
    "a use that is text": "used_at = 'x', version = version + 1",
}


@pytest.fixture
async def keys(tmp_path: Path) -> AsyncIterator[Table]:
    async with Table(tmp_path / "keys.db") as table:
        yield table


@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_row_that_was_written_by_somebody_else_is_refused_alone_and_told(keys: Table, attack: str) -> None:
    good, _ = await keys.create(roles=["reader"])
    victim, id = await keys.create(roles=["reader"], addresses=["10.0.0.0/8"], expires=3600.0)
    await keys.table.look()
    assert keys.roles(victim, client="10.1.2.3") == ("reader",)
    assert await keys.sql("UPDATE api_keys SET CHANGE WHERE id = :id".replace("CHANGE", ATTACKS[attack]), id=id) == 1
    fresh = keys.gateway()
    await fresh.look()
    assert keys.roles(victim, table=fresh, client="10.1.2.3") == "credential-invalid"
    assert keys.roles(good, table=fresh) == ("reader",)
    assert keys.told == [("auth.key.refused", id, "altered")]
    later, _ = await keys.create(roles=["reader"])
    await fresh.look()
    assert keys.roles(later, table=fresh) == ("reader",)
    assert fresh.status()["refused"] == [id]


async def test_who_writes_rows_without_the_pepper_mints_nothing(keys: Table) -> None:
    other = b"another pepper, of 32 bytes and more, 0123456789"
    key, entry = key_entry.new_entry(other, prefix="lgk", name="mine", now=0.0, roles=["admin"])
    await Editor(keys.rows, Binding(other), keys.clock.now).add([entry])
    await keys.table.look()
    assert keys.roles(key) == "credential-invalid"
    assert keys.told == [("auth.key.refused", entry.id, "altered")]


async def test_rows_cannot_be_swapped_or_given_another_id(keys: Table) -> None:
    (weak, weak_id), (strong, strong_id) = await keys.create(roles=["reader"]), await keys.create(roles=["admin"])
    take = "SELECT body, mac, version FROM api_keys WHERE id = :strong"
    swap = "UPDATE api_keys SET (body, mac, version) = (TAKE) WHERE id = :weak".replace("TAKE", take)
    await keys.sql(swap, strong=strong_id, weak=weak_id)
    await keys.table.look()
    assert keys.roles(weak) == "credential-invalid"
    assert keys.roles(strong) == ("admin",)


async def test_a_revoked_key_that_is_put_back_stays_revoked(keys: Table) -> None:
    key, id = await keys.create(roles=["reader"])
    [before] = await keys.rows.of([id])
    await keys.table.look()
    await keys.editor.revoke(id, keys.clock.now())
    await keys.table.look()
    assert keys.roles(key) == "credential-invalid"
    back = "UPDATE api_keys SET body = :body, mac = :mac, version = :version, updated_at = 1e12 WHERE id = :id"
    await keys.sql(back, body=before.body, mac=before.mac, version=before.version, id=id)
    await keys.table.look()
    assert keys.roles(key) == "credential-invalid"
    assert keys.told == [("auth.key.refused", id, "put-back")]
    await keys.sql("DELETE FROM api_keys")
    await keys.table.look()
    await keys.rows.put_all([(before, 0)])
    await keys.table.look()
    assert keys.roles(key) == "credential-invalid"


async def test_ids_that_no_key_has_hinder_nobody(keys: Table) -> None:
    key, _ = await keys.create(roles=["reader"])
    for id in (
        "zeroblob(12)",
        "zeroblob(3)",
        "printf('%.*c', 1000000, 'x')",
        "'ä'",
        "''",
        "CAST(x'ff' AS TEXT)",
        "printf('%c%c%c', 65297, 65298, 65299)",
    ):
        await keys.sql(
            "INSERT INTO api_keys (id, body, mac, version, updated_at) VALUES (THIS, '{}', 'x', 1, 1)".replace("THIS", id)
        )
    await keys.table.look()
    assert keys.roles(key) == ("reader",)


async def test_a_deleted_row_takes_its_key_away(keys: Table) -> None:
    key, id = await keys.create(roles=["reader"])
    await keys.table.look()
    await keys.sql("DELETE FROM api_keys WHERE id = :id", id=id)
    await keys.table.look()
    assert keys.roles(key) == "credential-invalid"


async def test_of_two_rotations_at_once_one_learns_that_it_lost(keys: Table) -> None:
    old, id = await keys.create(roles=["reader"], addresses=["10.0.0.0/8"], routes=["a.*"], description="for ci")
    turns = [keys.editor.rotate(PEPPER, id, prefix="lgk", now=keys.clock.now(), overlap=60.0) for _ in range(4)]
    done = await asyncio.gather(*turns, return_exceptions=True)
    [won] = [each for each in done if isinstance(each, tuple)]
    assert all(isinstance(each, tuple | Conflict | ValueError) for each in done)
    new, entry = won
    assert (entry.roles, entry.routes, entry.description, entry.replaces) == (["reader"], ["a.*"], "for ci", id)
    await keys.table.look()
    assert [keys.roles(each, client="10.0.0.1") for each in (old, new)] == [("reader",), ("reader",)]
    assert keys.roles(new, client="11.0.0.1") == "credential-invalid"
    keys.clock.time += 61.0
    assert [keys.roles(each, client="10.0.0.1") for each in (old, new)] == ["credential-expired", ("reader",)]


async def test_a_rotation_does_not_bring_a_revoked_key_back(keys: Table) -> None:
    _, id = await keys.create()
    await keys.editor.revoke(id, keys.clock.now())
    with pytest.raises(KeyError):
        await keys.editor.rotate(PEPPER, id, prefix="lgk", now=keys.clock.now(), overlap=60.0)


async def test_a_database_that_is_away_keeps_keys_for_a_while_and_then_none(keys: Table) -> None:
    key, _ = await keys.create(roles=["reader"])
    assert keys.roles(key) == "dependency-down"
    await keys.table.look()
    traded = keys.table.verify(key.encode()).name
    await keys.sql("ALTER TABLE api_keys RENAME TO elsewhere")
    keys.clock.advance(MODEL.stale_for - 1)
    await keys.table.look()
    assert (keys.roles(key), keys.table.has(traded)) == (("reader",), True)
    before = keys.table.revision
    keys.clock.advance(2)
    await keys.table.look()
    assert keys.roles(key) == "dependency-down"
    assert keys.table.revision != before, "tokens that were given for a key and are remembered are verified again"
    with pytest.raises(DependencyDown):
        keys.table.has(traded)
    await keys.sql("ALTER TABLE elsewhere RENAME TO api_keys")
    await keys.table.look()
    assert (keys.roles(key), keys.table.has(traded)) == (("reader",), True)


async def test_a_flood_of_uses_is_one_note_a_minute_and_never_one_on_the_way(keys: Table) -> None:
    key, id = await keys.create()
    await keys.table.look()
    for _ in range(1000):
        keys.roles(key)
    [row] = await keys.rows.of([id])
    assert row.used_at is None
    await keys.table.note_used()
    [row] = await keys.rows.of([id])
    assert row.used_at == keys.clock.now()
    keys.clock.time += USED_EVERY / 2
    keys.roles(key)
    await keys.table.note_used()
    [after] = await keys.rows.of([id])
    assert after.used_at == row.used_at
    assert not [stored for stored in keys.table._keys.values() if stored.used]


async def test_wrong_keys_note_no_use(keys: Table) -> None:
    key, id = await keys.create(addresses=["10.0.0.0/8"])
    await keys.table.look()
    assert keys.roles(key, client="192.0.2.1") == "credential-invalid"
    await keys.table.note_used()
    [row] = await keys.rows.of([id])
    assert row.used_at is None


async def test_a_row_that_was_mended_counts_again(keys: Table) -> None:
    key, id = await keys.create(roles=["reader"])
    await keys.sql("UPDATE api_keys SET version = 7 WHERE id = :id", id=id)
    await keys.table.look()
    assert keys.roles(key) == "credential-invalid"
    await keys.sql("UPDATE api_keys SET version = 1 WHERE id = :id", id=id)
    keys.clock.advance(ALL_EVERY)
    await keys.table.look()
    assert keys.roles(key) == ("reader",)


class Held(KeyRows):
    """Rows that reach whoever asked first only when told so."""

    def __init__(self, rows: KeyRows) -> None:
        super().__init__(rows._database)
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def of(self, ids: Sequence[str]) -> list[KeyRow]:
        found = await super().of(ids)
        if not self.asked.is_set():
            self.asked.set()
            await self.go.wait()
        return found


async def test_a_reload_that_looks_while_the_loop_does_brings_no_revoked_key_back(keys: Table) -> None:
    key, id = await keys.create(roles=["reader"])
    keys.rows = held = Held(keys.rows)
    table = keys.gateway()
    first = asyncio.create_task(table.look())
    await held.asked.wait()
    await Editor(KeyRows(keys.database), Binding(PEPPER), keys.clock.now).revoke(id, keys.clock.now())
    second = asyncio.create_task(table.look())
    await asyncio.wait({second}, timeout=0.5)
    held.go.set()
    await asyncio.gather(first, second)
    await table.look()
    assert keys.roles(key, table=table) == "credential-invalid"
    assert keys.told == []
