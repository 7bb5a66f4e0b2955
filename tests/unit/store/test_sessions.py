"""Sessions in this process and in a real Redis, by the same rules."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.core.errors import DependencyDown
from gateway.core.session_store import SessionStore, Stored
from gateway.store.redis_sessions import RedisSessions
from gateway.store.server import Server
from gateway.store.sessions import MemorySessions
from tests.fakes import SteppedClock
from tests.redis_server import RedisServer


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, clock: SteppedClock) -> AsyncIterator[SessionStore]:
    if request.param == "memory":
        yield MemorySessions(clock, 100)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    made = RedisSessions(Server(server.url), timeout=60)
    yield made
    await made.close()


async def test_what_is_added_is_found_by_its_name_and_tags_until_it_is_removed(store: SessionStore) -> None:
    await store.add("a1", "sealed-a", 60, ["who", "all"])
    await store.add("b1", "sealed-b", 60, ["all"])
    assert (await store.get("a1"), await store.get("c1")) == (Stored(1, "sealed-a"), None)
    assert (await store.tagged("all"), await store.tagged("who"), await store.tagged("none")) == (["a1", "b1"], ["a1"], [])
    assert [await store.remove("a1"), await store.remove("a1")] == [True, False]
    assert (await store.get("a1"), await store.tagged("all"), await store.tagged("who")) == (None, ["b1"], [])


async def test_of_many_who_would_replace_a_version_one_may(store: SessionStore) -> None:
    await store.add("a2", "one", 60, [])
    assert sum(await asyncio.gather(*(store.claim("a2", 1, 60) for _ in range(20)))) == 1
    assert not await store.claim("a2", 2, 60)
    assert await store.replace("a2", 1, "two")
    assert await store.get("a2") == Stored(2, "two")
    assert not await store.replace("a2", 1, "late")
    assert [await store.claim("a2", 2, 60), await store.claim("a2", 2, 60)] == [True, False]
    await store.release("a2", 2)
    assert await store.claim("a2", 2, 60)
    assert await store.get("a2") == Stored(2, "two")


async def test_nothing_revives_what_is_gone(store: SessionStore) -> None:
    await store.keep("gone", 60)
    assert not await store.claim("gone", 1, 60)
    assert not await store.replace("gone", 1, "x")
    await store.release("gone", 1)
    assert await store.get("gone") is None


async def test_a_record_ends_by_itself_unless_it_is_kept(clock: SteppedClock) -> None:
    store = MemorySessions(clock, 2)
    await store.add("a", "x", 10, ["t"])
    await store.add("b", "y", 10, ["t"])
    with pytest.raises(DependencyDown):
        await store.add("c", "z", 10, [])
    clock.step(9)
    await store.keep("a", 10)
    clock.step(2)
    assert (await store.get("a"), await store.get("b"), await store.tagged("t")) == (Stored(1, "x"), None, ["a"])
    await store.add("c", "z", 10, [])
    assert store.status() == {"kind": "memory", "held": 2}


async def test_tags_in_memory_forget_what_was_swept(clock: SteppedClock) -> None:
    store = MemorySessions(clock, 50)
    for number in range(500):
        await store.add(f"m{number}", "sealed", 10, ["all", f"who{number}"])
        clock.step(1)
    held = store.status()["held"]
    assert held <= 50
    assert sum(len(named) for named in store._tags.values()) == 2 * held


async def test_tags_in_redis_forget_sessions_that_ended(redis_server: RedisServer) -> None:
    """However many log in and whether they log out, and although nobody lists them."""
    store, client, tag = RedisSessions(Server(redis_server.url), timeout=60), redis_server.client(), "{latchgate}:sessions:grown"
    try:
        for number in range(200):
            await store.add(f"out{number}", "sealed", 60, ["grown", f"who{number}"])
            assert await store.remove(f"out{number}")
        assert (client.exists(tag), list(client.scan_iter("*who*"))) == (0, [])
        for number in range(200):
            await store.add(f"over{number}", "sealed", 60, ["grown"])
            client.delete(f"{{latchgate}}:session:over{number}")  # as if its time were over
            assert client.zcard(tag) == 1
    finally:
        client.close()
        await store.close()


async def test_a_tag_with_many_that_live_stays_near_their_number(redis_server: RedisServer) -> None:
    store, client, tag = RedisSessions(Server(redis_server.url), timeout=60), redis_server.client(), "{latchgate}:sessions:near"
    try:
        live = [f"live{number}" for number in range(200)]
        for id in live:
            await store.add(id, "sealed", 60, ["near"])
        for number in range(600):
            await store.add(f"short{number}", "sealed", 60, ["near"])
            client.delete(f"{{latchgate}}:session:short{number}")
        assert client.zcard(tag) in range(200, 300)
        assert await store.tagged("near") == live
    finally:
        client.close()
        await store.close()


async def test_a_tag_holds_nothing_older_than_any_session(redis_server: RedisServer) -> None:
    store, client, tag = RedisSessions(Server(redis_server.url), timeout=60), redis_server.client(), "{latchgate}:sessions:old"
    try:
        client.zadd(tag, {f"old{number}": number for number in range(1000)})
        await store.add("new", "sealed", 60, ["old"])
        assert client.zrange(tag, 0, -1) == [b"new"]
    finally:
        client.close()
        await store.close()


async def test_a_record_in_redis_ends_by_itself_and_says_nothing(redis_server: RedisServer) -> None:
    store = RedisSessions(Server(redis_server.url), timeout=60)
    client = redis_server.client()
    try:
        await store.add("a3", "sealed", 60, ["tag"])
        left = client.pttl("{latchgate}:session:a3")
        assert isinstance(left, int)
        assert 0 < left <= 60_000
        await store.keep("a3", 120)
        longer = client.pttl("{latchgate}:session:a3")
        assert isinstance(longer, int)
        assert longer > 60_000
    finally:
        client.close()
        await store.close()
