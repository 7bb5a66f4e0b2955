"""A whole gateway and a real Redis that is killed and started again under load, in each way of failing that can be configured."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.exposition import parse
from tests.house import House, house
from tests.redis_server import RedisServer
from tests.standalone import until

QUOTA = 30
MODES = ["local", "closed", "open"]
CLIENTS = 8
LISTEN = {"address": "127.0.0.1:0", "trusted_proxies": ["127.0.0.1/32"], "client_address": "x-forwarded-for"}


@asynccontextmanager
async def limited(folder: Path, redis: RedisServer, mode: str, **over: Any) -> AsyncIterator[House]:
    """A gateway that counts `QUOTA` requests an hour for each address, in that Redis."""
    limits = {
        "store": {"redis": {"url": redis.url}},
        "on_store_failure": mode,
        "default": ["few"],
        "rules": {"few": {"key": "client.address", "limit": f"{QUOTA}/1h", "algorithm": "fixed"}},
    }
    async with house(folder, listen=LISTEN, rate_limits=limits, log={"level": "warning"}, **over) as gateway:
        yield gateway


async def ask(gateway: House, address: str) -> int:
    """One request of a client behind the trusted proxy that this test is."""
    return (await gateway.get("/public/x", headers={"X-Forwarded-For": address})).status


async def burst(gateway: House, address: str, requests: int = QUOTA + 10) -> Counter[int]:
    return Counter(await asyncio.gather(*[ask(gateway, address) for _ in range(requests)]))


async def failures(gateway: House, mode: str) -> float:
    """The metric as a scraper of the operators' listener reads it."""
    reply = await gateway.get("/metrics", listener="admin", host="localhost")
    family = parse(reply.body).get("gateway_ratelimit_store_failures_total")
    samples = family.samples if family is not None else {}
    return sum(value for (_, labels), value in samples.items() if dict(labels) == {"mode": mode})


async def undisturbed(gateway: House, mode: str, network: str) -> Counter[int]:
    """A burst during which the store answered each time: a machine that stands still for 50 ms looks like an outage."""
    for turn in range(1, 10):
        before = await failures(gateway, mode)
        found = await burst(gateway, f"{network}.{turn}")
        if await failures(gateway, mode) == before:
            return found
    raise AssertionError("the store fails while it runs")


async def recovered(gateway: House, mode: str) -> None:
    """Wait until requests are counted in Redis again."""

    async def counted() -> bool:
        before = await failures(gateway, mode)
        await ask(gateway, "198.51.100.250")
        return await failures(gateway, mode) == before

    await until(counted, "the store was never used again")


def keys(redis: RedisServer) -> int:
    """What an independent client finds there."""
    client: Any = redis.client()
    try:
        return len(client.keys("{latchgate}:*"))
    finally:
        client.close()


DURING = {
    "local": Counter({200: QUOTA, 429: 10}),  # bounded all the same, in this process
    "closed": Counter({503: QUOTA + 10}),
    "open": Counter({200: QUOTA + 10}),
}


@pytest.mark.parametrize("mode", MODES)
async def test_before_during_and_after_an_outage(tmp_path: Path, redis_server: RedisServer, mode: str) -> None:
    async with limited(tmp_path, redis_server, mode) as gateway:
        assert await undisturbed(gateway, mode, "192.0.2") == Counter({200: QUOTA, 429: 10})
        assert keys(redis_server) > 0
        before = await failures(gateway, mode)
        redis_server.kill()
        assert await burst(gateway, "198.51.100.1") == DURING[mode]
        assert await failures(gateway, mode) == before + QUOTA + 10
        redis_server.start()
        await recovered(gateway, mode)
        assert await undisturbed(gateway, mode, "203.0.113") == Counter({200: QUOTA, 429: 10})
        assert keys(redis_server) > 0


@pytest.mark.parametrize("mode", MODES)
async def test_killed_and_restarted_under_load_no_request_meets_anything_else(
    tmp_path: Path, redis_server: RedisServer, mode: str
) -> None:
    statuses: Counter[int] = Counter()
    stop = asyncio.Event()
    async with limited(tmp_path, redis_server, mode) as gateway:

        async def client(number: int) -> None:
            turn = 0
            while not stop.is_set():
                turn += 1
                statuses[await ask(gateway, f"203.0.113.{number}" if turn % 2 else f"2001:db8:{turn:x}::{number}")] += 1

        clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
        for _ in range(2):
            before = await failures(gateway, mode)
            await asyncio.to_thread(redis_server.kill)

            async def noticed(before: float = before) -> bool:
                return await failures(gateway, mode) > before

            await until(noticed, "nobody noticed that the store is gone")
            await asyncio.to_thread(redis_server.start)
            await recovered(gateway, mode)
        stop.set()
        await asyncio.gather(*clients)
        assert (await gateway.get("/readyz", listener="admin", host="localhost")).status == 200
    assert set(statuses) <= ({200, 429, 503} if mode == "closed" else {200, 429})
    assert statuses[200] > 0
    assert (statuses[503] > 0) == (mode == "closed")


async def test_a_closed_door_says_so_in_the_audit_trail_and_to_the_client(tmp_path: Path, redis_server: RedisServer) -> None:
    async with limited(tmp_path, redis_server, "closed") as gateway:
        redis_server.kill()
        reply = await gateway.get("/public/x", headers={"X-Forwarded-For": "192.0.2.1"})
        assert (reply.status, reply.json()["type"]) == (503, "urn:latchgate:problem:dependency-down")
        assert b"redis" not in reply.body
        [event] = await gateway.requests()
        assert (event["status"], event["reason"]) == (503, "dependency-down")
        assert gateway.upstream.seen == []


async def test_a_store_that_was_never_there_keeps_nobody_from_starting(tmp_path: Path, redis_server: RedisServer) -> None:
    """A supervisor that restarts everything at once must not depend on an order."""
    redis_server.kill()
    async with limited(tmp_path, redis_server, "local") as gateway:
        assert await burst(gateway, "192.0.2.1") == Counter({200: QUOTA, 429: 10})
        redis_server.start()
        await recovered(gateway, "local")


async def test_two_gateways_share_one_quota(tmp_path: Path, redis_server: RedisServer) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with limited(tmp_path / "a", redis_server, "local") as one, limited(tmp_path / "b", redis_server, "local") as other:
        for turn in range(1, 10):
            before = await failures(one, "local"), await failures(other, "local")
            both = await asyncio.gather(burst(one, f"192.0.2.{turn}"), burst(other, f"192.0.2.{turn}"))
            if before == (await failures(one, "local"), await failures(other, "local")):
                break
        else:
            pytest.fail("the store fails while it runs")
    assert sum(both, Counter()) == Counter({200: QUOTA, 429: QUOTA + 20})
