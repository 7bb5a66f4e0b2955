"""A scripted OpenID provider on loopback, and a browser that keeps cookies as browsers do."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from gateway.store import redis_once, redis_revoked, redis_sessions, redis_tally
from tests.house import House, Reply, Seen, config, house, read_request
from tests.issuer import EcKey, SigningKey, mint

HOST = "gw.test"
ORIGIN = f"https://{HOST}"
KEY = "k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u"
SECRET = "canary-client-secret"
SESSION = "__Host-gateway"
STATE = "__Host-gateway-login-"
"""How the names of cookies of logins under way begin."""
PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
"""What a browser says of a page it is about to show."""
AGENT = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
"""The public key of RFC 8037, appendix A: of whoever signs requests, on no route here."""
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass
class ScriptedProvider:
    """`claims` go into each ID token, None leaving one out; `signs` makes the ID token of its claims; `refuses` is what the token
    endpoint answers instead, `refuses_refresh` what it answers to a refresh."""

    name: str = "corp"
    port: int = 0
    key: EcKey = field(default_factory=EcKey)
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    signs: Callable[["ScriptedProvider", dict[str, Any]], str] | None = None
    refuses: tuple[int, dict[str, Any]] | None = None
    refuses_refresh: tuple[int, dict[str, Any]] | None = None
    refreshes: bool = True
    id_token_on_refresh: bool = True
    codes: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)
    tokens: list[dict[str, list[str]]] = field(default_factory=list)
    headers: list[list[tuple[str, str]]] = field(default_factory=list)
    refreshed: int = 0
    since: int = field(default_factory=lambda: int(time.time()))
    """When everybody proved who he is."""

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def entry(self, **over: Any) -> dict[str, Any]:
        """Its entry under `authentication.login`."""
        base = {"issuer": self.issuer, "client_id": "gateway", "client_secret": {"env": "CLIENT_SECRET"}, "algorithms": ["ES256"]}
        return base | {"allow_plaintext": True, "allow_private": True} | over

    def authorised(self, location: str) -> str:
        """What a browser is sent back with after a login that succeeded."""
        asked = parse_qs(urlsplit(location).query)
        code = f"code-{self.name}-{len(self.codes)}"
        self.codes[code] = asked
        query = {"code": code, "state": asked["state"][0], "iss": self.issuer}
        return f"{asked['redirect_uri'][0]}?{urlencode(query)}"

    def id_token(self, nonce: str | None, access: str, **more: Any) -> str:
        now = int(time.time())
        half = hashlib.sha256(access.encode()).digest()[:16]
        claims: dict[str, Any] = {"iss": self.issuer, "aud": "gateway", "sub": "alice", "iat": now, "exp": now + 300}
        claims |= {"auth_time": self.since, "nonce": nonce, "sid": "sid-1", "groups": ["staff"]}
        claims |= {"at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode()}
        claims |= self.claims | more
        claims = {name: value for name, value in claims.items() if value is not None}
        return self.signs(self, claims) if self.signs is not None else mint(self.key, claims)

    def logout_token(self, key: SigningKey | None = None, typ: str | None = "logout+jwt", **over: Any) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {"iss": self.issuer, "aud": "gateway", "iat": now, "exp": now + 120, "jti": f"j{time.time_ns()}"}
        claims |= {"events": {LOGOUT: {}}, "sid": "sid-1", "sub": "alice"} | over
        return mint(key or self.key, {name: value for name, value in claims.items() if value is not None}, typ=typ)

    def answer(self, seen: Seen) -> tuple[int, Any]:
        path = urlsplit(seen.target).path
        if path == "/.well-known/openid-configuration":
            endpoints = {"authorization_endpoint": "/auth", "token_endpoint": "/token", "jwks_uri": "/jwks"}
            endpoints |= {"end_session_endpoint": "/end", "userinfo_endpoint": "/me"}
            told = {name: self.issuer + place for name, place in endpoints.items()}
            return 200, {"issuer": self.issuer, "authorization_response_iss_parameter_supported": True, **told, **self.metadata}
        if path == "/jwks":
            return 200, {"keys": [self.key.jwk()]}
        if path == "/me":
            return 200, {"sub": "alice", "groups": ["told-by-userinfo"], **self.claims}
        return self.token(seen)

    def token(self, seen: Seen) -> tuple[int, Any]:
        form = parse_qs(seen.body.decode())
        self.tokens.append(form)
        self.headers.append(seen.headers)
        access = f"canary-access-{len(self.tokens)}"
        given: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": 300}
        if self.refreshes:
            given["refresh_token"] = f"canary-refresh-{len(self.tokens)}"
        if form["grant_type"] == ["refresh_token"]:
            self.refreshed += 1
            if self.refuses_refresh is not None:
                return self.refuses_refresh
            return 200, given | ({"id_token": self.id_token(None, access)} if self.id_token_on_refresh else {})
        if self.refuses is not None:
            return self.refuses
        code = form["code"][0]
        asked = self.codes.get(code)
        verifier = hashlib.sha256(form["code_verifier"][0].encode()).digest()
        expected = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if (
            asked is None
            or code in self.used
            or asked["code_challenge"] != [expected]
            or asked["redirect_uri"] != form["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        self.used.append(code)
        return 200, given | {"id_token": self.id_token(asked["nonce"][0], access)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            seen = await read_request(reader)
            if seen is not None:
                status, document = self.answer(seen)
                body = json.dumps(document).encode()
                head = f"HTTP/1.1 {status} Because\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def providers(*names: str) -> AsyncIterator[list[ScriptedProvider]]:
    """Scripted providers of these names, serving."""
    made = [ScriptedProvider(name) for name in names]
    servers = []
    for each in made:
        server = await asyncio.start_server(each.serve, "127.0.0.1", 0)
        each.port = server.sockets[0].getsockname()[1]
        servers.append(server)
    try:
        yield made
    finally:
        for server in servers:
            server.close()


class Browser:
    """One browser: it keeps `__Host-` cookies of the gateway's host and sends them back, whatever asks."""

    def __init__(self, gateway: House, host: str = HOST) -> None:
        self.gateway = gateway
        self.host = host
        self.jar: dict[str, str] = {}

    async def get(self, target: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
        target = target.removeprefix(ORIGIN)
        sent = dict(headers or {})
        if self.jar and "Cookie" not in sent:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        reply = await self.gateway.get(target, method=method, headers=sent, body=body, host=self.host)
        for line in reply.all("set-cookie"):
            self.keep(line)
        return reply

    def keep(self, line: str) -> None:
        """RFC 6265bis 4.1.3.2: a `__Host-` cookie without Secure and Path=/ , or with Domain, is not taken; so with its deletion."""
        attributes = {part.partition("=")[0].strip().lower(): part.partition("=")[2] for part in line.split(";")[1:]}
        name, _, value = line.split(";", maxsplit=1)[0].partition("=")
        if name.startswith("__Host-") and ("secure" not in attributes or attributes.get("path") != "/" or "domain" in attributes):
            return
        if attributes.get("max-age") == "0":
            self.jar.pop(name, None)
        else:
            self.jar[name] = value

    @property
    def pending(self) -> dict[str, str]:
        """The cookies of its logins under way."""
        return {name: value for name, value in self.jar.items() if name.startswith(STATE)}

    async def login(self, provider: ScriptedProvider, rd: str = "/app/home", **more: str) -> Reply:
        """The whole way to the callback's answer."""
        query = urlencode({"provider": provider.name, "rd": rd, **more})
        begun = await self.get(f"/.gateway/login?{query}", headers=PAGE)
        assert begun.status == 303, begun.body
        return await self.get(provider.authorised(begun["location"]), headers=PAGE)

    async def whoami(self) -> dict[str, Any]:
        reply = await self.get("/.gateway/session")
        assert reply.status == 200, reply.body
        told: dict[str, Any] = reply.json()
        return told

    async def write(self, target: str = "/app/things", *, method: str = "POST", **over: str | None) -> Reply:
        """What a page of the gateway's own origin sends to change something; None leaves a field out."""
        token = (await self.whoami())["csrf_token"]
        fields = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", "X-CSRF-Token": token} | {
            name.replace("_", "-"): value for name, value in over.items()
        }
        return await self.get(target, method=method, headers={name: value for name, value in fields.items() if value is not None})


