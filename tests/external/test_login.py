"""Logins at a real OpenID provider (oidc-provider), two of them at once: login, use, refresh, logout both ways, and attacks."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
import pytest
import pytest_asyncio

from tests.external.oidc import CLIENT_SECRET, OpenIdProvider, openid_provider, unused_port
from tests.house import House, Reply, house
from tests.login import KEY, ORIGIN, PAGE, POLICY, ROLES, SESSION, Browser, Moved

pytestmark = pytest.mark.asyncio(loop_scope="module")
Place = tuple[House, dict[str, OpenIdProvider], Moved]


def entry(provider: OpenIdProvider) -> dict[str, Any]:
    return {
        "issuer": f"http://127.0.0.1:{provider.port}",
        "client_id": "gateway",
        "client_secret": {"env": "CLIENT_SECRET"},
        "scopes": ["openid", "offline_access"],
        "prompt": "consent",
        "refresh": "60s",
        "allow_plaintext": True,
        "allow_private": True,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, node: str) -> AsyncIterator[Place]:
    clock = Moved()
    async with AsyncExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setattr("gateway.process.SystemClock", lambda: clock)
        made, port = {}, unused_port()
        for name in ("corp", "partner"):
            client: dict[str, Any] = {
                "redirect_uris": [f"{ORIGIN}/.gateway/callback/{name}"],
                "post_logout_redirect_uris": [f"{ORIGIN}/"],
            }
            client["backchannel_logout_uri"] = f"http://127.0.0.1:{port}/.gateway/backchannel/{name}"
            client["backchannel_logout_session_required"] = True
            made[name] = await stack.enter_async_context(openid_provider(node, tmp_path_factory.mktemp(name), **client))
        routes = [
            {"name": "app", "match": {"path": "/app/**"}, "upstream": "api", "authenticate": ["login.corp"]},
            {"name": "app.both", "match": {"path": "/both/**"}, "upstream": "api", "authenticate": ["login.corp", "login.partner"]},
        ]
        authentication = {
            "login": {name: entry(provider) for name, provider in made.items()},
            "sessions": {"base_url": ORIGIN, "key": {"env": "SESSION_KEY"}},
        }
        environ = {"CLIENT_SECRET": CLIENT_SECRET, "SESSION_KEY": KEY}
        folder = tmp_path_factory.mktemp("gateway")
        running = house(
            folder,
            policy=POLICY,
            roles=ROLES,
            environ=environ,
            authentication=authentication,
            routes=routes,
            detection={"rules": []},
            listen={"address": f"127.0.0.1:{port}"},
        )
        yield await stack.enter_async_context(running), made, clock


class Person:
    """Somebody with a browser: its pages of the gateway, and those of the provider."""

    def __init__(self, gateway: House, name: str) -> None:
        self.browser = Browser(gateway)
        self.name = name
        self.jar = httpx.Cookies()

    async def ask(self, url: str, form: dict[str, str] | None = None) -> httpx.Response:
        """What the provider answers; its cookies are kept."""
        async with httpx.AsyncClient(timeout=30, cookies=self.jar) as client:
            answer = await (client.get(url) if form is None else client.post(url, data=form))
            self.jar = client.cookies
        return answer

    async def back(self, location: str) -> str:
        """Log in and consent where the gateway sent us; where the provider sends us then."""
        page = await self.followed(await self.ask(location))
        for form in ({"prompt": "login", "login": self.name, "password": "x"}, {"prompt": "consent"}):
            if not page.startswith(ORIGIN):
                page = await self.followed(await self.ask(page, form))
        return page

    async def followed(self, answer: httpx.Response) -> str:
        while answer.is_redirect:
            target = urljoin(str(answer.url), answer.headers["location"])
            if target.startswith(ORIGIN):
                return target
            answer = await self.ask(target)
        return str(answer.raise_for_status().url)

    async def login(self, provider: str = "corp") -> Reply:
        begun = await self.browser.get(f"/.gateway/login?provider={provider}&rd=/app/home", headers=PAGE)
        assert begun.status == 303, begun.body
        return await self.browser.get(await self.back(begun["location"]), headers=PAGE)


async def test_people_log_in_use_a_session_and_log_out(place: Place) -> None:
    gateway, made, _ = place
    alice = Person(gateway, "alice")
    sent = await alice.browser.get("/app/home", headers=PAGE)
    begun = await alice.browser.get(sent["location"], headers=PAGE)
    asked = parse_qs(urlsplit(begun["location"]).query)
    assert (asked["code_challenge_method"], asked["response_type"]) == (["S256"], ["code"])
    done = await alice.browser.get(await alice.back(begun["location"]), headers=PAGE)
    assert (done.status, done.get("location")) == (303, f"{ORIGIN}/app/home"), done.body
    assert (await alice.browser.get("/app/home")).status == 200
    who = await alice.browser.whoami()
    assert (who["subject"], who["issuer"]) == ("alice", "corp")
    out = await alice.browser.write("/.gateway/logout")
    assert (out.status, alice.browser.jar) == (303, {})
    page = await alice.ask(out["location"])
    assert page.status_code == 200, page.text
    assert "id_token_hint" not in out["location"]
    assert f"http://127.0.0.1:{made['corp'].port}/session/end" in out["location"]


async def test_a_logout_at_the_provider_ends_the_session_here(place: Place) -> None:
    gateway, made, _ = place
    dave, erin = Person(gateway, "dave"), Person(gateway, "erin")
    assert (await dave.login()).status == (await erin.login()).status == 303
    assert [(await each.browser.get("/app/home")).status for each in (dave, erin)] == [200, 200]
    page = await dave.ask(f"http://127.0.0.1:{made['corp'].port}/session/end")
    form = dict(re.findall(r'name="(xsrf)" value="([^"]+)"', page.text))
    await dave.ask(f"http://127.0.0.1:{made['corp'].port}/session/end/confirm", {**form, "logout": "yes"})
    async with asyncio.timeout(60):
        while (await dave.browser.get("/app/home")).status == 200:
            await asyncio.sleep(0.05)
    assert [(await each.browser.get("/app/home")).status for each in (dave, erin)] == [401, 200]
    ended = [event for event in await gateway.events() if event["event"] == "session.ended"]
    assert ended[-1]["cause"] == "the provider ended it"


async def test_two_providers_at_once_are_told_apart(place: Place) -> None:
    gateway, _, _ = place
    alice, bob = Person(gateway, "alice"), Person(gateway, "bob")
    assert (await alice.login("corp")).status == (await bob.login("partner")).status == 303
    assert [(await each.browser.whoami())["issuer"] for each in (alice, bob)] == ["corp", "partner"]
    assert [(await each.browser.get("/both/x")).status for each in (alice, bob)] == [200, 200]
    assert [(await each.browser.get("/app/x")).status for each in (alice, bob)] == [200, 401]


async def test_a_group_that_is_taken_away_ends_access_at_the_next_refresh(place: Place) -> None:
    gateway, made, clock = place
    carol = Person(gateway, "carol")
    assert (await carol.login()).status == 303
    assert (await carol.browser.get("/app/home")).status == 200
    clock.ahead += 61
    assert (await carol.browser.get("/app/home")).status == 200
    await made["corp"].told("groups/carol")
    clock.ahead += 61
    assert (await carol.browser.get("/app/home")).status == 403
    assert (await made["corp"].told("grants/carol"))["refreshed"] == 2


async def test_attacks_on_the_way_back_are_refused(place: Place) -> None:
    gateway, _, _ = place
    mallory, victim = Person(gateway, "mallory"), Person(gateway, "victim")
    begun = await mallory.browser.get("/.gateway/login?provider=corp", headers=PAGE)
    back, jar = await mallory.back(begun["location"]), dict(mallory.browser.jar)
    assert (await victim.browser.get(back)).status == 400, "state of another browser"
    begun = await victim.browser.get("/.gateway/login?provider=corp", headers=PAGE)
    theirs = {name: values[0] for name, values in parse_qs(urlsplit(await victim.back(begun["location"])).query).items()}
    stolen = parse_qs(urlsplit(back).query)["code"][0]
    injected = f"{ORIGIN}/.gateway/callback/corp?{urlencode({**theirs, 'code': stolen})}"
    assert (await victim.browser.get(injected)).status == 401, "a code of another login"
    assert (await mallory.browser.get(back.replace("callback/corp", "callback/partner"))).status == 400, "mixed up"
    mallory.browser.jar = dict(jar)
    assert (await mallory.browser.get(back)).status == 303, "her own login is her own"
    mallory.browser.jar = jar
    assert (await mallory.browser.get(back)).status == 400, "used before"
    assert SESSION not in victim.browser.jar
