"""A secret planted in every credential and token there is, debug logging on: then every output is searched for it.

What an upstream puts into the *body* of its answer is exempt here, where secrets of other requests are planted, too: what becomes of
the injected one there is the matter of test_nothing_comes_back. Bodies the gateway makes itself are searched.
"""

import asyncio
import base64
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import jwt
import pytest

from gateway.core.secret import Secret
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.place import entry
from gateway.credentials.vault.ring import Ring
from tests.collector import Collector, collector
from tests.fakes import stored_key
from tests.house import AUDIENCE, Reply, Seen, Upstream
from tests.redis_server import RedisServer
from tests.standalone import Standalone, standalone, until
from tests.typed import typed

KINDS: dict[str, Callable[[dict[str, str]], dict[str, Any]]] = {
    "bearer": lambda secret: {"inject": "bearer", "secret": secret},
    "basic": lambda secret: {"inject": "basic", "username": "bot", "password": secret},
    "header": lambda secret: {"inject": "header", "name": "X-Legacy-Key", "secret": secret},
    "query": lambda secret: {"inject": "query", "name": "mapkey", "secret": secret},
    "cookie": lambda secret: {"inject": "cookie", "name": "sid", "secret": secret},
}
SOURCES = ("env", "file")
PLANTED = (*(f"{kind}-{source}" for kind in KINDS for source in SOURCES), "bearer-sealed")


def canary(name: str) -> str:
    """Unmistakable, and with characters that look otherwise when escaped."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:40]
    return f"canary+{name}/{digest}=" if name.startswith("query") else f"canary-{name}-{digest}"


def spellings(secret: str) -> Iterator[bytes]:
    """How a secret may be written: raw, escaped for URLs, in base64 at any offset, in hexadecimal."""
    raw = secret.encode()
    yield raw
    yield quote(secret, safe="").encode()
    yield quote_plus(secret).encode()
    yield raw.hex().encode()
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(b"\0" * offset + raw)
            # The first and last groups also depend on what stands beside the secret.
            yield whole[4 if offset else 0 : len(whole) - 4]


class Planted:
    """All secrets of one gateway, by name; and every output collected of it, by where it came from."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}
        self.outputs: list[tuple[str, bytes]] = []

    def __call__(self, name: str) -> str:
        return self.secrets.setdefault(name, canary(name))

    def token(self, name: str, token: str) -> None:
        """A token is secret as a whole, and so is the signature without which it is worth nothing."""
        number = len(self.secrets)
        self.secrets[f"{name} {number}"] = token
        self.secrets[f"signature of {name} {number}"] = token.rpartition(".")[2]

    def keep(self, place: str, *outputs: bytes) -> None:
        self.outputs += [(place, output) for output in outputs]

    def reply(self, place: str, reply: Reply) -> None:
        """Header fields always; the body where the gateway made it."""
        self.keep(f"{place}: headers", "\n".join(f"{name}: {value}" for name, value in reply.headers).encode("latin-1"))
        if reply.get("X-From") != "upstream":
            self.keep(f"{place}: body", reply.body)

    def leaks(self) -> list[str]:
        """`secret in place` for each one found, of any spelling and in any case."""
        outputs = [(place, output.lower()) for place, output in dict.fromkeys(self.outputs)]
        whole = b"\0".join(output for _, output in outputs)
        found = set()
        for name, secret in self.secrets.items():
            for spelling in {each.lower() for each in spellings(secret)}:
                if spelling in whole:
                    found |= {f"{name} in {place}" for place, output in outputs if spelling in output}
        return sorted(found)


