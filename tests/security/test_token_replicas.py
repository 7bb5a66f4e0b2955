"""The token service of two replicas that share a Redis: what was used or taken back at one is so at the other. Named after the attack."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest

from gateway.authn.own.verifier import Own
from gateway.store import redis_once, redis_revoked, redis_tally
from tests.house import House, house
from tests.redis_server import RedisServer
from tests.standalone import until
from tests.tokening import API, ISSUER, SECRETS, basic, stated

POLICY = """
apiVersion: gateway/v1
kind: Policy
name: all
routes: ["*"]
rules: [{name: all, allow: any}]
"""
ROLES = "apiVersion: gateway/v1\nkind: Roles\nroles: {}\nbindings: []\n"


class Two(NamedTuple):
    """Two replicas."""

    one: House
    other: House


def own(gateway: House) -> Own:
    [(_, authentication)] = gateway.process.resources.authentication
    assert authentication.own is not None
    return authentication.own


@pytest.fixture
async def two(request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Two]:
    stale = getattr(request, "param", "60s")
    over: dict[str, Any] = {
        "state": {"store": {"redis": {"url": redis_server.url}}},
        "authentication": {},
        "tokens": {"issuer": ISSUER, "key": {"env": "MASTER"}, "audience": API, "stale": stale},
        "clients": {"reports": {"secret": {"env": "REPORTS"}, "grants": ["client_credentials"]}},
        "routes": [{"name": "all", "match": {"path": "/all"}, "upstream": "plain", "authenticate": ["tokens"]}],
    }
    environ = {name: value.decode() for name, value in SECRETS.items()}
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for store in (redis_once, redis_revoked, redis_tally):
            patch.setattr(store, "TIMEOUT", 60)  # a machine that stands still is no Redis that does
        made = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            made.append(
                await stack.enter_async_context(house(tmp_path / name, policy=POLICY, roles=ROLES, environ=environ, **over))
            )
        yield Two(*made)


async def given(gateway: House, **form: Any) -> str:
    name, value = basic("reports", "REPORTS")
    headers = {name.decode(): value.decode(), "Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"grant_type": "client_credentials", **form}).encode()
    reply = await gateway.get("/.gateway/token", method="POST", headers=headers, body=body)
    assert reply.status == 200
    found: str = json.loads(reply.body)["access_token"]
    return found


async def status(gateway: House, token: str) -> int:
    return (await gateway.get("/all", token=token)).status


async def counts(gateway: House, token: str) -> None:
    """Once the replica hears what was revoked."""

    async def known() -> bool:
        return await status(gateway, token) == 200

    await until(known, "no token counts")


async def test_a_token_revoked_on_one_replica_is_refused_on_the_other(two: Two) -> None:
    token = await given(two.one)
    for gateway in two:
        await counts(gateway, token)
    await own(two.one).revoked.revoke(stated(token)["jti"], 900)
    assert await status(two.one, token) == 401

    async def refused() -> bool:
        return await status(two.other, token) == 401

    await until(refused, "the other replica has not heard")
    await counts(two.other, await given(two.one))


async def test_a_budget_is_not_overrun_at_two_replicas(two: Two) -> None:
    for gateway in two:
        await counts(gateway, await given(two.one))
    token = await given(two.one, budget="3")
    found = [await status(gateway, token) for gateway in (*two, *two, *two)]
    assert found == [200, 200, 200, 401, 401, 401]


@pytest.mark.parametrize("two", ["1s"], indirect=True)
async def test_while_redis_is_away_nothing_is_revoked_and_after_a_stated_time_no_token_counts(
    two: Two, redis_server: RedisServer
) -> None:
    token, counted = await given(two.one), await given(two.one, budget="3")
    await counts(two.one, token)
    redis_server.kill()
    assert await status(two.one, counted) == 503

    async def blind() -> bool:
        return await status(two.one, token) == 503

    await until(blind, "tokens count without end")
    redis_server.start()
    await counts(two.one, token)
