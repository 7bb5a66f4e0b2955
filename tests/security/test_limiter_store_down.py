"""Attack row 137 (OneCLI policy.rs:117, Kong fault_tolerant): the limiter's store goes down, and limits with it."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from gateway.core.errors import DependencyDown, LimitExceeded
from gateway.core.ports import Limits
from gateway.ratelimit.limiter import STORE_FAILURES, Limiter
from gateway.ratelimit.model import RateLimits
from gateway.store.redis import RedisCounters
from tests.fakes import CountingMetrics, SteppedClock, a_request
from tests.redis_server import RedisServer

QUOTA = 40
CONFIG: dict[str, Any] = {
    "default": ["per-address"],
    "rules": {"per-address": {"key": "client.address", "limit": f"{QUOTA}/hour", "algorithm": "fixed"}},
}


class House:
    """A stage over a real Redis, and what came of the requests sent through it."""

    def __init__(self, server: RedisServer, mode: str) -> None:
        self.server = server
        self.metrics = CountingMetrics()
        self.store = RedisCounters(server.url, timeout=2)
        config = RateLimits.model_validate({**CONFIG, "on_store_failure": mode})
        self.limits: Limits = Limiter(config, clock=SteppedClock(), metrics=self.metrics, store=self.store).unmatched()
        self.mode = mode

    async def ask(self, client: str) -> str:
        try:
            _, allowances = await self.limits.spend(a_request(client=client), None)
        except LimitExceeded:
            return "refused"
        except DependencyDown:
            return "closed"
        return "admitted" if allowances else "unlimited"

    async def load(self, client: str, requests: int = 300) -> Counter[str]:
        return Counter(await asyncio.gather(*[self.ask(client) for _ in range(requests)]))

    @property
    def failures(self) -> int:
        return self.metrics.counted(STORE_FAILURES, mode=self.mode)

    async def until_recovered(self) -> None:
        async with asyncio.timeout(30):
            while True:
                before = self.failures
                await self.ask("198.51.100.99")
                if self.failures == before:
                    return
                await asyncio.sleep(0.01)


EXPECTED = {
    "local": Counter(admitted=QUOTA, refused=300 - QUOTA),
    "open": Counter(unlimited=300),
    "closed": Counter(closed=300),
}


@pytest.mark.parametrize("mode", ["local", "open", "closed"])
async def test_row_137_killed_redis_means_the_configured_mode_a_metric_and_recovery(mode: str, redis_server: RedisServer) -> None:
    house = House(redis_server, mode)
    try:
        assert await house.load("192.0.2.1") == Counter(admitted=QUOTA, refused=300 - QUOTA)
        assert house.failures == 0
        redis_server.kill()
        assert await house.load("192.0.2.2") == EXPECTED[mode]
        assert house.failures == 300
        redis_server.start()
        await house.until_recovered()
        failures = house.failures
        assert await house.load("192.0.2.3") == Counter(admitted=QUOTA, refused=300 - QUOTA)
        assert house.failures == failures
    finally:
        await house.store.close()


@pytest.mark.parametrize("mode", ["local", "open", "closed"])
async def test_row_137_redis_dies_and_returns_under_load_without_any_other_outcome(mode: str, redis_server: RedisServer) -> None:
    house = House(redis_server, mode)
    outcomes: Counter[str] = Counter()
    stop = asyncio.Event()

    async def client(number: int) -> None:
        while not stop.is_set():
            outcomes[await house.ask(f"203.0.113.{number}")] += 1
            await asyncio.sleep(0)

    try:
        clients = [asyncio.create_task(client(number)) for number in range(20)]
        for _ in range(2):
            await asyncio.to_thread(redis_server.kill)
            async with asyncio.timeout(30):
                while house.failures == 0:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(redis_server.start)
            await house.until_recovered()
        stop.set()
        await asyncio.gather(*clients)
        allowed = {"admitted", "refused"} | {"local": set(), "open": {"unlimited"}, "closed": {"closed"}}[mode]
        assert set(outcomes) <= allowed
        assert outcomes["admitted"] > 0
    finally:
        await house.store.close()


async def test_row_137_killing_redis_does_not_give_back_a_quota_that_was_spent(redis_server: RedisServer) -> None:
    house = House(redis_server, "local")
    try:
        await house.load("192.0.2.1")
        redis_server.kill()
        assert await house.load("192.0.2.1") == Counter(refused=300)
    finally:
        await house.store.close()


async def test_row_137_frozen_redis_is_a_failed_one(redis_server: RedisServer) -> None:
    house = House(redis_server, "closed")
    house.store = RedisCounters(redis_server.url)
    config = RateLimits.model_validate({**CONFIG, "on_store_failure": "closed"})
    house.limits = Limiter(config, clock=SteppedClock(), metrics=house.metrics, store=house.store).unmatched()
    try:
        await house.until_recovered()
        redis_server.freeze()
        assert await house.load("192.0.2.1") == Counter(closed=300)
    finally:
        redis_server.thaw()
        await house.store.close()