def echo(seen: Seen) -> bytes:
    """An answer that tells all it was told: in header fields, in a redirection, in a cookie, and in the body."""
    told = [f"{name}: {value}" for name, value in seen.headers]
    fields = [f"X-Echo-{number}: {line}" for number, line in enumerate(told)]
    fields += [
        f"X-Echo-Target: {seen.target}",
        f"Location: {seen.target}",
        f"Set-Cookie: echo={seen.target}",
        f"Link: <{seen.target}>",
    ]
    if "/garbage" in seen.target:
        return ("HTTP/1.1 200 OK\r\n" + "\r\n".join(told) + "\r\nno field at all: \0\r\n" + seen.target + "\r\n\r\n").encode(
            "latin-1"
        )
    if "/short" in seen.target:
        return ("HTTP/1.1 200 " + told[-1] + "\r\nContent-Length: 5000\r\n\r\n").encode("latin-1")
    body = "\n".join([seen.target, *told]).encode("latin-1")
    head = ["HTTP/1.1 200 OK", "X-From: upstream", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


class Laboratory:
    """The gateway under search, its upstream, its key set and what was planted."""

    def __init__(self, gateway: Standalone, upstream: Upstream, planted: Planted, redis: RedisServer, received: Collector) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.planted = planted
        self.redis = redis
        self.received = received

    def token(self, **claims: Any) -> str:
        """A fresh valid token. Its signature, and a claim nobody asks for, are planted."""
        token = self.gateway.keys.token(private=self.planted("claim"), **claims)
        self.planted.token("client token", token)
        return token

    async def ask(self, target: str, *, listener: str = "listen", expect: int, **request: Any) -> Reply:
        reply = await self.gateway.get(target, listener=listener, **request)
        self.planted.reply(f"{listener} {target.partition('?')[0]} {reply.status}", reply)
        assert reply.status == expect, (target, reply)
        return reply


def credentials(folder: Path, planted: Planted, environ: dict[str, str]) -> dict[str, Any]:
    """Every kind of upstream credential from every kind of source."""
    made = {}
    for kind, build in KINDS.items():
        environ[f"SECRET_{kind.upper()}"] = planted(f"{kind}-env")
        made[f"{kind}-env"] = build({"env": f"SECRET_{kind.upper()}"})
        file = folder / f"{kind}.secret"
        file.write_text(planted(f"{kind}-file") + "\n")
        file.chmod(0o600)
        made[f"{kind}-file"] = build({"file": file.name})
    made["bearer-sealed"] = KINDS["bearer"]({"sealed": "bearer"})
    return made


def vault(planted: Planted, environ: dict[str, str]) -> dict[str, Any]:
    """The key, planted as well, and what is sealed under it."""
    key = environ["VAULT_KEY"] = planted.secrets["vault key"] = base64.b64encode(os.urandom(32)).decode()
    ring = Ring([LocalKey("k1", Secret(key.encode()))], time.time)
    return {
        "vault": {"keys": [{"id": "k1", "env": "VAULT_KEY"}]},
        "sealed": {"bearer": ring.seal(entry("bearer"), Secret(planted("bearer-sealed").encode()))},
    }


def settings(folder: Path, planted: Planted, environ: dict[str, str], redis: RedisServer, received: Collector) -> dict[str, Any]:
    """A configuration with a secret wherever one can stand."""
    names = {"REDIS": "redis-password", "PEPPER": "key-pepper", "ADMIN": "admin-token", "SHARED": "token-secret"}
    environ |= {variable: planted(name) for variable, name in names.items()}
    every = ["jwt.corp", "jwt.web", "api_keys"]
    made = credentials(folder, planted, environ)
    web = {"issuer": "https://web.example/", "audience": [AUDIENCE], "secret": {"env": "SHARED"}, "algorithms": ["HS256"]}
    corp = {"issuer": "https://idp.example.com/", "audience": [AUDIENCE], "jwks": {"file": "jwks.json"}, "algorithms": ["ES256"]}
    routes = [
        {"name": name, "match": {"path": f"/{name}/**"}, "upstream": "echo", "credential": name, "authenticate": every}
        for name in made
    ]
    routes.append(
        {"name": "dead", "match": {"path": "/dead/**"}, "upstream": "dead", "credential": "query-env", "authenticate": every}
    )
    return {
        **vault(planted, environ),
        "admin": {"token": {"env": "ADMIN"}},
        "authentication": {
            "jwt": {"corp": corp, "web": {**web, "from": [{"cookie": "session"}]}},
            "api_keys": {"file": "api-keys.yaml", "pepper": {"env": "PEPPER"}},
        },
        "credentials": made,
        "routes": routes,
        "rate_limits": {
            "store": {"redis": {"url": redis.url, "password": {"env": "REDIS"}}},
            "default": ["many"],
            "rules": {"many": {"key": "client.address", "limit": "1000/minute"}},
        },
        "telemetry": {"traces": {"otlp": received.url, "sample": 1.0}, "metrics": {"otlp": received.url}},
        "log": {"level": "debug"},
    }


def upstreams(port: int, smuggled: str) -> dict[str, Any]:
    open_ = {"allow_plaintext": True, "allow_private": True}
    # A fixed header is no place for a secret. Where somebody uses it as one, its name tells.
    fixed = {"set": {"X-Vendor-Token": smuggled}}
    return {
        "echo": {"url": f"http://127.0.0.1:{port}", **open_},
        "dead": {"url": "http://127.0.0.1:1", "headers": fixed, **open_},
    }


@asynccontextmanager
async def laboratory(folder: Path, redis: RedisServer) -> AsyncIterator[Laboratory]:
    planted, environ = Planted(), dict[str, str]()
    redis.kill()
    redis.start(planted("redis-password"))
    with collector() as received:
        async with Upstream(answer=echo) as upstream:
            over = settings(folder, planted, environ, redis, received)
            over["upstreams"] = upstreams(upstream.port, planted("smuggled-header"))
            async with standalone(folder, upstream, environ=environ, policy=POLICY, roles=ROLES, **over) as gateway:
                yield Laboratory(gateway, upstream, planted, redis, received)
                assert await gateway.end() == 0
            planted.keep("standard error", gateway.stderr)
            planted.keep("audit file", gateway.audit)
            planted.keep("collector", *received.raw)


POLICY = """
apiVersion: gateway/v1
kind: Policy
name: tests
routes: ["*"]
rules: [{name: members, allow: any, permission: "things:use", when: "!('refused' in subject.claims)"}]
"""
ROLES = """
apiVersion: gateway/v1
kind: Roles
roles: {member: ["things:use"]}
bindings: [{from_claim: roles, issuer: corp, only: [member]}, {from_claim: roles, issuer: web, only: [member]}]
"""


async def allowed_requests(lab: Laboratory) -> None:
    """Each kind of presented credential, each kind of injected one. The upstream sees the injected one and no other."""
    planted = lab.planted
    key, _ = stored_key(
        lab.gateway.folder / "api-keys.yaml",
        planted("key-pepper").encode(),
        prefix="lgk",
        name="k",
        now=time.time(),
        roles=["member"],
    )
    planted.secrets["api key"] = key
    planted.secrets["api key's secret"] = key.rpartition("_")[2]
    claims = {"iss": "https://web.example/", "aud": AUDIENCE, "sub": "bob", "exp": time.time() + 600, "roles": ["member"]}
    cookie = jwt.encode({**claims, "private": planted("cookie-claim")}, planted("token-secret"), "HS256")
    planted.token("cookie token", cookie)

    async def key_is_known() -> bool:
        return (await lab.gateway.get("/bearer-env/x", headers={"X-Api-Key": key})).status == 200

    await until(key_is_known, "the new key was never taken up")
    lab.upstream.seen.clear()
    presented: list[dict[str, Any]] = [
        {"token": lab.token()},
        {"headers": {"X-Api-Key": key}},
        {"headers": {"Cookie": f"session={cookie}"}},
    ]
    for name in PLANTED:
        for credential in presented:
            reply = await lab.ask(f"/{name}/x?page=2", expect=200, **credential)
            assert reply.get("X-From") == "upstream"
            seen = lab.upstream.seen[-1]
            arrived = seen.target.encode() + repr(seen.headers).encode()
            found = {each for each, secret in planted.secrets.items() if any(form in arrived for form in spellings(secret))}
            assert found == {name}, (name, found)
            assert any("REDACTED" in value for _, value in reply.headers), "the echo was not masked"


async def refused_requests(lab: Laboratory) -> None:
    """Bad credentials of every shape, and credentials where none belong."""
    planted, good = lab.planted, lab.token()
    bad = good.rpartition(".")[0] + "." + planted("bad-signature")
    for headers in (
        {"Authorization": f"Bearer {bad}"},
        {"Authorization": f"Bearer {planted('opaque')}"},
        {"Authorization": f"Bearer a.{planted('odd-payload')}.c"},
        {"Authorization": f"Basic {base64.b64encode(planted('basic-presented').encode()).decode()}"},
        {"Authorization": planted("no-scheme")},
        {"X-Api-Key": planted("bad-key")},
        {"X-Api-Key": f"lgk_{'a' * 12}_{'b' * 49}"},
        {"Cookie": f"session={planted('bad-cookie')}"},
        {"Authorization": f"Bearer {lab.token(exp=1)}"},
        {"Authorization": f"Bearer {lab.token(aud=planted('audience'))}"},
        {"Authorization": f"Bearer {lab.token(iss='https://' + planted('issuer'))}"},
    ):
        await lab.ask("/bearer-env/x", headers=headers, expect=401)
    await lab.ask("/bearer-env/x", token=good, headers={"X-Api-Key": planted("second")}, expect=400)
    await lab.ask("/bearer-env/x", token=lab.token(refused=planted("claim-of-rule")), expect=403)
    await lab.ask(f"/nowhere?access_token={planted('query-presented')}", expect=404)
    await lab.ask(f"/bearer-env/x?access_token=%zz{planted('query-broken')}", token=good, expect=400)
    await lab.ask("/bearer-env//x", token=good, headers={"Baggage": f"k={planted('baggage')}"}, expect=400)
    await lab.ask(
        "/bearer-env/x", token=good, headers={"Referer": f"https://a/?{planted('referer')}", "X": "y" * 40_000}, expect=431
    )
    for data in (
        f"GET /x HTTP/1.1\r\nHost: localhost\r\nAuth orization: {planted('broken-head')}\r\n\r\n",
        planted("broken-line") + "\r\n\r\n",
    ):
        planted.reply("broken bytes", await lab.gateway.raw(data.encode()))


async def failing_upstreams(lab: Laboratory) -> None:
    """Errors after the credential was injected: nobody there, no HTTP, an answer cut short."""
    await lab.ask("/dead/x", token=lab.token(), expect=502)
    for name in PLANTED:
        await lab.ask(f"/{name}/garbage", token=lab.token(), expect=502)
    await lab.ask("/header-env/back", token=lab.token(), method="TRACE", expect=501)


async def operators(lab: Laboratory) -> None:
    """Everything the admin listener tells, with the token and with another."""
    token = lab.planted("admin-token")
    for path in ("/readyz?verbose", "/metrics", "/livez"):
        await lab.ask(path, listener="admin", expect=200)
    for path in ("/config_dump", "/routes", "/blocks", "/loglevel", "/nothing"):
        await lab.ask(path, listener="admin", token=token, expect=404 if path == "/nothing" else 200)
        await lab.ask(path, listener="admin", token=lab.planted("wrong-admin-token"), expect=401)


async def reloads(lab: Laboratory) -> None:
    """A sound reload, a secret replaced in its file, and broken edits with secrets where none may stand."""
    gateway, planted = lab.gateway, lab.planted
    sound = gateway.document()
    gateway.write({**sound, "security_headers": {"X-Frame-Options": "sameorigin"}})
    await gateway.reload("applied")
    secret = gateway.folder / "bearer.secret"
    secret.write_text(planted("bearer-replaced"))
    lab.upstream.seen.clear()

    async def is_used() -> bool:
        await lab.ask("/bearer-file/x", token=lab.token(), expect=200)
        return planted("bearer-replaced") in lab.upstream.seen[-1].all("Authorization")[0]

    await until(is_used, "the replaced secret was never used")
    for place, credential in {
        "bare": {"inject": "bearer", "secret": planted("bare-secret")},
        "as a list": {"inject": "bearer", "secret": [planted("listed-secret")]},
        "unknown key": {"inject": "bearer", "secret": {"value": planted("keyed-secret")}},
        "beside": {"inject": "bearer", "secret": {"env": "ADMIN"}, "token": planted("beside-secret")},
        "as a name": {"inject": "bearer", "secret": {"env": planted("named-secret")}},
    }.items():
        gateway.write({**sound, "credentials": {**sound["credentials"], "bearer-env": credential}})
        await gateway.reload("refused")
        await commands(lab, place)
    url = f"https://user:{planted('userinfo')}@api.example.com"
    gateway.write({**sound, "upstreams": {**sound["upstreams"], "dead": {"url": url}}})
    await gateway.reload("refused")
    await commands(lab, "userinfo")
    (gateway.folder / "config.yaml").write_text(f"version: 1\ncredentials: {{a: {{secret: '{planted('torn-secret')}\n")
    await gateway.reload("refused")
    await commands(lab, "torn")
    gateway.write(sound)
    await gateway.reload("applied")


async def commands(lab: Laboratory, place: str, *, code: int = 78) -> None:
    """`check` and `config print` on what stands on disk; in a process of their own where it is sound, and where it is torn."""
    environ = {variable: lab.planted(name) for variable, name in {"REDIS": "redis-password", "PEPPER": "key-pepper"}.items()}
    environ |= {"ADMIN": lab.planted("admin-token"), "SHARED": lab.planted("token-secret"), "VAULT_KEY": lab.planted("vault key")}
    environ |= {f"SECRET_{kind.upper()}": lab.planted(f"{kind}-env") for kind in KINDS}

    async def run(*words: str) -> None:
        options = ("--config", str(lab.gateway.folder / "config.yaml"))
        if place not in {"sound", "torn"}:
            played = typed(lab.gateway.folder, *words, *options, **environ)
            assert played.returncode == code, (words, played)
            lab.planted.keep(f"gateway {' '.join(words)}, {place}", played.stdout.encode(), played.stderr.encode())
            return
        command = (sys.executable, "-m", "gateway", *words, *options)
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **environ}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        assert process.returncode == code, (words, out, err)
        lab.planted.keep(f"gateway {' '.join(words)}, {place}", out, err)

    await asyncio.gather(run("check"), run("config", "print"))


