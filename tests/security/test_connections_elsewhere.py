"""Connections over two replicas with a real Redis, with strict cookies, with detection on, and with a tunnel open."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.connecting import BASE, Person, Place, accounts, connecting_replica
from tests.frames import RawUpstream, handshake, status_of
from tests.login import ORIGIN, PAGE, providers
from tests.redis_server import RedisServer
from tests.standalone import until

STATE = "__Host-gateway-connect"


async def test_a_state_used_at_one_replica_is_refused_at_the_other(tmp_path: Path, redis_server: RedisServer) -> None:
    redis = {"store": {"redis": {"url": redis_server.url}}}
    shared = {"state": redis, "rate_limits": redis, "database": {"file": str(tmp_path / "shared.db")}}
    async with AsyncExitStack() as stack:
        [corp] = await stack.enter_async_context(providers("corp"))
        made = await stack.enter_async_context(accounts("tracker"))
        one, other = [
            await stack.enter_async_context(connecting_replica(tmp_path / name, corp, made, over=shared))
            for name in ("one", "other")
        ]
        place = Place(one, corp, made)
        alice = await place.person("alice")
        back = place.tracker.authorised(await alice.begun())
        there = Person(other)
        there.jar = dict(alice.jar)
        done = await alice.get(back, headers=PAGE)
        assert (done.status, done["location"]) == (303, f"{ORIGIN}{BASE}")
        again = await there.get(back, headers=PAGE)
        assert (again.status, again.json()["type"]) == (400, "urn:latchgate:problem:state-invalid")
        assert len(place.tracker.posted("/token")) == 1
        assert (await there.get("/app/x")).status == 200, "what was connected at one is used at the other"
        assert (await alice.form(f"{BASE}/tracker/disconnect")).status == 303
        assert (await alice.get("/app/x")).status == 403
        redis_server.kill()
        late = await alice.get(place.tracker.authorised(await alice.begun()), headers=PAGE)
        assert (late.status, late.json()["type"]) == (503, "urn:latchgate:problem:dependency-down")
        assert len(place.tracker.posted("/token")) == 1, "what cannot be used once is not used"


async def test_with_a_strict_cookie_the_browser_comes_back_by_a_page_of_ours(tmp_path: Path) -> None:
    """A browser sends no strict cookie with a redirect that began at the provider."""
    strict = {"sessions": {"base_url": ORIGIN, "key": {"env": "SESSION_KEY"}, "same_site": "strict"}}
    async with AsyncExitStack() as stack:
        [corp] = await stack.enter_async_context(providers("corp"))
        made = await stack.enter_async_context(accounts("tracker"))
        authentication = {"login": {"corp": corp.entry()}, **strict, "jwt": {}}
        routes = [
            {"name": "app", "match": {"path": "/app/**"}, "upstream": "api", "authenticate": ["login.corp"], "credential": "own"}
        ]
        over = {"authentication": authentication, "routes": routes}
        gateway = await stack.enter_async_context(connecting_replica(tmp_path, corp, made, over=over))
        place, person = Place(gateway, corp, made), Person(gateway)
        assert (await person.login(corp)).status == 200, "a page, for the same reason"
        back = place.tracker.authorised(await person.begun())
        sent = {**PAGE, "Sec-Fetch-Site": "cross-site", "Cookie": f"{STATE}={person.jar[STATE]}"}
        page = await person.get(back, headers=sent)
        assert (page.status, page.get("set-cookie"), page["referrer-policy"]) == (200, None, "no-referrer")
        assert back.replace("&", "&amp;") in page.body.decode()
        assert (await person.get(back, headers={**PAGE, "Sec-Fetch-Site": "same-origin"})).status == 303
        assert (await person.get("/app/x")).status == 200


async def test_a_tunnel_with_a_persons_token_ends_with_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 108. It was opened with a token that is nobody's to use any more."""
    monkeypatch.setattr("gateway.tunnels.REVIEW", 3600.0)
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(RawUpstream())
        [corp] = await stack.enter_async_context(providers("corp"))
        made = await stack.enter_async_context(accounts("tracker"))
        target = {"url": f"http://127.0.0.1:{upstream.port}", "allow_plaintext": True, "allow_private": True}
        route = {"match": {"path": "/app/**"}, "upstream": "api", "authenticate": ["login.corp"], "credential": "own"}
        over = {"upstreams": {"api": target}, "routes": [{"name": "app", "websocket": {"origins": [ORIGIN]}, **route}]}
        gateway = await stack.enter_async_context(connecting_replica(tmp_path, corp, made, over=over))
        place = Place(gateway, corp, made)
        person = await place.person("alice")
        assert (await person.connected(place.tracker)).status == 303
        cookie = "; ".join(f"{name}={value}" for name, value in person.jar.items())
        client = await upstream.asked(gateway.address(), handshake("/app/socket", f"Cookie: {cookie}", f"Origin: {ORIGIN}"))
        assert status_of(client.head) == 101
        server = await upstream.side()
        assert (await person.form(f"{BASE}/tracker/disconnect")).status == 303
        assert (await client.frame()).code == 1008
        client.close()
        server.close()

        async def is_told() -> bool:
            return any(event["path"] == "/app/socket" for event in await gateway.requests())

        await until(is_told, "no audit event was written")
        [event] = [event for event in await gateway.requests() if event["path"] == "/app/socket"]
        assert event["error"] == "upstream-credential-missing"
