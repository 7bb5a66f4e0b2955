"""A real Chromium at a gateway with TLS and a real OpenID provider: login, use, logout, what other sites try; its own cookie jar."""

import asyncio
import json
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.external.chromium import NAMES, Chromium, Tab, chromium
from tests.external.oidc import CLIENT_SECRET, OpenIdProvider, openid_provider
from tests.granting import KEY as VAULT_KEY
from tests.house import House, Seen, house, read_request
from tests.login import KEY, POLICY, ROLES, SESSION
from tests.pki import Pki

pytestmark = pytest.mark.asyncio(loop_scope="module")
LAX, STRICT, SIBLING, EVIL = "gw.test", "strict.test", "apps.gw.test", "evil.test"
BACK = ("callback/corp", "connections/tracker/callback")
HOME = f"https://{LAX}/app/home"
PRIVATE = "the private page"
JWT = re.compile(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+")


@dataclass(frozen=True)
class Scene:
    """A browser; gateways with lax and strict cookies; the provider of both."""

    browser: Chromium
    gateways: dict[str, House]
    provider: OpenIdProvider

    async def login(self, name: str, host: str = LAX) -> tuple[Tab, str]:
        """Somebody who types the address of the private page, is sent to the provider and comes back; his tab and his profile."""
        person = await self.browser.person()
        tab = await self.browser.tab(person)
        await self.enter(tab, name, f"https://{host}/app/home")
        return tab, person

    async def enter(self, tab: Tab, name: str, url: str) -> None:
        await tab.go(url)
        await tab.until("document.querySelector('[name=login]')")
        await tab.submit(login=name, password="x")
        await tab.until("document.body.innerText.includes('Authorize') && !document.querySelector('[name=login]')")
        await tab.submit()
        await tab.until(f"location.href === '{url}'")

    def reached(self, host: str = LAX) -> list[Seen]:
        """What came to the application behind a gateway."""
        return self.gateways[host].upstream.seen


def private(seen: Seen) -> bytes:
    """The application: a page like any, or what a write gives."""
    page = f"<!doctype html><title>app</title><h1>{PRIVATE}</h1>".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page) + page


PAGES = {
    "/post": f'<form method="post" action="https://{LAX}/app/things"><input name="a" value="b"></form>',
    "/logout": f'<form method="post" action="https://{LAX}/.gateway/logout"><input name="a" value="b"></form>',
    "/link": f'<a href="https://{STRICT}/app/home">go</a>',
    "/frame": f'<iframe src="{HOME}"></iframe>',
}


async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Another origin's pages."""
    seen = await read_request(reader)
    body = PAGES.get(seen.target, "").encode() if seen is not None else b""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    writer.write(head + body)
    await writer.drain()
    writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, node: str) -> AsyncIterator[Scene]:
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    assert program, "a Chromium is missing: `make test` installs it"
    pki = Pki(tmp_path_factory.mktemp("pki"))
    pki.serve(LAX, STRICT, SIBLING, EVIL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.certificate, pki.key)
    async with AsyncExitStack() as stack:
        client = {
            "redirect_uris": [f"https://{host}/.gateway/{path}" for host in (LAX, STRICT) for path in BACK],
            "post_logout_redirect_uris": [f"https://{host}/" for host in (LAX, STRICT)],
        }
        provider = await stack.enter_async_context(openid_provider(node, tmp_path_factory.mktemp("provider"), **client))
        gateways = {
            host: await stack.enter_async_context(gateway(tmp_path_factory.mktemp(site), host, site, provider, pki))
            for host, site in ((LAX, "lax"), (STRICT, "strict"))
        }
        for each in gateways.values():
            each.upstream.answer = private
        server = await stack.enter_async_context(await asyncio.start_server(elsewhere, "127.0.0.1", 0, ssl=context))
        port = server.sockets[0].getsockname()[1]
        hosts = {host: each.address()[1] for host, each in gateways.items()} | {SIBLING: port, EVIL: port}
        running = chromium(program, tmp_path_factory.mktemp("chromium"), hosts, pki.certificate)
        yield Scene(await stack.enter_async_context(running), gateways, provider)