async def failing_store(lab: Laboratory) -> None:
    """Redis gone, then back with another password."""
    lab.redis.kill()
    await lab.ask("/basic-env/x", token=lab.token(), expect=200)
    lab.redis.start(lab.planted("other-redis-password"))
    await lab.ask("/basic-env/x", token=lab.token(), expect=200)


# The secret in `{env: NAME}` is a variable's name: a name that is not set is told, so that it can be set.
TOLD = ("named-secret",)


async def test_cwe_532_no_planted_secret_appears_in_any_output(tmp_path: Path, redis_server: RedisServer) -> None:
    """attacks.md row 113 and class F: 0 hits in logs, audit, spans, metrics, dumps, problem documents and response headers."""
    async with laboratory(tmp_path, redis_server) as lab:
        await allowed_requests(lab)
        await refused_requests(lab)
        await failing_upstreams(lab)
        await commands(lab, "sound", code=0)
        await operators(lab)
        await reloads(lab)
        await failing_store(lab)
        await operators(lab)
        lab.planted.keep("the collector's metrics and spans", *lab.received.raw)
    planted = lab.planted
    for name in TOLD:
        del planted.secrets[name]
    assert lab.received.spans
    assert lab.received.metrics
    assert b'"event":"config.refused"' in lab.gateway.audit
    assert len(planted.secrets) > 40
    assert planted.leaks() == []


@pytest.mark.parametrize("form", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_the_search_would_find_a_secret_in_each_spelling(form: int) -> None:
    planted = Planted()
    spelling = list(spellings(planted("query")))[form]
    planted.keep("here", b"before" + spelling + b"after")
    assert planted.leaks() == ["query in here"]
