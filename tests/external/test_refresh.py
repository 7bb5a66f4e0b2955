"""Refresh tokens at a real provider that takes the second use of one for theft and ends the grant (RFC 9700 4.14.2).

Three gateways, a PostgreSQL, a Redis and oidc-provider are processes of their own. The provider is the judge: it counts.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.external.replicas import Gates, World, added, ask, world
from tests.gate import Gate, Stop
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer
from tests.standalone import Standalone, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
REQUESTS = 50


@dataclass(frozen=True)
class Three:
    """The replicas, and the world they share."""

    world: World
    gates: list[Gates]
    replicas: list[Standalone]
    redis: RedisServer

    async def burst(self, subject: str) -> Counter[int]:
        """Fifty requests at once, in turn to each replica."""
        asked = [ask(self.replicas[number % 3], subject) for number in range(REQUESTS)]
        return Counter(reply.status for reply in await asyncio.gather(*asked))

    async def found(self, subject: str) -> dict[str, int]:
        told: dict[str, int] = await self.world.provider.told(f"grants/{subject}")
        return told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory, node: str, postgres_server: PostgresServer) -> AsyncIterator[Three]:
    folder = tmp_path_factory.mktemp("three")
    redis = RedisServer(folder).start()
    limits = {
        "store": {"redis": {"url": redis.url}},
        "on_store_failure": "local",
        "default": ["many"],
        "rules": {"many": {"key": "route", "limit": "10000/1h"}},
    }
    try:
        async with AsyncExitStack() as stack:
            shared = await stack.enter_async_context(world(folder, node, postgres_server))
            gates = [await stack.enter_async_context(shared.gates()) for _ in range(3)]
            replicas = [shared.replica(f"r{number}", gates[number], rate_limits=limits) for number in range(3)]
            started = await asyncio.gather(*map(stack.enter_async_context, replicas))
            yield Three(shared, gates, started, redis)
    finally:
        redis.kill()


async def reached(gate: Gate) -> None:
    async with asyncio.timeout(30):
        await gate.reached.wait()


async def test_a_grant_that_a_browser_obtained_is_refreshed_once_for_fifty_requests_on_three_replicas(
    three: Three, tmp_path: Path
) -> None:
    tokens = await three.world.provider.authorised("alice")
    await added(three.replicas[0], tmp_path, "alice", tokens, "--expires-in", "1ms")
    await three.world.provider.end(tokens["access_token"])
    assert await three.burst("alice") == {200: REQUESTS}
    assert await three.found("alice") == {"refreshed": 1, "refused": 0, "revoked": 0}


async def test_each_expiry_makes_one_refresh_more_and_the_family_of_refresh_tokens_lives(three: Three) -> None:
    """The replicas notice within a second, each at its own time."""
    await three.world.keep("bob", await three.world.provider.made("bob"), expired=True)
    for times in range(1, 4):

        async def is_refreshed(expected: int = times) -> bool:
            assert await three.burst("bob") == {200: REQUESTS}
            return (await three.found("bob"))["refreshed"] == expected

        await until(is_refreshed, "an expired token is used on")
        assert await three.found("bob") == {"refreshed": times, "refused": 0, "revoked": 0}
        await three.world.expire("bob")


async def test_a_token_that_was_revoked_early_is_replaced_once_when_the_upstream_refuses_it(three: Three) -> None:
    tokens = await three.world.provider.made("carol")
    await three.world.keep("carol", tokens, expired=False)
    assert await three.burst("carol") == {200: REQUESTS}
    await three.world.provider.end(tokens["access_token"])
    assert await three.burst("carol") == {200: REQUESTS}
    assert await three.found("carol") == {"refreshed": 1, "refused": 0, "revoked": 0}


@pytest.mark.parametrize(
    "stop",
    [Stop("UPDATE grants"), Stop("COMMIT UPDATE grants"), Stop("COMMIT UPDATE grants", answered=True)],
    ids=["not-written", "not-committed", "committed-without-a-word"],
)
async def test_a_database_that_is_lost_while_a_new_pair_is_stored_gets_it_when_it_is_back(three: Three, stop: Stop) -> None:
    subject, gate = f"erin-{stop.name[0]}{stop.answered}", three.gates[0].database
    await three.world.keep(subject, await three.world.provider.made(subject), expired=True)
    gate.stop(stop)
    asking = asyncio.create_task(ask(three.replicas[0], subject))
    await reached(gate)
    gate.cut(refuse=True)
    elsewhere = await ask(three.replicas[1], "nobody")
    gate.cut(refuse=False)
    assert elsewhere.status == 403, "the database is away for one replica alone"
    assert (await asking).status in {200, 503}, "it waits for five seconds, which a busy machine may need for the others"

    async def is_served() -> bool:
        return (await ask(three.replicas[0], subject)).status == 200

    await until(is_served, "the new pair was lost")
    assert await three.burst(subject) == {200: REQUESTS}
    assert await three.found(subject) == {"refreshed": 1, "refused": 0, "revoked": 0}


async def test_a_gateway_that_stands_still_with_a_new_pair_does_not_lose_it_when_it_was_taken_for_dead(three: Three) -> None:
    """SIGSTOP beyond its lease. This provider has ended the grant when the next one asked, others have not: both then know it."""
    stopped, gate = three.replicas[0], three.gates[0].provider
    await three.world.keep("frank", await three.world.provider.made("frank"), expired=True)
    gate.stop(Stop("request", answered=True))
    asking = asyncio.create_task(ask(stopped, "frank"))
    await reached(gate)
    stopped.process.send_signal(signal.SIGSTOP)
    try:
        await three.world.leases_end("frank")
        told = await ask(three.replicas[1], "frank")
        assert (told.status, told.json()["problem"]) == (403, "interrupted")
    finally:
        stopped.process.send_signal(signal.SIGCONT)
    broken = await three.world.grant("frank")
    gate.go_on()
    assert (await asking).status == 401, "the provider itself has ended what it gave"
    mended = await three.world.grant("frank")
    assert (broken.is_live, mended.is_live, mended.version) == (False, True, broken.version + 1)
    assert await three.found("frank") == {"refreshed": 1, "refused": 1, "revoked": 1}
    assert set(await three.burst("frank")) <= {401, 403}
    assert await three.found("frank") == {"refreshed": 1, "refused": 1, "revoked": 1}, "nobody asks again so soon"


async def test_a_redis_that_dies_costs_no_refresh(three: Three) -> None:
    """The last one: the replicas count limits by themselves from here on."""
    await three.world.keep("dave", await three.world.provider.made("dave"), expired=True)
    three.redis.kill()
    assert await three.burst("dave") == {200: REQUESTS}
    assert await three.found("dave") == {"refreshed": 1, "refused": 0, "revoked": 0}
