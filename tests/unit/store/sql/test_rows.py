"""Secrets and grants as rows: what is written is read, and of two writers one learns that it was second. On both databases."""

import asyncio
from dataclasses import asdict, replace

import pytest
from sqlalchemy import insert

from gateway.store.sql.engine import Database
from gateway.store.sql.grants import PAGE, GrantRow, GrantRows
from gateway.store.sql.rows import Conflict
from gateway.store.sql.secrets import SecretRow, SecretRows
from gateway.store.sql.tables import GRANTS, SECRETS
from gateway.store.sql.texts import Tally, Texts

SECRET = SecretRow(
    "github-bot", "sealed:1", "k1", provider="github", scopes="repo", created_at=1.5, updated_at=1.5, expires_at=99.25
)
GRANT = GrantRow("github", "corp", "alice", "sealed:1", "k1", scopes="repo read:org", created_at=1.5, updated_at=1.5)


async def test_secret_is_read_as_it_was_written_with_the_version_it_was_given(database: Database) -> None:
    rows = SecretRows(database)
    assert await rows.get("github-bot") is None
    written = await rows.put(SECRET, 7)
    assert written == replace(SECRET, version=7)
    assert await rows.get("github-bot") == written


async def test_secret_that_exists_is_not_written_as_if_it_were_new(database: Database) -> None:
    rows = SecretRows(database)
    await rows.put(SECRET, 7)
    with pytest.raises(Conflict):
        await rows.put(replace(SECRET, sealed="sealed:other"), 8)
    assert (await rows.get("github-bot")) == replace(SECRET, version=7)


async def test_of_many_writers_of_one_version_exactly_one_succeeds(database: Database) -> None:
    rows = SecretRows(database)
    first = await rows.put(SECRET, 7)

    async def write(number: int) -> bool:
        try:
            await rows.put(replace(first, sealed=f"sealed:{number}"), 8)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(write(number) for number in range(8)))) == 1
    found = await rows.get("github-bot")
    assert found is not None
    assert found.version == 8


async def test_a_value_is_deleted_only_by_who_knows_its_version(database: Database) -> None:
    rows = SecretRows(database)
    first = await rows.put(SECRET, 7)
    second = await rows.put(replace(first, sealed="sealed:2"), 8)
    with pytest.raises(Conflict):
        await rows.delete("github-bot", first.version)
    await rows.delete("github-bot", second.version)
    assert await rows.get("github-bot") is None


async def test_secrets_come_in_the_order_of_their_names_page_by_page(database: Database) -> None:
    rows = SecretRows(database)
    for name in ("c", "a", "b"):
        await rows.put(replace(SECRET, name=name), 7)
    assert [row.name for row in await rows.page()] == ["a", "b", "c"]
    assert [row.name for row in await rows.page("a")] == ["b", "c"]
    assert [row.name async for row in rows.every()] == ["a", "b", "c"]
    assert PAGE >= 100


@pytest.mark.parametrize("name", ["", "n" * 201], ids=["none", "too-long"])
async def test_a_name_has_bounds(database: Database, name: str) -> None:
    with pytest.raises(ValueError, match="1 to 200"):
        await SecretRows(database).put(replace(SECRET, name=name), 7)


async def test_grants_of_one_subject_of_two_issuers_are_two(database: Database) -> None:
    rows = GrantRows(database)
    mine = await rows.put(GRANT, 7)
    other = await rows.put(replace(GRANT, issuer="partner", sealed="sealed:other"), 7)
    assert await rows.get(("github", "corp", "alice")) == mine
    assert await rows.get(("github", "partner", "alice")) == other
    assert await rows.get(("gitlab", "corp", "alice")) is None
    assert list(await rows.page()) == [mine, other]
    assert list(await rows.page(mine.key)) == [other]
    assert [row async for row in rows.every()] == [mine, other]


async def test_of_two_refreshers_of_a_grant_the_second_learns_it(database: Database) -> None:
    rows = GrantRows(database)
    first = await rows.put(GRANT, 7)
    second = await rows.put(replace(first, sealed="sealed:2"), 8)
    for stale in (first, GRANT):
        with pytest.raises(Conflict):
            await rows.put(replace(stale, sealed="sealed:stale"), 9)
    assert await rows.get(first.key) == second
    await rows.delete(first.key)
    assert await rows.get(first.key) is None


async def test_what_looks_like_sql_is_a_name(database: Database) -> None:
    rows = SecretRows(database)
    name = "x'; DROP TABLE secrets; --"
    await rows.put(replace(SECRET, name=name), 7)
    assert (await rows.get(name)) is not None
    assert await rows.get("x' OR '1'='1") is None


async def test_named_secrets_are_asked_for_at_once_and_those_that_are_not_there_are_left_out(database: Database) -> None:
    rows = SecretRows(database)
    names = [f"n{number}" for number in range(PAGE + 3)]
    await rows.put_all([(replace(SECRET, name=name), number + 1) for number, name in enumerate(names)])
    asked = [*names, "nowhere"]
    assert await rows.versions(asked) == {name: number + 1 for number, name in enumerate(names)}
    assert [row.name for row in await rows.of(["n1", "nowhere", "n3"])] == ["n1", "n3"]
    assert await rows.versions([]) == {}


async def test_several_are_written_all_or_none(database: Database) -> None:
    rows = SecretRows(database)
    first = await rows.put(SECRET, 7)
    with pytest.raises(Conflict):
        await rows.put_all([(replace(SECRET, name="new"), 1), (SECRET, 8)])
    with pytest.raises(Conflict):
        await rows.put_all([(replace(SECRET, name="new"), 1), (replace(first, version=6), 8)])
    assert [row.name for row in await rows.page()] == ["github-bot"]


async def test_all_grants_of_a_principal_are_deleted_a_page_at_a_time_and_nobody_elses(database: Database) -> None:
    rows = GrantRows(database)
    providers = [f"n{number:03}" for number in range(PAGE + 3)]
    statement = insert(GRANTS).values([{**asdict(GRANT), "provider": name, "version": 7} for name in providers])
    await database.write(statement)
    other = await rows.put(replace(GRANT, subject="bob"), 7)
    gone: list[str] = []
    while some := await rows.delete_some("corp", "alice"):
        assert len(some) <= PAGE
        gone += [row.provider for row in some]
    assert gone == providers
    assert list(await rows.page()) == [other]


async def test_keys_in_use_are_counted(database: Database) -> None:
    rows = SecretRows(database)
    for name, key_id, at in (("a", "k1", 5), ("b", "k1", 50), ("c", "k2", 50), ("d", "", 5)):
        await rows.put(replace(SECRET, name=name, key_id=key_id, updated_at=at), 7)
    assert await Texts(database, SECRETS).tally(10, ["k2"]) == [Tally("k2", 1, 0), Tally("k1", 2, 1)]