def gateway(folder: Path, host: str, site: str, provider: OpenIdProvider, pki: Pki) -> Any:
    entry = {
        "issuer": f"http://127.0.0.1:{provider.port}",
        "client_id": "gateway",
        "client_secret": {"env": "CLIENT_SECRET"},
        "scopes": ["openid", "offline_access"],
        "prompt": "consent",
        "allow_plaintext": True,
        "allow_private": True,
    }
    sessions = {"base_url": f"https://{host}", "key": {"env": "SESSION_KEY"}, "same_site": site}
    tracker = {
        "kind": "oauth",
        "token_url": f"{entry['issuer']}/token",
        "client": {"id": "gateway", "secret": {"env": "CLIENT_SECRET"}},
        "dial": {"allow_plaintext": True, "allow_private": True},
        "connect": {
            "authorize_url": f"{entry['issuer']}/auth?prompt=consent",
            "account_url": f"{entry['issuer']}/me",
            "scopes": ["openid"],
        },
    }
    return house(
        folder,
        policy=POLICY,
        roles=ROLES,
        environ={"CLIENT_SECRET": CLIENT_SECRET, "SESSION_KEY": KEY, "VAULT_KEY": VAULT_KEY},
        vault={"keys": [{"id": "k1", "env": "VAULT_KEY"}]},
        database={"file": str(folder / "store.db")},
        providers={"tracker": tracker},
        authentication={"login": {"corp": entry}, "sessions": sessions},
        routes=[{"name": "app", "match": {"path": "/app/**"}, "upstream": "api", "authenticate": ["login.corp"]}],
        detection={"rules": []},
        listen={"address": "127.0.0.1:0", "tls": {"certificate": str(pki.certificate), "key": {"file": str(pki.key)}}},
    )


WRITE = "fetch('/app/things', {method: 'POST', headers: %s}).then(answer => answer.status)"
CSRF = "fetch('/.gateway/session').then(answer => answer.json()).then(told => told.csrf_token)"


async def test_a_browser_logs_in_and_holds_one_cookie_and_no_token(scene: Scene) -> None:
    tab, alice = await scene.login("alice")
    assert await tab.run("document.body.innerText") == PRIVATE
    [cookie] = (await scene.browser.jar(alice, LAX)).values()
    expected = {"name": SESSION, "domain": LAX, "path": "/", "secure": True, "httpOnly": True, "sameSite": "Lax"}
    assert expected.items() <= cookie.items()
    assert await tab.run("document.cookie + localStorage.length + sessionStorage.length") == "00"
    told = await tab.run("fetch('/.gateway/session').then(answer => answer.text())")
    assert json.loads(told)["subject"] == "alice"
    given = await scene.provider.told("tokens")
    everything = await tab.seen() + told + json.dumps(cookie) + str(await tab.run("document.documentElement.outerHTML"))
    assert PRIVATE in everything
    assert cookie["value"] in everything, "set-cookie is among what was looked through"
    assert len(given) >= 2
    assert not [token for token in [*given, CLIENT_SECRET] if token in everything]
    assert not JWT.search(everything)


async def test_a_write_needs_the_sessions_token(scene: Scene) -> None:
    tab, _ = await scene.login("bob")
    token = await tab.run(CSRF)
    before = len(scene.reached())
    assert await tab.run(WRITE % "{}") == 403
    assert await tab.run(WRITE % json.dumps({"X-CSRF-Token": "0" * len(token)})) == 403
    assert len(scene.reached()) == before
    assert await tab.run(WRITE % json.dumps({"X-CSRF-Token": token})) == 200
    assert [seen.method for seen in scene.reached()[before:]] == ["POST"]


