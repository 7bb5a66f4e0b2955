"""Two replicas that share sessions in a real Redis: what is used or ended at one is so at the other; Redis gone: the stated fail mode."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.house import House
from tests.login import PAGE, SESSION, Browser, Moved, ScriptedProvider, providers, replica
from tests.redis_server import RedisServer


@dataclass
class Two:
    """Two gateways, their provider, and the time of both."""

    one: House
    other: House
    corp: ScriptedProvider
    clock: Moved

    def at(self, browser: Browser, gateway: House) -> Browser:
        """The same browser, sent to another replica by a load balancer."""
        same = Browser(gateway)
        same.jar = browser.jar
        return same


@pytest.fixture
async def two(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Two]:
    over = {"state": {"store": {"redis": {"url": redis_server.url}}}}
    clock = Moved()
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(providers("corp"))
        gateways = [
            await stack.enter_async_context(replica(tmp_path / name, made, over=over, clock=clock, refresh="60s"))
            for name in ("one", "other")
        ]
        yield Two(gateways[0], gateways[1], made[0], clock)


async def test_a_session_of_one_is_good_at_the_other_and_ends_at_both_within_a_second(two: Two) -> None:
    browser = Browser(two.one)
    await browser.login(two.corp)
    there = two.at(browser, two.other)
    assert (await there.get("/app/home")).status == 200
    cookie = {"Cookie": f"{SESSION}={browser.jar[SESSION]}"}
    assert (await browser.write("/.gateway/logout")).status == 303
    assert (await browser.get("/app/home", headers=cookie)).status == 401
    two.clock.ahead += 1
    assert (await there.get("/app/home", headers=cookie)).status == 401


async def test_a_state_used_at_one_is_refused_at_the_other(two: Two) -> None:
    browser = Browser(two.one)
    begun = await browser.get("/.gateway/login?provider=corp", headers=PAGE)
    back, jar = two.corp.authorised(begun["location"]), dict(browser.jar)
    there = two.at(browser, two.other)
    assert (await there.get(back)).status == 303
    browser.jar = jar
    again = await browser.get(back)
    assert (again.status, again.json()["type"]) == (400, "urn:latchgate:problem:state-invalid")
    assert len(two.corp.tokens) == 1


async def test_a_logout_token_used_at_one_is_refused_at_the_other(two: Two) -> None:
    token = f"logout_token={two.corp.logout_token()}".encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answers = [
        await each.get("/.gateway/backchannel/corp", method="POST", headers=form, body=token) for each in (two.one, two.other)
    ]
    assert [answer.status for answer in answers] == [200, 400]


async def test_claims_are_refreshed_once_for_all_replicas(two: Two) -> None:
    browser = Browser(two.one)
    await browser.login(two.corp)
    there = two.at(browser, two.other)
    assert (await there.get("/app/home")).status == 200
    for number in range(1, 4):
        two.clock.ahead += 61
        answers = await asyncio.gather(*(each.get("/app/home") for each in (browser, there) * 6))
        assert {answer.status for answer in answers} == {200}
        assert two.corp.refreshed == number
    two.corp.claims = {"groups": []}
    two.clock.ahead += 61
    assert {(await each.get("/app/home")).status for each in (there, browser)} == {403}


async def test_while_redis_is_away_known_sessions_go_on_for_a_stated_time_and_nobody_logs_in(
    two: Two, redis_server: RedisServer
) -> None:
    browser = Browser(two.one)
    await browser.login(two.corp)
    unknown = two.at(browser, two.other)
    begun = await browser.get("/.gateway/login?provider=corp", headers=PAGE)
    redis_server.kill()
    two.clock.ahead += 2
    assert (await browser.get("/app/home")).status == 200
    assert (await unknown.get("/app/home")).status == 503
    late = await browser.get(two.corp.authorised(begun["location"]))
    assert (late.status, late.json()["type"]) == (503, "urn:latchgate:problem:dependency-down")
    two.clock.ahead += 59
    assert (await browser.get("/app/home")).status == 503, "the claims are due, and nobody may refresh them alone"
    redis_server.start()
    begun = await browser.get("/.gateway/login?provider=corp", headers=PAGE)

    async def back() -> bool:
        return (await Browser(two.one).login(two.corp)).status == 303

    async with asyncio.timeout(60):
        while not await back():
            await asyncio.sleep(0.1)
    assert (await browser.get("/app/home")).status == 401, "Redis kept nothing"


async def test_what_redis_holds_names_nobody_and_opens_nothing(two: Two, redis_server: RedisServer) -> None:
    browser = Browser(two.one)
    await browser.login(two.corp)
    client = redis_server.client()
    held = b""
    for key in client.scan_iter("*"):
        held += key
        kind = client.type(key)
        held += repr(
            client.hgetall(key) if kind == b"hash" else client.zrange(key, 0, -1) if kind == b"zset" else client.get(key)
        ).encode()
    client.close()
    assert b"{latchgate}:session:" in held
    for secret in (b"alice", b"canary", b"staff", browser.jar[SESSION].encode()):
        assert secret not in held
