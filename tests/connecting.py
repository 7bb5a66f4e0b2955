"""Scripted providers at which people have accounts, and a gateway where they connect them."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from gateway.store import redis_once, redis_revoked, redis_sessions, redis_tally
from tests.granting import KEY as VAULT_KEY
from tests.house import House, Reply, Seen, house, read_request
from tests.login import KEY, ORIGIN, PAGE, POLICY, ROLES, SECRET, Browser, Moved, ScriptedProvider, providers, settings

HTML = {**PAGE, "Accept": "text/html"}
FORM = {
    "Origin": ORIGIN,
    "Sec-Fetch-Site": "same-origin",
    "Content-Type": "application/x-www-form-urlencoded",
    "Accept": "text/html",
}
BASE = "/.gateway/connections"
HIDDEN = re.compile(r'name="([a-z_]+)" value="([^"]*)"')
ENVIRON = {"CLIENT_SECRET": SECRET, "SESSION_KEY": KEY, "VAULT_KEY": VAULT_KEY}


@dataclass
class Accounts:
    """A provider of one's own kind. `account` is what it tells of whoever's token is shown; `grants` is what it says was granted,
    None that nothing is said; `refuses` and `revoking` are what it answers instead, `instead` whole answers by their path."""

    name: str = "tracker"
    port: int = 0
    account: dict[str, Any] = field(default_factory=lambda: {"id": 41, "login": "octo-alice"})
    grants: str | None = "read"
    personal: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuses: tuple[int, dict[str, Any]] | None = None
    revoking: int = 200
    lifetime: int | None = None
    codes: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    live: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    number: int = -1
    instead: dict[str, Callable[[Seen], tuple[int, Any]]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def entry(self, **connect: Any) -> dict[str, Any]:
        """Its entry under `providers`."""
        told = {"authorize_url": f"{self.url}/auth", "account_url": f"{self.url}/me", "revoke_url": f"{self.url}/revoke"}
        return {
            "kind": "oauth",
            "token_url": f"{self.url}/token",
            "client": {"id": "gateway", "secret": {"env": "CLIENT_SECRET"}},
            "dial": {"allow_plaintext": True, "allow_private": True},
            "connect": {"title": "Tracker", "scopes": ["read"], **told, **connect},
        }

    def authorised(self, url: str, **more: str | None) -> str:
        """What a browser is sent back with."""
        asked = parse_qs(urlsplit(url).query)
        code = f"code-{self.name}-{len(self.codes)}"
        self.codes[code] = asked
        query = {"code": code, "state": asked["state"][0]} | more
        told = urlencode({name: value for name, value in query.items() if value is not None})
        return f"{asked['redirect_uri'][0]}?{told}"

    def posted(self, path: str) -> list[dict[str, str]]:
        return [{k: v[0] for k, v in parse_qs(seen.body.decode()).items()} for seen in self.seen if seen.target == path]

    def answer(self, seen: Seen) -> tuple[int, Any]:
        path = urlsplit(seen.target).path
        if path in self.instead:
            return self.instead[path](seen)
        if path == "/me":
            token = seen.all("authorization")[0].removeprefix("Bearer ")
            account = self.live.get(token) or self.personal.get(token)
            return (200, account) if account is not None else (401, {"error": "invalid_token"})
        form = {name: values[0] for name, values in parse_qs(seen.body.decode()).items()}
        if path == "/revoke":
            if self.revoking == 200:
                self.live.pop(form["token"], None)
            return self.revoking, {}
        return self.refuses or self.exchanged(form)

    def exchanged(self, form: Mapping[str, str]) -> tuple[int, Any]:
        if form["grant_type"] == "refresh_token":
            return self.given()
        asked = self.codes.get(form["code"])
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        sound = asked is not None and asked["code_challenge"] == [expected] and asked["redirect_uri"] == [form["redirect_uri"]]
        if not sound or form["code"] in self.used:
            return 400, {"error": "invalid_grant"}
        self.used.append(form["code"])
        return self.given()

    def given(self) -> tuple[int, Any]:
        self.number += 1
        access = f"canary-access-{self.name}-{self.number}"
        self.live[access] = dict(self.account)
        told = {"access_token": access, "token_type": "Bearer", "refresh_token": f"canary-refresh-{self.name}-{self.number}"}
        more = {"scope": self.grants, "expires_in": self.lifetime}
        return 200, told | {name: value for name, value in more.items() if value is not None}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            seen = await read_request(reader)
            if seen is not None:
                self.seen.append(seen)
                status, document = self.answer(seen)
                body = json.dumps(document).encode()
                head = f"HTTP/1.1 {status} Because\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        finally:
            writer.close()


@dataclass
class Place:
    """A gateway, who logs people in, and where they have accounts."""

    gateway: House
    corp: ScriptedProvider
    accounts: dict[str, Accounts]

    @property
    def tracker(self) -> Accounts:
        return self.accounts["tracker"]

    async def person(self, subject: str) -> "Person":
        """Somebody who is logged in."""
        person = Person(self.gateway)
        self.corp.claims = {"sub": subject, "sid": f"sid-{subject}"}
        assert (await person.login(self.corp)).status == 303
        return person


class Person(Browser):
    """A browser that connects."""

    async def form(self, target: str, **fields: str | None) -> Reply:
        """What a page of the gateway's own sends; None leaves a field or header out."""
        token = (await self.whoami())["csrf_token"]
        given = {"csrf_token": token} | fields
        body = urlencode({name: value for name, value in given.items() if value is not None}).encode()
        return await self.get(target, method="POST", headers=FORM, body=body)

    async def begun(self, name: str = "tracker", **query: str) -> str:
        """The provider's page that the form of the consent page leads to."""
        asked = await self.get(f"{BASE}/{name}/connect" + (f"?{urlencode(query)}" if query else ""), headers=HTML)
        assert asked.status == 200, asked.body
        hidden = {name: unescape(value) for name, value in HIDDEN.findall(asked.body.decode().partition("</form>")[0])}
        led = await self.get(f"{BASE}/{name}/connect", method="POST", headers=FORM, body=urlencode(hidden).encode())
        assert led.status == 200, led.body
        return unescape(led.body.decode().partition("0;url=")[2].partition('"')[0])

    async def connected(self, provider: Accounts, **query: str) -> Reply:
        """The whole way, to the callback's answer."""
        return await self.get(provider.authorised(await self.begun(provider.name, **query)), headers=PAGE)

    async def connections(self) -> dict[str, dict[str, Any]]:
        reply = await self.get(BASE, headers={"Accept": "application/json"})
        assert reply.status == 200, reply.body
        return {each["provider"]: each for each in reply.json()["connections"]}


