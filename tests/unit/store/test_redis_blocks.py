"""Blocks that all replicas share, over a real Redis."""

import time
from collections.abc import AsyncIterator

import pytest

from gateway.detection.guard import Guard
from gateway.detection.model import Detection
from gateway.resources import Nobody, SystemClock, untold
from gateway.store.redis_blocks import FAILURES, KEPT, KEY, RedisBlocks, milliseconds, read, said
from gateway.store.server import Server
from tests.fakes import CountingMetrics, SteppedClock
from tests.redis_server import RedisServer
from tests.standalone import until

ADDRESS = "203.0.113.7"


class Replica:
    """One of several that share a Redis."""

    def __init__(self, url: str) -> None:
        self.guard = Guard(SystemClock(), Nobody(), untold)
        self.guard.adopt(Detection())
        self.metrics = CountingMetrics()
        self.store = RedisBlocks(Server(url), SystemClock(), self.metrics, self.guard.take, every=0.01)
        self.guard.shared = self.store.tell

    async def refuses(self, address: str = ADDRESS) -> bool:
        return address in self.guard.standing()

    async def admits(self, address: str = ADDRESS) -> bool:
        return not await self.refuses(address)


@pytest.fixture
async def replicas(redis_server: RedisServer) -> AsyncIterator[tuple[Replica, Replica]]:
    one, other = Replica(redis_server.url), Replica(redis_server.url)
    for replica in (one, other):
        replica.store.start()
    yield one, other
    for replica in (one, other):
        await replica.store.close()


def fail(replica: Replica, address: str = ADDRESS) -> None:
    for _ in range(5):
        replica.guard.failed(address, None)


async def test_what_one_blocks_all_block_and_a_release_reaches_all(
    replicas: tuple[Replica, Replica], redis_server: RedisServer
) -> None:
    one, other = replicas
    fail(one)
    await until(other.refuses, "the other replica has not heard")
    assert 0 < other.guard.standing()[ADDRESS] <= 900
    late = Replica(redis_server.url)
    late.store.start()
    await until(late.refuses, "one that comes later has not heard")
    await late.store.close()
    assert other.guard.release(ADDRESS)
    await until(one.admits, "the release has not come")
    with redis_server.client() as client:
        assert client.ttl(KEY) > 24 * 3600


async def test_redis_gone_each_goes_on_and_what_was_not_told_is_told_later(
    replicas: tuple[Replica, Replica], redis_server: RedisServer
) -> None:
    one, other = replicas
    redis_server.kill()
    fail(one)
    assert await one.refuses()
    assert await other.admits()
    redis_server.start()
    await until(other.refuses, "what was blocked meanwhile was never told")


async def test_a_block_that_is_over_is_neither_told_nor_taken_over(redis_server: RedisServer) -> None:
    clock, taken = SteppedClock(), list[str]()
    store = RedisBlocks(Server(redis_server.url), clock, CountingMetrics(), lambda network, _: taken.append(network), every=0.01)
    with redis_server.client() as client:
        client.xadd(KEY, {"network": "203.0.113.8", "ms": 60_000}, id=f"{int(time.time() * 1000) - 120_000}-1")
    store.tell("203.0.113.9", 5)
    clock.step(6)
    store.tell(ADDRESS, 60)

    async def heard() -> bool:
        return ADDRESS in taken

    store.start()
    try:
        await until(heard, "nothing was heard")
    finally:
        await store.close()
    assert taken == [ADDRESS]


STRANGE: list[dict[bytes | str, bytes | str | int]] = [
    {"network": ADDRESS},
    {"network": ADDRESS, "ms": "soon"},
    {"network": b"\xff", "ms": 1000},
    {"network": "everybody", "ms": 1000},
    {"network": "g" * 16, "ms": 1000},
    {"network": ADDRESS, "ms": -1},
    {"network": ADDRESS, "ms": "9" * 400},
    {"network": ADDRESS, "ms": 1000, "more": 1},
]


async def test_an_entry_that_nobody_understands_does_not_stop_the_sharing(
    replicas: tuple[Replica, Replica], redis_server: RedisServer
) -> None:
    one, other = replicas
    with redis_server.client() as client:
        for fields in STRANGE:
            client.xadd(KEY, fields)
    fail(one, "203.0.113.8")

    async def heard() -> bool:
        return await other.refuses("203.0.113.8")

    await until(heard, "what came after was never heard")
    assert await other.admits()
    assert other.metrics.counted(FAILURES) == len(STRANGE)
    assert list(other.guard.standing()) == ["203.0.113.8"]


@pytest.mark.parametrize("key", [ADDRESS, "20010db800000001"])
def test_what_replicas_write_is_understood(key: str) -> None:
    assert said([b"network", key.encode(), b"ms", b"%d" % (KEPT * 1000)]) == (key, KEPT * 1000)


@pytest.mark.parametrize("answer", [b"OK", [b"1"], [[b"s", [[b"1-0"]]]], [[b"s", [[1, [b"ms", b"x"]]]]]])
def test_what_is_no_answer_is_refused(answer: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        read(answer)


@pytest.mark.parametrize("answer", [None, [b"1"], [b"x", b"1"]])
def test_what_is_no_time_is_refused(answer: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        milliseconds(answer)