POLICY = """
apiVersion: gateway/v1
kind: Policy
name: logins
routes: ["*"]
rules:
  - {name: staff, allow: any, when: "'staff' in subject.groups && resource.route.startsWith('app')"}
  - {name: partner, allow: any, when: "subject.issuer == 'partner' && resource.route == 'app.both'"}
  - {name: vault, allow: any, when: "'staff' in subject.groups && resource.route == 'vault'", then: {step_up: {acr: [gold], max_age: 10m}}}
  - {name: open, allow: any, when: "resource.route == 'open'"}
"""
ROLES = """
apiVersion: gateway/v1
kind: Roles
roles: {member: ["things:use"]}
bindings: [{from_claim: roles, issuer: corp, only: [member]}]
"""


def settings(made: list[ScriptedProvider], *, session: Mapping[str, Any] | None = None, **each: Any) -> dict[str, Any]:
    """Routes for a login, for either of two, for a login or a token, for a token only, and for everybody."""
    jwt = config(0)["authentication"]["jwt"]["corp"]
    first = made[0].name
    accepted = {"app": [f"login.{first}"], "app.both": [f"login.{one.name}" for one in made], "vault": [f"login.{first}"]}
    accepted |= {"app.either": [f"login.{first}", "jwt.tokens"], "app.tokens": ["jwt.tokens"]}
    paths = {"app": "/app/**", "app.both": "/both/**", "vault": "/vault/**", "app.either": "/either/**", "app.tokens": "/tokens/**"}
    routes: list[dict[str, Any]] = [
        {"name": name, "match": {"path": path}, "upstream": "api", "authenticate": accepted[name]} for name, path in paths.items()
    ]
    routes[0]["websocket"] = {"origins": [ORIGIN]}
    routes.append({"name": "open", "match": {"path": "/open/**"}, "upstream": "plain", "anonymous": True})
    return {
        "authentication": {
            "jwt": {"tokens": jwt},
            "login": {one.name: one.entry(**each) for one in made},
            "sessions": {"base_url": ORIGIN, "key": {"env": "SESSION_KEY"}, **(session or {})},
            "signatures": {"agents": {"keys": {"agent-1": {"algorithm": "ed25519", "subject": "agent-1", "jwk": AGENT}}}},
        },
        "routes": routes,
        "detection": {"rules": []},  # many logins that are refused come from here
    }


