"""A connection is kept, replaced and ended: what is ended at the provider is what is not kept any more, and nothing else."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.core.ports import Fetched
from gateway.core.secret import Secret
from gateway.credentials.grants.connecting import Account, Connecting, OtherAccount
from gateway.credentials.grants.grant import Grant, Key
from gateway.credentials.grants.kept import Kept
from gateway.credentials.grants.refresh import Pair
from gateway.store.sql.engine import Database
from gateway.store.sql.grants import GrantRow, GrantRows
from gateway.store.sql.leases import Leases
from tests.fakes import SteppedClock
from tests.issuer import FixedSecret
from tests.unit.credentials.grants.test_connecting import EndingFetch, model

KEY = ("x", "corp", "alice")
REVOKE = {"gitlab": "https://gitlab.com/oauth/revoke", "google": "https://oauth2.googleapis.com/revoke"}
ALICE = Account("41", "alice", "digest-41")


class House:
    """One kind of provider, over a database."""

    def __init__(self, kind: str, kept: Kept, database: Database, clock: SteppedClock) -> None:
        self.fetch = EndingFetch({REVOKE[kind]: Fetched(200, {}, b"")})
        self.kept = kept
        self.rows = GrantRows(database)
        secret = FixedSecret(b"canary-secret")
        leases = Leases(database)
        self.connecting = Connecting("x", model(kind), kept, self.rows, leases, self.fetch, clock, lambda reference: secret)

    @property
    def ended(self) -> list[str]:
        return [each.form["token"] for each in self.fetch.posted]


def pair(number: int) -> Pair:
    return Pair(Secret(b"access-%d" % number), Secret(b"refresh-%d" % number), None)


@pytest.mark.parametrize(("kind", "ended"), [("gitlab", ["refresh-1", "access-1"]), ("google", [])])
async def test_what_is_replaced_is_ended_where_that_spares_the_new_one(
    kind: str, ended: list[str], kept: Kept, database: Database, clock: SteppedClock
) -> None:
    house = House(kind, kept, database, clock)
    await house.connecting.keep(KEY, pair(1), ALICE, personal=False)
    assert house.ended == []
    assert (await house.connecting.keep(KEY, pair(2), ALICE, personal=False))[1]
    assert house.ended == ended


async def test_what_is_replaced_by_a_personal_token_is_ended(kept: Kept, database: Database, clock: SteppedClock) -> None:
    house = House("gitlab", kept, database, clock)
    await house.connecting.keep(KEY, pair(1), ALICE, personal=False)
    await house.connecting.keep(KEY, pair(2), ALICE, personal=True)
    await house.connecting.keep(KEY, pair(3), ALICE, personal=True)
    assert house.ended == ["refresh-1", "access-1"]


@pytest.mark.parametrize("account", [None, Account("41", "alice", "digest-of-another")])
async def test_a_known_account_is_replaced_only_by_itself(
    account: Account | None, kept: Kept, database: Database, clock: SteppedClock
) -> None:
    house = House("google", kept, database, clock)
    await house.connecting.keep(KEY, pair(1), ALICE, personal=False)
    with pytest.raises(OtherAccount):
        await house.connecting.keep(KEY, pair(2), account, personal=False)
    await house.connecting.drop(KEY, pair(2), account)
    assert house.ended == ([] if account is None else ["refresh-2", "access-2"]), "not what may be the connected account's"


async def test_a_grant_that_was_refreshed_meanwhile_is_ended_as_it_is_then(
    kept: Kept, database: Database, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House("gitlab", kept, database, clock)
    grant, _ = await house.connecting.keep(KEY, pair(1), ALICE, personal=False)
    opened, refreshed = kept.opened, replace(grant, access=pair(2).access, refresh=pair(2).refresh)

    async def slow(row: GrantRow) -> Grant:
        found = await opened(row)
        if row.version == grant.version:
            await kept.put(refreshed)
        return found

    monkeypatch.setattr(kept, "opened", slow)
    gone = await house.connecting.disconnect(KEY)
    assert gone is not None
    assert (gone[0].version, gone[1], house.ended) == (grant.version + 1, "yes", ["refresh-2", "access-2"])
    assert await house.rows.get(KEY) is None


async def test_a_row_that_changes_all_the_time_is_forgotten_all_the_same(
    kept: Kept, database: Database, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House("gitlab", kept, database, clock)
    await house.connecting.keep(KEY, pair(1), ALICE, personal=False)
    delete = GrantRows.delete

    async def never(self: GrantRows, key: Key, *version: Any) -> bool:
        return not version and await delete(self, key)

    monkeypatch.setattr(GrantRows, "delete", never)
    gone = await house.connecting.disconnect(KEY)
    assert gone is not None
    assert (gone[1], await house.rows.get(KEY)) == ("no", None)
