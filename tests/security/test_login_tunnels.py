"""A WebSocket that a session opened lives no longer than the session, and no longer than its claims allow."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.authn.login import sessions
from tests.frames import TEXT, RawUpstream, Side, frame, handshake, status_of
from tests.house import House
from tests.login import ORIGIN, Browser, Moved, ScriptedProvider, providers, replica
from tests.redis_server import RedisServer
from tests.standalone import until


@pytest.fixture(autouse=True)
def no_review(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here waits for the review that all tunnels have now and then."""
    monkeypatch.setattr("gateway.tunnels.REVIEW", 3600.0)


@dataclass
class Opened:
    """Gateways with logins in front of a server that takes WebSockets."""

    upstream: RawUpstream
    gateways: list[House]
    corp: ScriptedProvider
    clock: Moved
    servers: list[Side] = field(default_factory=list)

    async def browser(self) -> Browser:
        """One that logged in."""
        made = Browser(self.gateways[0])
        assert (await made.login(self.corp)).status == 303
        return made

    async def tunnel(self, browser: Browser, gateway: House | None = None) -> Side:
        cookie = "; ".join(f"{name}={value}" for name, value in browser.jar.items())
        request = handshake("/app/socket", f"Cookie: {cookie}", f"Origin: {ORIGIN}")
        client = await self.upstream.asked((gateway or self.gateways[0]).address(), request)
        assert status_of(client.head) == 101, client.head
        self.servers.append(await self.upstream.side())
        return client


@asynccontextmanager
async def opened(folder: Path, *names: str, **over: Any) -> AsyncIterator[Opened]:
    clock = Moved()
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(RawUpstream())
        made = await stack.enter_async_context(providers("corp"))
        target = {"url": f"http://127.0.0.1:{upstream.port}", "allow_plaintext": True, "allow_private": True}
        over = {"upstreams": {"plain": target, "api": {**target, "credential": "bot"}}, **over}
        gateways = [
            await stack.enter_async_context(replica(folder / name, made, over=over, clock=clock, refresh="60s"))
            for name in names or ("one",)
        ]
        yield Opened(upstream, gateways, made[0], clock)


async def over(client: Side, gateway: House) -> tuple[int, str]:
    """The code of its close, and what the audit trail says of it."""
    code = (await client.frame()).code
    client.close()
    found: list[dict[str, Any]] = []

    async def written() -> bool:
        found[:] = [event for event in await gateway.requests() if event["path"] == "/app/socket"]
        return bool(found)

    await until(written, "no audit event was written")
    return code, found[0]["error"]


@pytest.mark.parametrize("how", ["logout", "its owner", "the provider", "too old"])
async def test_row_108_a_session_that_is_over_ends_its_tunnels_with_1008_and_no_others(tmp_path: Path, how: str) -> None:
    async with opened(tmp_path) as house:
        [gateway] = house.gateways
        house.corp.claims = {"sid": "sid-other"}
        kept = await house.browser()
        house.corp.claims = {}
        browser = await house.browser()
        other, client = await house.tunnel(kept), await house.tunnel(browser)
        if how == "logout":
            assert (await browser.write("/.gateway/logout")).status == 303
        elif how == "its owner":
            name = (await browser.whoami())["session"]
            assert (await kept.write(f"/.gateway/sessions/{name}", method="DELETE")).status == 204
        elif how == "the provider":
            form, body = {"Content-Type": "application/x-www-form-urlencoded"}, f"logout_token={house.corp.logout_token(sub=None)}"
            told = await gateway.get("/.gateway/backchannel/corp", method="POST", headers=form, body=body.encode())
            assert told.status == 200
        else:
            house.clock.ahead += 86401
        assert await over(client, gateway) == (1008, "credential-expired")
        assert (await house.servers[1].frame()).code == 1008
        if how != "too old":
            await other.send(frame(b"still here", kind=TEXT))
            assert (await house.servers[0].frame()).payload == b"still here"


async def test_claims_refreshed_to_other_groups_end_the_tunnel_with_1008(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        client = await house.tunnel(await house.browser())
        house.corp.claims = {"groups": ["guests"]}
        house.clock.ahead += 61
        assert await over(client, house.gateways[0]) == (1008, "policy-denied")
        assert house.corp.refreshed == 1


async def test_a_session_ended_at_one_replica_ends_its_tunnels_at_the_other(tmp_path: Path, redis_server: RedisServer) -> None:
    state = {"store": {"redis": {"url": redis_server.url}}}
    async with opened(tmp_path, "one", "other", state=state) as house:
        browser = await house.browser()
        client = await house.tunnel(browser, house.gateways[1])
        assert (await browser.write("/.gateway/logout")).status == 303
        assert await over(client, house.gateways[1]) == (1008, "credential-expired")


async def test_many_tunnels_of_one_session_cost_the_store_one_look_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as house:
        browser = await house.browser()
        clients = [await house.tunnel(browser) for _ in range(8)]
        from gateway.store.sessions import MemorySessions

        looks, get = 0, MemorySessions.get

        async def counted(self: MemorySessions, id: str) -> Any:
            nonlocal looks
            looks += 1
            return await get(self, id)

        monkeypatch.setattr(MemorySessions, "get", counted)
        began = time.monotonic()

        async def looked() -> bool:
            return looks >= 3

        await until(looked, "nobody looks after the session")
        assert looks <= (time.monotonic() - began) / sessions.FRESH + 1
        for number, client in enumerate(clients):
            await client.send(frame(b"%d" % number, kind=TEXT))
        assert await asyncio.gather(*[each.frame() for each in house.servers])
