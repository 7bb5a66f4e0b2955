"""The portal of logins under pressure: foreign pages, floods of callbacks and of pairs, a store that fails half-way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Never
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
import pytest_asyncio

from gateway.authn.login.provider import Login, Provider
from gateway.core.errors import DependencyDown
from gateway.store.sessions import MemorySessions
from tests.house import House
from tests.login import (
    HOST,
    ORIGIN,
    PAGE,
    SESSION,
    Browser,
    ScriptedProvider,
    login_house,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
Shared = tuple[House, list[ScriptedProvider]]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FOREIGN = {"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site", **PAGE}


async def away(*_: Any, **__: Any) -> Never:
    raise DependencyDown("the store is away")


async def begun(browser: Browser, provider: ScriptedProvider) -> str:
    """Where the provider sends the browser back to."""
    reply = await browser.get(f"/.gateway/login?provider={provider.name}", headers=PAGE)
    assert reply.status == 303
    return provider.authorised(reply["location"])


async def test_a_foreign_page_logs_nobody_out(shared: Shared) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    await browser.login(corp)
    for cookie in ("x=y", f"{SESSION}={'A' * 43}", f"{SESSION}={browser.jar[SESSION]}"):
        reply = await browser.get("/.gateway/logout", method="POST", headers={**FOREIGN, "Cookie": cookie})
        assert (reply.status, reply.all("set-cookie")) == (403, [])
    assert (await browser.get("/app/home")).status == 200


async def test_a_logout_takes_back_only_the_cookie_that_came(shared: Shared) -> None:
    gateway, _ = shared
    for cookie, cleared in (("x=y", 0), (f"{SESSION}={'A' * 43}", 1)):
        headers = {"Origin": ORIGIN, "Cookie": cookie}
        reply = await gateway.get("/.gateway/logout", method="POST", headers=headers, host=HOST)
        assert (reply.status, len(reply.all("set-cookie"))) == (303, cleared)


async def test_a_logout_token_counts_when_it_is_sent_again_after_a_failure(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    await browser.login(corp)
    body = urlencode({"logout_token": corp.logout_token()}).encode()
    for broken, status in ((True, 503), (False, 200), (False, 400)):
        with monkeypatch.context() as patch:
            if broken:
                patch.setattr(MemorySessions, "tagged", away)
            reply = await gateway.get("/.gateway/backchannel/corp", method="POST", headers=FORM, body=body, host=HOST)
        assert reply.status == status
    assert (await browser.get("/app/home")).status == 401


async def test_a_provider_named_again_and_again_is_one(shared: Shared) -> None:
    gateway, _ = shared
    again = "provider=corp&" * 40
    assert (await gateway.get(f"/.gateway/login?{again}", headers=PAGE, host=HOST)).status == 303
    choice = await gateway.get(f"/.gateway/login?{again}provider=partner&rd=/{quote(chr(39) * 1400)}", headers=PAGE, host=HOST)
    assert (choice.status, choice.body.count(b"<a ")) == (200, 2)


async def test_more_pairs_than_anybody_needs_are_not_decoded(shared: Shared) -> None:
    gateway, _ = shared
    flood = "a&" * 32_000
    replies = [await gateway.get(f"/.gateway/{path}?{flood[:4000]}", host=HOST) for path in ("login", "callback/corp")]
    replies.append(await gateway.get("/.gateway/backchannel/corp", method="POST", headers=FORM, body=flood.encode(), host=HOST))
    assert [(reply.status, reply.json()["type"]) for reply in replies] == [(400, "urn:latchgate:problem:query-invalid")] * 3


async def test_a_login_at_another_host_is_misdirected(shared: Shared) -> None:
    gateway, _ = shared
    reply = await gateway.get("/.gateway/login?provider=corp", headers=PAGE, host="evil.test")
    assert (reply.status, reply.all("set-cookie")) == (421, [])


async def test_a_new_session_reaches_the_browser_though_the_old_one_cannot_be_removed(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    await browser.login(corp)
    before = browser.jar[SESSION]
    with monkeypatch.context() as patch:
        patch.setattr(MemorySessions, "remove", away)
        assert (await browser.login(corp)).status == 303
    assert browser.jar[SESSION] != before
    assert (await browser.get("/app/home")).status == 200
    assert (await browser.get("/app/home", headers={"Cookie": f"{SESSION}={before}"})).status == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_login_forced_by_another_site_asks_whoever_is_logged_in(shared: Shared, site: str) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    forced = "/.gateway/login?provider=corp&rd=/app/home"
    assert (await browser.get(forced, headers={**PAGE, "Sec-Fetch-Site": site})).status == 303, "nobody is logged in"
    browser.jar.clear()
    await browser.login(corp)
    mine = browser.jar[SESSION]
    page = await browser.get(forced, headers={**PAGE, "Sec-Fetch-Site": site})
    assert (page.status, page.body.count(b"<a "), browser.jar) == (200, 1, {SESSION: mine})
    clicked = await browser.get(forced, headers={**PAGE, "Sec-Fetch-Site": "same-origin"})
    assert clicked.status == 303


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({"code": ""}, (400, "state-invalid")),
        ({"code": "a\u00e9"}, (400, "state-invalid")),
        ({"code": "a" * 5000}, (400, "state-invalid")),
        ({"error": "access_denied"}, (401, "credential-invalid")),
        ({"iss": "https://x"}, (400, "state-invalid")),
    ],
)
async def test_callbacks_without_a_code_use_nothing_up(shared: Shared, over: dict[str, str], told: tuple[int, str]) -> None:
    gateway, [corp, _] = shared
    browser = Browser(gateway)
    back = await begun(browser, corp)
    jar, asked = dict(browser.jar), len(corp.tokens)
    query = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()} | over
    reply = await browser.get(f"{back.partition('?')[0]}?{urlencode(query)}")
    assert (reply.status, reply.json()["type"]) == (told[0], f"urn:latchgate:problem:{told[1]}")
    assert (len(browser.pending) > 0, len(corp.tokens)) == (False, asked)
    browser.jar = jar
    assert (await browser.get(back)).status == 303


async def test_a_flood_of_codes_is_not_passed_on_to_the_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.authn.login.turns.AT_ONCE", 1)
    monkeypatch.setattr("gateway.authn.login.turns.WAITING", 1)
    exchanged, go = Provider.exchanged, asyncio.Event()
    asking = 0

    async def slow(provider: Provider, code: str, **more: str) -> Login:
        nonlocal asking
        asking += 1
        assert asking == 1
        await go.wait()
        asking -= 1
        return await exchanged(provider, code, **more)

    async with login_house(tmp_path) as (gateway, [corp]):
        monkeypatch.setattr(Provider, "exchanged", slow)
        browsers = [Browser(gateway) for _ in range(3)]
        backs = [await begun(browser, corp) for browser in browsers]
        tasks = [asyncio.create_task(browser.get(back)) for browser, back in zip(browsers, backs, strict=True)]
        [refused], waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        reply = refused.result()
        assert (reply.status, reply.json()["type"]) == (503, "urn:latchgate:problem:overloaded")
        go.set()
        assert [(await task).status for task in waiting] == [303, 303]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    async with login_house(tmp_path_factory.mktemp("logins"), "corp", "partner") as made:
        yield made


@pytest.fixture
def shared(running: Shared) -> Shared:
    """One gateway for all."""
    return running
