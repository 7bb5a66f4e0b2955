"""A refresh token is used once: by many requests, by many replicas, by processes that die in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import text

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.endpoint import SECONDS
from gateway.credentials.grants import refresh
from gateway.credentials.grants.grant import Grant, Key
from gateway.credentials.grants.kept import Kept, forget
from gateway.credentials.grants.refresh import Refresher
from gateway.store.sql.engine import Database
from gateway.store.sql.grants import GrantRows
from gateway.store.sql.leases import Leases
from tests.fakes import CountingMetrics, SteppedClock
from tests.provider import RotatingProvider

ALICE = Grant("github", "corp", "alice", Secret(b"access-0"), Secret(b"refresh-0"), client="client-1", expires_at=1.0)


class House:
    """One database, one provider, and as many replicas as a test wants."""

    def __init__(self, kept: Kept, database: Database, clock: SteppedClock, metrics: CountingMetrics) -> None:
        self.kept = kept
        self.database = database
        self.leases = Leases(database)
        self.clock = clock
        self.metrics = metrics
        self.provider = RotatingProvider()

    def replica(self, wait: float = refresh.WAIT) -> Refresher:
        return Refresher(
            self.provider, self.kept, self.leases, self.clock, self.metrics, sleep=self._sleep, jitter=lambda: 0.5, wait=wait
        )

    async def _sleep(self, seconds: float) -> None:
        self.clock.step(seconds)
        await asyncio.sleep(0.002)

    @asynccontextmanager
    async def database_away(self) -> AsyncIterator[None]:
        await self.database.write(text("ALTER TABLE grants RENAME TO away"))
        yield
        await self.database.write(text("ALTER TABLE away RENAME TO grants"))


@pytest.fixture
def house(kept: Kept, database: Database, clock: SteppedClock, metrics: CountingMetrics) -> House:
    return House(kept, database, clock, metrics)


async def test_fifty_requests_on_three_replicas_make_one_refresh(house: House) -> None:
    grant = await house.kept.put(ALICE)
    replicas = [house.replica() for _ in range(3)]
    given = await asyncio.gather(*(replicas[number % 3].refreshed(grant) for number in range(50)))
    assert house.provider.asked == ["refresh-0"]
    assert {each.access.reveal() for each in given if each is not None} == {b"access-1"}
    stored = await house.kept.get(ALICE.key)
    assert stored is not None
    assert (stored.refresh, stored.previous, stored.version) == (Secret(b"refresh-1"), Secret(b"refresh-0"), grant.version + 1)
    assert stored.expires_at == stored.refreshed_at + 3600


async def test_the_new_pair_is_stored_before_anybody_gets_it(house: House) -> None:
    grant = await house.kept.put(ALICE)
    given = await house.replica().refreshed(grant)
    assert given == await house.kept.get(ALICE.key)


async def test_whoever_leaves_does_not_end_the_refresh_for_the_others(house: House) -> None:
    grant = await house.kept.put(ALICE)
    house.provider.open.clear()
    replica = house.replica()
    leaving, staying = (asyncio.create_task(replica.refreshed(grant)) for _ in range(2))
    while not house.provider.asked:
        await asyncio.sleep(0.001)
    leaving.cancel()
    house.provider.open.set()
    given = await staying
    assert leaving.cancelled()
    assert given is not None
    assert given.access == Secret(b"access-1")
    assert house.provider.asked == ["refresh-0"]


async def test_who_waits_too_long_is_told_and_the_refresh_goes_on(house: House) -> None:
    grant = await house.kept.put(ALICE)
    house.provider.open.clear()
    replica = house.replica(wait=0.02)
    with pytest.raises(DependencyDown, match="not refreshed within"):
        await replica.refreshed(grant)
    house.provider.open.set()
    await replica.close()
    stored = await house.kept.get(ALICE.key)
    assert stored is not None
    assert stored.access == Secret(b"access-1")


async def test_a_version_that_was_replaced_already_asks_nobody(house: House) -> None:
    grant = await house.kept.put(ALICE)
    newer = await house.kept.put(replace(grant, access=Secret(b"newer")))
    assert await house.replica().refreshed(grant) == newer
    assert house.provider.asked == []


async def test_a_grant_that_is_gone_asks_nobody(house: House) -> None:
    grant = await house.kept.put(ALICE)
    await forget(GrantRows(house.database), ALICE.key)
    assert await house.replica().refreshed(grant) is None
    assert house.provider.asked == []


async def test_a_pair_whose_grant_was_ended_meanwhile_is_ended_at_the_provider(house: House) -> None:
    grant, ended = await house.kept.put(ALICE), []

    async def end(left: Grant) -> None:
        ended.append((left.access, left.refresh))

    house.provider.open.clear()
    replica = Refresher(house.provider, house.kept, house.leases, house.clock, house.metrics, None, end)
    flight = replica.start(grant)
    while not house.provider.asked:
        await asyncio.sleep(0.001)
    await forget(GrantRows(house.database), ALICE.key)
    house.provider.open.set()
    assert await flight is None
    assert ended == [(Secret(b"access-1"), Secret(b"refresh-1"))]


async def test_a_refused_refresh_token_breaks_the_grant_once_and_for_all(house: House) -> None:
    grant = await house.kept.put(replace(ALICE, refresh=Secret(b"unknown")))
    broken = await house.replica().refreshed(grant)
    assert broken is not None
    assert (broken.is_live, broken.problem) == (False, "refused")
    assert await house.replica().refreshed(broken) == broken
    assert house.provider.asked == ["unknown"]


async def test_what_is_refused_here_and_was_replaced_elsewhere_is_taken_from_there(house: House) -> None:
    """A replica that was thought dead comes back: it asked with an old token, and must not break what the other one stored."""
    grant = await house.kept.put(ALICE)

    class Slow(RotatingProvider):
        async def __call__(self, secret: Secret) -> refresh.Pair:
            self.newer = await house.kept.put(replace(grant, access=Secret(b"newer")))
            raise refresh.Refused

    house.provider = Slow()
    given = await house.replica().refreshed(grant)
    assert given == house.provider.newer


async def test_the_refresh_token_before_has_one_try_while_it_is_young(house: House) -> None:
    """The provider took the old one for good after all: it never stored what it answered."""
    young = replace(ALICE, refresh=Secret(b"never-known"), previous=Secret(b"refresh-0"), refreshed_at=house.clock.now() - 60)
    given = await house.replica().refreshed(await house.kept.put(young))
    assert given is not None
    assert given.access == Secret(b"access-1")
    assert house.provider.asked == ["never-known", "refresh-0"]


async def test_the_refresh_token_before_has_no_try_when_it_is_old(house: House) -> None:
    old = replace(ALICE, refresh=Secret(b"never-known"), previous=Secret(b"refresh-0"), refreshed_at=house.clock.now() - 601)
    given = await house.replica().refreshed(await house.kept.put(old))
    assert given is not None
    assert not given.is_live
    assert house.provider.asked == ["never-known"]


@pytest.mark.parametrize(
    ("grant", "problem"),
    [(replace(ALICE, refresh=None), "expired"), (replace(ALICE, client="client-2"), "other-client")],
    ids=["no-token", "other-client"],
)
async def test_what_cannot_be_refreshed_asks_nobody(house: House, grant: Grant, problem: str) -> None:
    given = await house.replica().refreshed(await house.kept.put(grant))
    assert given is not None
    assert given.problem == problem
    assert house.provider.asked == []


async def test_a_provider_that_fails_is_asked_again_only_after_a_pause_that_grows(house: House) -> None:
    grant = await house.kept.put(ALICE)
    house.provider.failing = lambda: DependencyDown("provider: 503")
    replica = house.replica()
    for pause in (5, 10, 20):
        with pytest.raises(DependencyDown, match="provider: 503"):
            await replica.refreshed(grant)
        asked = len(house.provider.asked)
        house.clock.step(pause * 0.89)
        with pytest.raises(DependencyDown, match="not due"):
            await replica.refreshed(grant)
        assert len(house.provider.asked) == asked
        house.clock.step(pause * 0.22)
    house.provider.failing = None
    given = await replica.refreshed(grant)
    assert given is not None
    assert given.access == Secret(b"access-1")
    assert house.metrics.counted("gateway.grant.refreshes", provider="github", outcome="failure") == 3


async def test_a_database_that_is_away_for_a_moment_does_not_cost_the_grant(house: House) -> None:
    grant = await house.kept.put(ALICE)
    house.provider.open.clear()
    flight = house.replica().start(grant)
    while not house.provider.asked:
        await asyncio.sleep(0.001)
    async with house.database_away():
        house.provider.open.set()
        await asyncio.sleep(0.02)
        assert not flight.done()
    given = await flight
    assert given is not None
    assert given.access == Secret(b"access-1")
    assert given == await house.kept.get(ALICE.key)


async def test_a_pair_that_cannot_be_stored_is_used_by_nobody_and_told(house: House, caplog: pytest.LogCaptureFixture) -> None:
    grant = await house.kept.put(ALICE)
    house.provider.open.clear()
    flight = house.replica().start(grant)
    while not house.provider.asked:
        await asyncio.sleep(0.001)
    async with house.database_away():
        house.provider.open.set()
        with pytest.raises(DependencyDown):
            await flight
    assert "a refreshed grant could not be stored and is lost" in caplog.messages
    assert house.metrics.counted("gateway.grant.refreshes", provider="github", outcome="lost") == 1
    assert "access-1" not in caplog.text


async def test_who_dies_between_the_answer_and_the_commit_leaves_a_broken_grant_and_no_loop(house: House) -> None:
    grant = await house.kept.put(ALICE)
    assert await house.leases.take(refresh.name(grant.key), 30) is not None  # and dies
    house.provider.used.add("refresh-0")
    house.provider.valid = "refresh-lost"
    await house.database.write(text("UPDATE leases SET until = until - 31"))
    replica = house.replica()
    given = await replica.refreshed(grant)
    assert given is not None
    assert given.problem == "interrupted"
    assert await replica.refreshed(given) == given
    assert house.provider.asked == ["refresh-0"]


async def test_who_dies_before_it_asks_costs_nothing(house: House) -> None:
    grant = await house.kept.put(ALICE)
    assert await house.leases.take(refresh.name(grant.key), 30) is not None  # and dies
    flight = house.replica().start(grant)
    await asyncio.sleep(0.02)
    assert not flight.done()
    assert house.provider.asked == []
    await house.database.write(text("UPDATE leases SET until = until - 31"))
    given = await flight
    assert given is not None
    assert given.access == Secret(b"access-1")


async def test_a_lease_whose_end_was_moved_to_the_next_century_costs_one_lease_and_not_the_grant(house: House) -> None:
    """By whoever writes the database, or by a clock of its server that was put back."""
    grant = await house.kept.put(ALICE)
    assert await house.leases.take(refresh.name(grant.key), 30) is not None  # and dies
    await house.database.write(text("UPDATE leases SET until = until + 3e9"))
    given = await house.replica().start(grant)
    assert given is not None
    assert given.access == Secret(b"access-1")
    assert house.provider.asked == ["refresh-0"]


async def test_a_connection_made_anew_during_a_refresh_wins(house: House) -> None:
    grant = await house.kept.put(ALICE)
    house.provider.open.clear()
    flight = house.replica().start(grant)
    while not house.provider.asked:
        await asyncio.sleep(0.001)
    anew = await house.kept.put(replace(grant, access=Secret(b"anew"), refresh=Secret(b"refresh-anew")))
    house.provider.open.set()
    assert await flight == anew
    assert await house.kept.get(ALICE.key) == anew


async def test_who_stood_still_after_it_got_its_turn_does_not_ask_when_it_goes_on(house: House) -> None:
    """Meanwhile another may have its turn: two would use the same refresh token."""
    grant = await house.kept.put(ALICE)
    stopped, kept = asyncio.Event(), house.kept

    class Stopping:
        """Stands still between the lease and the provider: its second reading takes as long as a lease."""

        put = kept.put
        reads = 0

        async def get(self, key: Key) -> Grant | None:
            found = await kept.get(key)
            self.reads += 1
            if self.reads == 2:
                house.clock.step(refresh.LEASE)
                stopped.set()
            return found

    paused = Refresher(house.provider, Stopping(), house.leases, house.clock, house.metrics, jitter=lambda: 0.5)
    with pytest.raises(DependencyDown, match="its turn ended before the provider was asked"):
        await paused.refreshed(grant)
    assert stopped.is_set()
    assert house.provider.asked == []


async def test_who_was_taken_for_dead_after_the_provider_answered_mends_what_the_next_one_broke(house: House) -> None:
    """Its own write is refused, since another version is there; its pair is the only good one there is, at most providers."""
    grant = await house.kept.put(ALICE)
    house.provider.open.clear()
    paused = house.replica().start(grant)
    while not house.provider.asked:
        await asyncio.sleep(0.001)
    await house.database.write(text("UPDATE leases SET until = until - 31"))
    broken = await house.replica().refreshed(grant)
    assert broken is not None
    assert broken.problem == "interrupted"
    house.provider.open.set()
    mended = await paused
    assert mended is not None
    assert (mended.is_live, mended.access, mended.version) == (True, Secret(b"access-1"), grant.version + 2)
    assert mended == await house.kept.get(ALICE.key)


async def test_who_was_taken_for_dead_never_overwrites_what_the_next_one_obtained(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    grant = await house.kept.put(ALICE)
    house.provider.open.clear()
    paused = house.replica().start(grant)
    while not house.provider.asked:
        await asyncio.sleep(0.001)
    await house.database.write(text("UPDATE leases SET until = until - 31"))
    newer = await house.kept.put(replace(grant, access=Secret(b"newer"), refresh=Secret(b"refresh-newer")))
    house.provider.open.set()
    assert await paused == newer
    assert await house.kept.get(ALICE.key) == newer
    assert "a refreshed grant came too late and is not used" in caplog.messages
    assert house.metrics.counted("gateway.grant.refreshes", provider="github", outcome="superseded") == 1


async def test_a_refusal_after_an_answer_that_never_came_is_told_as_interrupted(house: House) -> None:
    """The provider may have taken the token for it, however properly the one who asked gave its turn back."""
    grant = await house.kept.put(ALICE)
    house.provider.failing = lambda: DependencyDown("provider: no complete answer within 10 s")
    with pytest.raises(DependencyDown):
        await house.replica().refreshed(grant)
    house.provider.failing = None
    house.provider.used.add("refresh-0")
    house.provider.valid = "refresh-lost"
    given = await house.replica().refreshed(grant)
    assert given is not None
    assert given.problem == "interrupted"


async def test_a_broken_grant_is_told_with_the_command_that_helps(house: House, caplog: pytest.LogCaptureFixture) -> None:
    grant = await house.kept.put(replace(ALICE, subject="al ice", refresh=Secret(b"unknown")))
    await house.replica().refreshed(grant)
    fixes = [vars(record)["fix"] for record in caplog.records if "is broken" in record.message]
    assert len(fixes) == 1
    assert fixes[0].startswith("gateway grants add --provider github --issuer corp --subject 'al ice'")


async def test_a_lease_lasts_longer_than_a_provider_may_take_and_a_database_be_away() -> None:
    assert refresh.LEASE >= refresh.SAVE_FOR + 10
    assert refresh.LEASE > refresh.ASK_BY + SECONDS