@asynccontextmanager
async def accounts(*names: str) -> AsyncIterator[dict[str, Accounts]]:
    """Scripted providers of these names, serving."""
    made, servers = {name: Accounts(name) for name in names}, []
    for each in made.values():
        server = await asyncio.start_server(each.serve, "127.0.0.1", 0)
        each.port = server.sockets[0].getsockname()[1]
        servers.append(server)
    try:
        yield made
    finally:
        for server in servers:
            server.close()


def connected_settings(corp: ScriptedProvider, made: Mapping[str, Accounts], file: Path, **connect: Any) -> dict[str, Any]:
    """Routes that send a person's own token to the upstream `api`: `app` any, `app.write` one that may write, by login or by token."""
    base = settings([corp])
    both = [f"login.{corp.name}", "jwt.tokens"]
    routes = [
        {"name": "app", "match": {"path": "/app/**"}, "upstream": "api", "authenticate": both, "credential": "own"},
        {"name": "app.write", "match": {"path": "/write/**"}, "upstream": "api", "authenticate": both, "credential": "own"},
        {"name": "app.other", "match": {"path": "/other/**"}, "upstream": "api", "authenticate": both, "credential": "others"},
    ]
    routes[1]["requires_scopes"] = ["write"]
    return base | {
        "vault": {"keys": [{"id": "k1", "env": "VAULT_KEY"}]},
        "database": {"file": str(file)},
        "providers": {name: each.entry(personal_tokens=True, **connect) for name, each in made.items()},
        "credentials": {
            "bot": {"inject": "bearer", "secret": {"env": "UPSTREAM_TOKEN"}},
            "own": {"inject": "grant", "provider": "tracker"},
            "others": {"inject": "grant", "provider": list(made)[-1]},
        },
        "routes": routes,
    }


@asynccontextmanager
async def connecting(
    folder: Path,
    *names: str,
    over: Mapping[str, Any] | None = None,
    clock: Moved | None = None,
    **connect: Any,
) -> AsyncIterator[Place]:
    """A gateway where people connect accounts at scripted providers."""
    async with AsyncExitStack() as stack:
        [corp] = await stack.enter_async_context(providers("corp"))
        made = await stack.enter_async_context(accounts(*(names or ("tracker",))))
        gateway = await stack.enter_async_context(connecting_replica(folder, corp, made, over=over, clock=clock, **connect))
        yield Place(gateway, corp, made)


@asynccontextmanager
async def connecting_replica(
    folder: Path,
    corp: ScriptedProvider,
    made: Mapping[str, Accounts],
    *,
    over: Mapping[str, Any] | None = None,
    clock: Moved | None = None,
    **connect: Any,
) -> AsyncIterator[House]:
    """One gateway; several may share providers, and by `over` a database and a Redis."""
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        if clock is not None:
            patch.setattr("gateway.process.SystemClock", lambda: clock)
        for store in (redis_once, redis_revoked, redis_sessions, redis_tally):
            patch.setattr(store, "TIMEOUT", 60)
        chosen = connected_settings(corp, made, folder / "store.db", **connect) | dict(over or {})
        async with house(folder, policy=POLICY, roles=ROLES, environ=ENVIRON, **chosen) as gateway:
            yield gateway
