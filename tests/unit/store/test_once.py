"""What may be used once: in this process and in a real Redis, by the same rules; neither forgets, and who cannot tell refuses."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from gateway.core.errors import DependencyDown
from gateway.core.ports import Once
from gateway.store.once import DROPPED, MemoryOnce
from gateway.store.redis_once import RedisOnce
from gateway.store.server import Server
from tests.fakes import CountingMetrics, SteppedClock
from tests.redis_server import RedisServer

FAILURES = "gateway.state.failures"


@pytest.fixture
def metrics() -> CountingMetrics:
    return CountingMetrics()


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(params=["memory", "redis"])
async def once(request: pytest.FixtureRequest, metrics: CountingMetrics, clock: SteppedClock) -> AsyncIterator[Once]:
    if request.param == "memory":
        yield MemoryOnce(clock, metrics)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    made = RedisOnce(Server(server.url), metrics, timeout=60)
    yield made
    await made.close()


async def test_only_the_first_use_is_the_first(once: Once) -> None:
    assert [await once.first("dpop:a", 60) for _ in range(3)] == [True, False, False]
    assert await once.first("dpop:b", 60)


async def test_of_many_at_once_one_is_the_first(once: Once) -> None:
    assert sum(await asyncio.gather(*[once.first("code:a", 60) for _ in range(100)])) == 1


async def test_two_processes_that_share_a_redis_know_what_the_other_saw(
    redis_server: RedisServer, metrics: CountingMetrics
) -> None:
    one, other = (RedisOnce(Server(redis_server.url), metrics, timeout=60) for _ in range(2))
    try:
        assert [await one.first("a", 60), await other.first("a", 60), await other.first("b", 60), await one.first("b", 60)] == [
            True,
            False,
            True,
            False,
        ]
    finally:
        await one.close()
        await other.close()


async def test_redis_is_told_a_digest_and_an_end(redis_server: RedisServer, metrics: CountingMetrics) -> None:
    once = RedisOnce(Server(redis_server.url), metrics, timeout=60)
    await once.first("dpop:canary-jti", 0.9995 + 59)
    await once.close()
    with redis_server.client() as client:
        (key,) = client.keys("*")
        assert key.startswith(b"{latchgate}:once:")
        assert b"canary" not in key
        assert client.get(key) == b"1"
        assert 30_000 < client.pttl(key) <= 60_000


async def test_redis_that_is_away_is_refused_and_counted_and_used_again_when_it_is_back(
    redis_server: RedisServer, metrics: CountingMetrics
) -> None:
    once = RedisOnce(Server(redis_server.url), metrics, timeout=60)
    try:
        assert await once.first("a", 60)
        redis_server.kill()
        for _ in range(3):
            with pytest.raises(DependencyDown):
                await once.first("b", 60)
        assert metrics.counted(FAILURES, store="redis") == 3
        assert not once.status()["connected"]
        redis_server.start()
        async with asyncio.timeout(60):
            while not await _tried(once):
                await asyncio.sleep(0.01)
    finally:
        await once.close()


async def test_what_is_asked_after_the_end_opens_no_connection(redis_server: RedisServer, metrics: CountingMetrics) -> None:
    once = RedisOnce(Server(redis_server.url), metrics, timeout=60)
    assert await once.first("a", 60)
    await once.close()
    with redis_server.client() as client:
        opened = client.info("stats")["total_connections_received"]
        with pytest.raises(DependencyDown, match="closed"):
            await once.first("b", 60)
        once.start()
        await asyncio.sleep(0)
        assert client.info("stats")["total_connections_received"] == opened
    assert not once.status()["connected"]


async def _tried(once: Once) -> bool:
    try:
        return await once.first("c", 60)
    except DependencyDown:
        return False


async def test_full_redis_refuses_instead_of_forgetting(redis_server: RedisServer, metrics: CountingMetrics) -> None:
    once = RedisOnce(Server(redis_server.url), metrics, timeout=60)
    try:
        with redis_server.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1")
        with pytest.raises(DependencyDown, match="OOM"):
            await once.first("a", 60)
    finally:
        await once.close()


async def test_memory_forgets_what_ended_and_nothing_before(metrics: CountingMetrics, clock: SteppedClock) -> None:
    once = MemoryOnce(clock, metrics)
    assert await once.first("short", 10)
    assert await once.first("long", 100)
    clock.step(9.9)
    assert not await once.first("short", 10)
    clock.step(0.1)
    assert await once.first("short", 10)
    assert not await once.first("long", 100)
    assert once.status() == {"kind": "memory", "held": 2}


async def test_full_memory_refuses_the_new_and_still_knows_the_old(metrics: CountingMetrics, clock: SteppedClock) -> None:
    """An attacker who brings fresh names does not push out the one he wants to use again."""
    once = MemoryOnce(clock, metrics, most=3)
    assert [await once.first(name, 60) for name in "abc"] == [True] * 3
    with pytest.raises(DependencyDown, match="full"):
        await once.first("d", 60)
    assert not await once.first("a", 60)
    assert metrics.counted(FAILURES, store="memory") == 1
    clock.step(60)
    assert await once.first("d", 60)


async def test_one_busy_purpose_keeps_nobody_from_another(metrics: CountingMetrics, clock: SteppedClock) -> None:
    """A flood of logins that strangers begin does not stop those who prove their tokens."""
    once = MemoryOnce(clock, metrics, most=3)
    assert [await once.first(f"login:{name}", 600) for name in "abc"] == [True] * 3
    with pytest.raises(DependencyDown, match="login"):
        await once.first("login:d", 600)
    assert [await once.first(f"{purpose}:a", 60) for purpose in ("dpop", "hmac:x", "logout")] == [True] * 3
    assert once.status() == {"kind": "memory", "held": 6}


async def test_what_ended_together_is_dropped_little_by_little_and_counts_as_room_at_once(
    metrics: CountingMetrics, clock: SteppedClock
) -> None:
    """200,000 names that end in one moment do not stop the loop when the next one comes."""
    once = MemoryOnce(clock, metrics, most=1000)
    for number in range(1000):
        assert await once.first(f"dpop:{number}", 60)
    clock.step(60)
    held = [1000]
    for number in range(1000):
        assert await once.first(f"dpop:{999 - number}", 60)
        held.append(once.status()["held"])
    assert all(before - now <= DROPPED for before, now in pairwise(held))
    assert held[-1] == 1000
    assert not any([await once.first(f"dpop:{number}", 60) for number in range(1000)])
    with pytest.raises(DependencyDown):
        await once.first("dpop:new", 60)


async def test_step_of_the_wall_clock_frees_nothing(metrics: CountingMetrics, clock: SteppedClock) -> None:
    once = MemoryOnce(clock, metrics)
    assert await once.first("a", 60)
    clock._unix += 3600
    assert not await once.first("a", 60)
    clock._unix -= 7200
    assert not await once.first("a", 60)


async def test_looking_whether_it_was_used_uses_nothing(once: Once) -> None:
    assert [await once.used("signature.a:x"), await once.used("signature.a:x")] == [False, False]
    assert await once.first("signature.a:x", 60)
    assert [await once.used("signature.a:x"), await once.used("signature.b:x")] == [True, False]