@pytest.mark.parametrize(
    ("origin", "status"), [(EVIL, 401), (SIBLING, 403)], ids=["another site", "a sibling, which the cookie is sent for"]
)
async def test_a_form_of_another_origin_changes_nothing_and_logs_nobody_out(scene: Scene, origin: str, status: int) -> None:
    tab, person = await scene.login("carol")
    before = len(scene.reached())
    for page, target in (("/post", "/app/things"), ("/logout", "/.gateway/logout")):
        await tab.go(f"https://{origin}{page}")
        await tab.run("document.forms[0].submit()")
        await tab.until(f"location.href === 'https://{LAX}{target}'")
        text = json.loads(await tab.run("document.body.innerText"))
        assert text["status"] == (status if page == "/post" else 403)
    assert len(scene.reached()) == before
    assert SESSION in await scene.browser.jar(person, LAX)
    await tab.go(HOME)
    await tab.until(f"document.body.innerText === '{PRIVATE}'")


@pytest.mark.parametrize("origin", [EVIL, SIBLING])
async def test_no_other_origin_frames_a_page(scene: Scene, origin: str) -> None:
    tab, _ = await scene.login("dora")
    await tab.go(f"https://{origin}/frame")
    entry = (await tab.event("Log.entryAdded", lambda told: "Framing" in told["entry"]["text"]))["entry"]["text"]
    assert (f"https://{LAX}/" in entry, "frame-ancestors 'none'" in entry, "blocked" in entry) == (True, True, True)


@pytest.mark.parametrize("host", [LAX, STRICT])
async def test_after_a_logout_the_jar_is_empty_and_back_shows_nothing(scene: Scene, host: str) -> None:
    tab, person = await scene.login("erin", host)
    token = await tab.run(CSRF)
    shown = await tab.ask("Page.getNavigationHistory")
    form = f'<form method="post" action="/.gateway/logout"><input name="csrf_token" value="{token}"></form>'
    await tab.run(f"document.body.innerHTML = {json.dumps(form)}; document.forms[0].submit()")
    await tab.until("document.querySelector('[name=logout]')")
    await tab.submit()
    await tab.until(f"location.href === 'https://{host}/'")
    assert await scene.browser.jar(person, host) == {}
    await tab.ask("Page.navigateToHistoryEntry", entryId=shown["entries"][shown["currentIndex"]]["id"])
    await tab.until("document.querySelector('[name=login]')")
    assert PRIVATE not in await tab.run("document.documentElement.outerHTML")


async def test_a_strict_cookie_logs_in_and_is_not_sent_where_another_site_leads(scene: Scene) -> None:
    tab, person = await scene.login("frank", STRICT)
    assert await tab.run("document.body.innerText") == PRIVATE
    [cookie] = (await scene.browser.jar(person, STRICT)).values()
    assert (cookie["name"], cookie["sameSite"], cookie["httpOnly"], cookie["secure"]) == (SESSION, "Strict", True, True)
    before = len(scene.reached(STRICT))
    await tab.go(f"https://{EVIL}/link")
    await tab.run("document.links[0].click()")
    await tab.until("document.body.innerText.includes('Authorize')")
    assert len(scene.reached(STRICT)) == before


@pytest.mark.parametrize("host", [LAX, STRICT])
async def test_an_account_is_connected_and_disconnected_by_plain_forms(scene: Scene, host: str) -> None:
    """`form-action` stops no one on the way to the provider, and a strict cookie comes along on the way back."""
    tab, person = await scene.login("gina", host)
    await tab.go(f"https://{host}/.gateway/connections/tracker/connect")
    await tab.until("document.body.innerText.includes('Connect tracker')")
    await tab.submit()
    await tab.until("document.body.innerText.includes('Authorize')")
    await tab.submit()
    await tab.until(f"location.href === 'https://{host}/.gateway/connections'")
    assert "connected" in await tab.run("document.body.innerText")
    assert "gina" in await tab.run("document.body.innerText")
    assert list(await scene.browser.jar(person, host)) == [SESSION]
    await tab.submit()
    await tab.until("document.body.innerText.includes('none')")
