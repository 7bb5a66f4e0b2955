"""An account at a real provider (oidc-provider) that a person connects in the browser: used, refreshed, widened, ended there as well."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import pytest_asyncio

from tests.connecting import BASE, ENVIRON, FORM, HIDDEN, HTML
from tests.external.oidc import CLIENT_SECRET, OpenIdProvider, openid_provider
from tests.external.test_login import Person, entry
from tests.house import House, Reply, house
from tests.login import KEY, ORIGIN, PAGE, POLICY, ROLES

pytestmark = pytest.mark.asyncio(loop_scope="module")
Place = tuple[House, OpenIdProvider]


def configured(provider: OpenIdProvider, file: str) -> dict[str, Any]:
    """The same provider logs people in and has their accounts; its API takes the tokens and tells whose they are."""
    issuer = f"http://127.0.0.1:{provider.port}"
    places = {"authorize_url": f"{issuer}/auth?prompt=consent", "account_url": f"{issuer}/me", "issuer": issuer}
    tracker = {
        "kind": "oauth",
        "token_url": f"{issuer}/token",
        "client": {"id": "gateway", "secret": {"env": "CLIENT_SECRET"}},
        "dial": {"allow_plaintext": True, "allow_private": True},
        "connect": {**places, "revoke_url": f"{issuer}/token/revocation", "scopes": ["openid", "offline_access"]},
    }
    own = {"upstream": "tracker", "authenticate": ["login.corp"]}
    return {
        "authentication": {
            "login": {"corp": entry(provider)},
            "sessions": {"base_url": ORIGIN, "key": {"env": "SESSION_KEY"}},
        },
        "vault": {"keys": [{"id": "k1", "env": "VAULT_KEY"}]},
        "database": {"file": file},
        "providers": {"tracker": tracker},
        "credentials": {"own": {"inject": "grant", "provider": "tracker"}},
        "upstreams": {
            "tracker": {
                "url": f"http://127.0.0.1:{provider.api}",
                "credential": "own",
                "allow_plaintext": True,
                "allow_private": True,
            }
        },
        "routes": [
            {"name": "app", "match": {"path": "/app/**"}, **own},
            {"name": "app.notes", "match": {"path": "/notes/**"}, "requires_scopes": ["notes:read"], **own},
        ],
        "detection": {"rules": []},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, node: str) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        client = {"redirect_uris": [f"{ORIGIN}/.gateway/callback/corp", f"{ORIGIN}{BASE}/tracker/callback"]}
        provider = await stack.enter_async_context(openid_provider(node, tmp_path_factory.mktemp("tracker"), **client))
        folder = tmp_path_factory.mktemp("gateway")
        parts = configured(provider, str(folder / "store.db"))
        environ = {**ENVIRON, "CLIENT_SECRET": CLIENT_SECRET, "SESSION_KEY": KEY}
        running = house(folder, policy=POLICY, roles=ROLES, environ=environ, **parts)
        yield await stack.enter_async_context(running), provider


async def led(person: Person, url: str) -> str:
    """What the provider sends the browser back to, after the consent pages here and there."""
    asked = await person.browser.get(url, headers=HTML)
    assert asked.status == 200, asked.body
    hidden = {name: unescape(value) for name, value in HIDDEN.findall(asked.body.decode().partition("</form>")[0])}
    begun = await person.browser.get(url.partition("?")[0], method="POST", headers=FORM, body=urlencode(hidden).encode())
    page = await person.followed(await person.ask(unescape(begun.body.decode().partition("0;url=")[2].partition('"')[0])))
    # Who has logged in at the provider is asked for consent only.
    return page if page.startswith(ORIGIN) else await person.followed(await person.ask(page, {"prompt": "consent"}))


async def connected(person: Person, url: str = f"{BASE}/tracker/connect") -> Reply:
    return await person.browser.get(await led(person, url), headers=PAGE)


async def test_an_account_is_connected_used_refreshed_widened_and_ended(place: Place) -> None:
    gateway, provider = place
    alice = Person(gateway, "alice")
    assert (await alice.login()).status == 303
    missing = await alice.browser.get("/app/x")
    assert (missing.status, missing.json()["action"]) == (403, "connect")
    assert (await connected(alice, missing.json()["connect_url"].removeprefix(ORIGIN))).status == 303
    used = await alice.browser.get("/app/x")
    assert (used.status, used.json()) == (200, {"subject": "alice"})
    [own] = (await alice.browser.get(BASE, headers={"Accept": "application/json"})).json()["connections"]
    assert (own["state"], own["account"], sorted(own["scopes"])) == ("connected", "alice", ["offline_access", "openid"])

    ended = await alice.browser.get("/app/x", method="DELETE", headers=await write(alice))
    assert ended.status == 200, "the upstream ended the access token early"
    assert (await alice.browser.get("/app/x")).json() == {"subject": "alice"}
    assert (await provider.told("grants/alice"))["refreshed"] == 1

    narrow = await alice.browser.get("/notes/x")
    assert (narrow.status, narrow.json()["missing_scopes"]) == (403, ["notes:read"])
    assert (await connected(alice, narrow.json()["connect_url"].removeprefix(ORIGIN))).status == 303
    assert (await alice.browser.get("/notes/x")).json() == {"subject": "alice"}

    revoked = (await provider.told("grants/alice"))["revoked"]
    gone = await alice.browser.get(f"{BASE}/tracker/disconnect", method="POST", headers=await write(alice))
    assert gone.status == 204
    assert (await alice.browser.get("/app/x")).status == 403
    assert (await provider.told("grants/alice"))["revoked"] > revoked
    [event] = [event for event in await gateway.events() if event["event"] == "grant.disconnected"]
    assert event["revoked"] == "yes"


async def write(person: Person) -> dict[str, str]:
    token = (await person.browser.whoami())["csrf_token"]
    return {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", "X-CSRF-Token": token}


async def test_attacks_on_the_way_back_are_refused(place: Place) -> None:
    gateway, _ = place
    mallory, victim = Person(gateway, "mallory"), Person(gateway, "victim")
    assert (await mallory.login()).status == (await victim.login()).status == 303
    theirs = await led(mallory, f"{BASE}/tracker/connect")
    assert (await victim.browser.get(theirs)).status == 400, "somebody else's code in my browser"
    own = await led(victim, f"{BASE}/tracker/connect")
    query = {name: values[0] for name, values in parse_qs(urlsplit(own).query).items()}
    path = own.partition("?")[0]
    jar = dict(victim.browser.jar)
    for over in ({"iss": "https://other.test"}, {"iss": ""}, {"state": "x"}):
        victim.browser.jar = dict(jar)
        assert (await victim.browser.get(f"{path}?{urlencode(query | over)}")).status == 400, over
    victim.browser.jar = dict(jar)
    stolen = {"code": parse_qs(urlsplit(theirs).query)["code"][0]}
    assert (await victim.browser.get(f"{path}?{urlencode(query | stolen)}")).status == 401, "PKCE"
    assert (await victim.browser.get("/app/x")).status == 403
