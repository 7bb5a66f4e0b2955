"""Attacks by who can write the database: what is no text, no number, no time, too long; and what it does to the rows beside it.

Who writes there can take secrets away. It must not gain one, keep one that was taken back, or hinder others.
"""

import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.grants.kept import Kept, forget
from gateway.credentials.stored.following import Following
from gateway.credentials.stored.resealing import Resealing
from gateway.credentials.stored.source import StoredSource
from gateway.credentials.vault.ring import Opened
from gateway.resources import SystemClock
from gateway.store.sql.grants import GrantRows
from gateway.store.sql.rows import LAST, LONGEST
from tests.fakes import CountingMetrics
from tests.granting import a_grant
from tests.storing import Beside, ring

NOT_UTF_8 = "CAST(x'ff' AS TEXT)"
CHANGES = {
    "the text as bytes": "sealed = CAST(sealed AS BLOB)",
    "bytes": "sealed = zeroblob(64)",
    "no UTF-8": f"sealed = {NOT_UTF_8}",
    "huge": "sealed = sealed || printf('%.*c', 20000000, 'x')",
    "a version that is text": "version = 'x'",
    "a version that is bytes": "version = zeroblob(3)",
    "a version beyond all": "version = 9223372036854775807",
    "a version that no row is given": "version = -1",
    "the version of none": "version = 0",
}


class Limits:
    stale_for = 60.0


class Followed:
    """Three secrets of a database, as a gateway follows them."""

    def __init__(self, beside: Beside, opens: "Sealed | None" = None) -> None:
        self.beside = beside
        self.ring = opens or ring()
        self.told: list[tuple[str, str]] = []
        self.sources = {name: StoredSource(name, "home") for name in ("a", "b", "c")}
        self.following = Following(SystemClock(), CountingMetrics(), self.tell)

    def tell(self, name: str, /, **fields: str) -> None:
        self.told.append((name, fields["entry"]))

    async def look(self) -> list[str | None]:
        """The values in force."""
        self.told.clear()
        await self.following.look(self.beside.rows, self.ring, self.sources, Limits())
        return [source.current().reveal().decode() if source.usable else None for source in self.sources.values()]

    async def sql(self, statement: str, change: str = "") -> None:
        assert await self.beside.database.write(text(statement.replace("CHANGE", change))) == 1


class Sealed:
    """A ring whose key for one value is away."""

    ids = ("k1",)

    def __init__(self, away: str) -> None:
        self.away = away

    def seal(self, place: bytes, secret: Secret) -> str:
        return ring().seal(place, secret)

    def open(self, place: bytes, sealed: str) -> Opened:
        opened = ring().open(place, sealed)
        if opened.secret == Secret(self.away.encode()):
            raise DependencyDown("kms: no complete answer within 10 s")
        return opened


@pytest.fixture
async def followed(tmp_path: Path) -> AsyncIterator[Followed]:
    async with Beside(tmp_path / "store.db") as beside:
        for name in ("a", "b", "c"):
            await beside.put(name, f"first-{name}")
        yield Followed(beside)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_row_that_no_gateway_wrote_is_refused_and_alarmed_and_the_others_are_followed_on(
    followed: Followed, change: str
) -> None:
    assert await followed.look() == ["first-a", "first-b", "first-c"]
    moved = "" if "version" in change else ", version = version + 1"
    await followed.sql("UPDATE secrets SET CHANGE WHERE name = 'a'", change + moved)
    await followed.beside.put("b", "second-b")
    await followed.beside.revoke("c")
    assert await followed.look() == [None, "second-b", None]
    assert sorted(followed.told) == [("secret.refused", "a"), ("secret.replaced", "b"), ("secret.revoked", "c")]
    assert await followed.look() == [None, "second-b", None]
    assert followed.told == [], "told once"


@pytest.mark.parametrize("version", ["-1", "0", "9223372036854775807"])
async def test_a_version_that_no_row_is_given_is_no_version_that_was_not_read_yet(followed: Followed, version: str) -> None:
    await followed.sql("UPDATE secrets SET version = CHANGE WHERE name = 'a'", version)
    assert await followed.look() == [None, "first-b", "first-c"]
    assert ("secret.refused", "a") in followed.told
    assert followed.sources["a"].revoked, "it does not wait for a database that is away"


async def test_a_key_that_is_away_keeps_no_other_secret_in_force_that_was_revoked(followed: Followed) -> None:
    held = Followed(followed.beside, Sealed("second-a"))
    await held.look()
    await held.beside.put("a", "second-a")
    await held.beside.put("b", "second-b")
    await held.beside.revoke("c")
    assert await held.look() == ["first-a", "second-b", None], "the last value of the one, as long as it may"


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_grants_row_that_no_gateway_wrote_is_refused_and_verification_finds_it(followed: Followed, change: str) -> None:
    database, metrics = followed.beside.database, CountingMetrics()
    kept = Kept(GrantRows(database), ring(), SystemClock(), metrics)
    await kept.put(a_grant("alice"))
    await kept.put(a_grant("bob"))
    await followed.sql("UPDATE grants SET CHANGE WHERE subject = 'alice'", change)
    with pytest.raises(DependencyDown, match="does not open"):
        await kept.get(a_grant("alice").key)
    assert await kept.get(a_grant("bob").key) is not None
    done = [each async for each in Resealing(database, ring(), time.time).verified()]
    assert [each.text.key[-1] for each in done if each.fault is not None] == ["alice"]


@pytest.mark.parametrize("moment", ["1e300", "-1e300", "9e999", "'soon'", "zeroblob(8)", NOT_UTF_8], ids=str)
async def test_times_that_are_none_can_be_told_and_keep_nobody_from_revoking(followed: Followed, moment: str) -> None:
    rows = GrantRows(followed.beside.database)
    kept = Kept(rows, ring(), SystemClock(), CountingMetrics())
    await kept.put(a_grant("alice"))
    await followed.sql("UPDATE grants SET CHANGE", f"expires_at = {moment}, created_at = {moment}, updated_at = {moment}")
    (row,) = await rows.page()
    times: Sequence[float | None] = (row.expires_at, row.created_at, row.updated_at)
    assert [time for time in times if time is None or not 0 <= time <= LAST] == []
    assert datetime.fromtimestamp(LAST, UTC).year == 9999
    gone = await forget(rows, row.key)
    assert gone is not None


@pytest.mark.parametrize("key", ["zeroblob(3)", NOT_UTF_8, "CAST(subject AS BLOB)"], ids=str)
async def test_a_key_that_is_no_text_ends_a_walk_over_the_table_and_is_named(followed: Followed, key: str) -> None:
    rows = GrantRows(followed.beside.database)
    await Kept(rows, ring(), SystemClock(), CountingMetrics()).put(a_grant("alice"))
    await followed.sql("UPDATE grants SET subject = CHANGE", key)
    with pytest.raises(DependencyDown, match="'grants' has a key that is no text"):
        [row async for row in rows.every()]


async def test_of_a_huge_value_no_more_is_read_than_shows_that_it_is_too_long(followed: Followed) -> None:
    await followed.sql("UPDATE secrets SET sealed = printf('%.*c', 20000000, 'x'), scopes = sealed || 'x' WHERE name = 'a'")
    row = await followed.beside.rows.get("a")
    assert row is not None
    assert len(row.sealed) == LONGEST