class Moved:
    """The machine's clock, which a test puts forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@asynccontextmanager
async def login_house(
    folder: Path,
    *names: str,
    session: Mapping[str, Any] | None = None,
    over: Mapping[str, Any] | None = None,
    clock: Moved | None = None,
    **each: Any,
) -> AsyncIterator[tuple[House, list[ScriptedProvider]]]:
    """A gateway with logins at scripted providers."""
    async with providers(*(names or ("corp",))) as made, replica(folder, made, session, over, clock, **each) as gateway:
        yield gateway, made


@asynccontextmanager
async def replica(
    folder: Path,
    made: list[ScriptedProvider],
    session: Mapping[str, Any] | None = None,
    over: Mapping[str, Any] | None = None,
    clock: Moved | None = None,
    **each: Any,
) -> AsyncIterator[House]:
    """A gateway with logins at providers that others may use as well."""
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        if clock is not None:
            patch.setattr("gateway.process.SystemClock", lambda: clock)
        for store in (redis_once, redis_revoked, redis_sessions, redis_tally):
            patch.setattr(store, "TIMEOUT", 60)  # a machine that stands still is no Redis that does
        chosen = settings(made, session=session, **each) | dict(over or {})
        environ = {"CLIENT_SECRET": SECRET, "SESSION_KEY": KEY}
        async with house(folder, policy=POLICY, roles=ROLES, environ=environ, **chosen) as gateway:
            yield gateway
