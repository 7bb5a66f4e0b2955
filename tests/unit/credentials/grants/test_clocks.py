"""Replicas whose clocks differ: leases go by the database's, and who is late or early causes no storm."""

from dataclasses import replace

import pytest

from gateway.core.secret import Secret
from gateway.credentials.grants.grant import Grant
from gateway.credentials.grants.held import COOLDOWN, FRESH, Held
from gateway.credentials.grants.kept import Kept
from gateway.credentials.grants.refresh import Refresher
from gateway.store.sql.engine import Database
from gateway.store.sql.leases import Leases
from tests.fakes import CountingMetrics, SteppedClock
from tests.provider import RotatingProvider

HOUR = 3600.0
KEY = ("github", "corp", "alice")


class Replica:
    """One gateway with a clock of its own."""

    def __init__(self, database: Database, kept: Kept, provider: RotatingProvider, ahead: float) -> None:
        self.clock = SteppedClock(unix=SteppedClock().now() + ahead)
        metrics = CountingMetrics()
        refresher = Refresher(provider, kept, Leases(database), self.clock, metrics, jitter=lambda: 0.5)
        self.held = Held("github", kept, refresher, self.clock, metrics, jitter=lambda: 0.5)

    async def token(self) -> bytes:
        return (await self.held.get(KEY)).line

    async def refused(self) -> bool:
        """Whether there is another token when an upstream refuses the one that is held."""
        return await self.held.renewed(KEY, [await self.token()]) is not None


@pytest.fixture
def provider() -> RotatingProvider:
    return RotatingProvider(lifetime=HOUR)


async def kept_by_an_operator(kept: Kept, clock: SteppedClock) -> Grant:
    pair = Secret(b"access-0"), Secret(b"refresh-0")
    return await kept.put(Grant(*KEY, *pair, client="client-1", expires_at=clock.now() - 10))


async def test_a_replica_whose_clock_is_far_ahead_refreshes_in_its_turn_and_not_in_a_loop(
    database: Database, kept: Kept, clock: SteppedClock, provider: RotatingProvider
) -> None:
    here, ahead = (Replica(database, kept, provider, seconds) for seconds in (0.0, 2 * HOUR))
    await kept_by_an_operator(kept, clock)
    assert await here.token() == b"authorization: Bearer access-1\r\n"
    assert await ahead.token() == b"authorization: Bearer access-2\r\n", "for it the first one ended an hour ago"
    for replica in (here, ahead) * 3:
        replica.clock.step(FRESH)
        assert await replica.token() == b"authorization: Bearer access-2\r\n"
    assert provider.asked == ["refresh-0", "refresh-1"]
    assert not provider.ended


async def test_a_token_that_is_refused_early_is_replaced_although_a_clock_ahead_of_ours_says_it_is_of_tomorrow(
    database: Database, kept: Kept, clock: SteppedClock, provider: RotatingProvider
) -> None:
    here = Replica(database, kept, provider, 0.0)
    grant = await kept_by_an_operator(kept, clock)
    now = clock.now()
    await kept.put(replace(grant, refreshed_at=now + HOUR, expires_at=now + 2 * HOUR))
    assert not await here.refused(), "it has only just been seen here"
    here.clock.step(COOLDOWN)
    assert await here.refused()
    assert not await here.refused()
    assert provider.asked == ["refresh-0"]
