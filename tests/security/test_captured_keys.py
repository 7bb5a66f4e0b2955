"""Temporary AWS keys that answers mint: the client gets three words to sign with, and what they stand for is shown to nobody."""

import json
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.aws import SECRET, sign, verify
from tests.fakes import stored_key
from tests.granting import KEY
from tests.house import House, Reply, Seen, Upstream, house
from tests.minting import reply
from tests.security.test_nothing_comes_back import leaks

PEPPER = "k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u"
TOKEN = "session+0/9zA_b-C=d~7.e0123456789"
ID = "AKIDEXAMPLE00000"
KEYS = {"AccessKeyId": ID, "SecretAccessKey": SECRET, "SessionToken": TOKEN, "Expiration": "2040-01-01T00:00:00Z"}
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: all
routes: ["*"]
rules: [{name: all, allow: any}]
"""
ROLES = """
apiVersion: gateway/v1
kind: Roles
roles: {client: ["aws:use"]}
"""
ACTIONS = ("AssumeRole", "GetSessionToken")


def route(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "match": {"path": f"/{name}/**"}, "upstream": "aws", "authenticate": ["api_keys"], **more}


def capture(format: str) -> dict[str, Any]:
    pointers = [f"/{action}Response/{action}Result/Credentials" for action in ACTIONS]
    return {"spend_with": "session", "format": format, "aws_keys": pointers}


def answered(format: str, keys: dict[str, Any], action: str = "AssumeRole", status: int = 200) -> bytes:
    """An answer of STS, that says the session token a second time."""
    if format == "json":
        document = {f"{action}Response": {f"{action}Result": {"Credentials": keys, "Also": keys.get("SessionToken")}}}
        return reply(document, status)
    told = "".join(f"<{name}>{value}</{name}>" for name, value in keys.items())
    inner = f"<{action}Result><Credentials>{told}</Credentials><Also>{keys.get('SessionToken')}</Also></{action}Result>"
    text = f"<{action}Response>{inner}</{action}Response>".encode()
    return b"HTTP/1.1 %d Said\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%b" % (status, len(text), text)


class Scene:
    def __init__(self, gateway: House, upstream: Upstream, keys: dict[str, str]) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.keys = keys

    async def ask(self, target: str, who: str = "alice", method: str = "POST", **fields: str) -> Reply:
        return await self.gateway.get(target, method=method, headers={"X-Api-Key": self.keys[who], **fields})

    async def minted(self, format: str = "json", action: str = "AssumeRole", **keys: Any) -> tuple[str, str, str]:
        """The three words."""
        self.upstream.answer = answered(format, KEYS | keys, action)
        said = await self.ask(f"/{format}/x")
        assert said.status == 200
        assert not leaked(said)
        found = [
            re.search(rf'{name}[">:]+([^"<]+)', said.body.decode()) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
        ]
        id, secret, token = [each[1] for each in found if each is not None]
        assert (id[:4], len(id), token[:5]) == ("LGPK", 20, "lgp1_")
        return id, secret, token

    async def spent(self, words: tuple[str, str, str], who: str = "alice") -> Reply:
        date = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%dT%H%M%SZ")
        said = {"host": "gw.test", "x-amz-security-token": words[2]}
        fields = sign("GET", "/spend/key", said, keys=words[:2], date=date, payload="UNSIGNED-PAYLOAD")
        del fields["host"]  # it is sent anyway
        return await self.ask("/spend/key", who, "GET", **fields)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("keys")
    keys = {who: stored_key(folder / "keys.yaml", PEPPER.encode(), name=who, now=time.time())[0] for who in ("alice", "mallory")}
    async with Upstream() as upstream:
        given: dict[str, Any] = {
            "vault": {"keys": [{"id": "k1", "env": "VAULT_KEY"}]},
            "authentication": {"api_keys": {"file": "keys.yaml", "pepper": {"env": "PEPPER"}}},
            "credentials": {"session": {"inject": "captured_keys", "regions": ["eu-west-1"], "services": ["s3"]}},
            "upstreams": {
                "aws": {"url": f"http://127.0.0.1:{upstream.port}", "allow_plaintext": True, "allow_private": True},
            },
            "routes": [
                route("json", capture=capture("json")),
                route("xml", capture=capture("xml")),
                route("spend", credential="session"),
            ],
        }
        async with house(folder, policy=POLICY, roles=ROLES, environ={"VAULT_KEY": KEY, "PEPPER": PEPPER}, **given) as gateway:
            yield Scene(gateway, upstream, keys)


pytestmark = pytest.mark.asyncio(loop_scope="module")


def leaked(said: Reply) -> bool:
    return bool(leaks({ID.encode(), SECRET.encode(), TOKEN.encode()}, said.body + repr(said.headers).encode()))


def echo(seen: Seen) -> bytes:
    """All that an upstream was told."""
    return reply({"headers": seen.headers}, 200, *(f"X-Echo-{place}: {value}" for place, (_, value) in enumerate(seen.headers)))


@pytest.mark.parametrize("format", ["json", "xml"])
@pytest.mark.parametrize("action", ACTIONS)
async def test_keys_become_words_that_sign_and_the_upstream_verifies_the_real_ones(scene: Scene, format: str, action: str) -> None:
    words = await scene.minted(format, action)
    scene.upstream.answer = echo
    said = await scene.spent(words)
    assert said.status == 200
    seen = scene.upstream.seen[-1]
    assert (verify(seen.method, seen.target, seen.headers, seen.body, id=ID).date, seen.all("x-amz-security-token")) == (
        seen.all("x-amz-date")[0],
        [TOKEN],
    )
    assert not any(word in str(seen.headers) for word in words)
    assert not leaked(said)
    event = [each for each in await scene.gateway.events() if each["event"] == "credential.captured"][-1]
    assert (event["subject"], event["credential"], len(event["fields"])) == ("alice", "session", 3)


async def test_numbers_say_when_keys_end_too(scene: Scene) -> None:
    """AWS STS answers in JSON with a Unix time."""
    words = await scene.minted(Expiration=2.2e9)
    scene.upstream.answer = echo
    assert (await scene.spent(words)).status == 200


async def test_a_stranger_cannot_sign_with_the_words_of_another(scene: Scene) -> None:
    words, before = await scene.minted(), len(scene.upstream.seen)
    assert (await scene.spent(words, "mallory")).status == 403
    assert (await scene.spent((words[0], SECRET, words[2]))).status == 403
    assert len(scene.upstream.seen) == before
    faults = [each["fault"] for each in await scene.gateway.events() if each["event"] == "placeholder.refused"]
    assert faults[-2:] == ["altered", "signature"]


async def test_a_signed_url_is_refused(scene: Scene) -> None:
    """Whoever is handed it is somebody else."""
    id, _, token = await scene.minted()
    said = await scene.ask(
        f"/spend/key?X-Amz-Credential={id}%2F20261122%2Feu-west-1%2Fs3&X-Amz-Security-Token={token}", method="GET"
    )
    assert said.status == 403
    assert token not in json.dumps(await scene.gateway.events())


WITHHELD: dict[str, dict[str, Any]] = {
    "no session token": {"SessionToken": None},
    "no secret": {"SecretAccessKey": None},
    "no end": {"Expiration": None},
    "ended": {"Expiration": "2020-01-01T00:00:00Z"},
    "no time": {"Expiration": "soon"},
    "a short secret": {"SecretAccessKey": "short"},
    "too long": {"SessionToken": "t" * 4097},
    "too long together": {"SessionToken": "t" * 4000, "SecretAccessKey": "s" * 4000},
}


@pytest.mark.parametrize("name", WITHHELD)
async def test_keys_that_cannot_be_captured_whole_are_withheld(scene: Scene, name: str) -> None:
    keys = {key: value for key, value in (KEYS | WITHHELD[name]).items() if value is not None}
    for format in ("json", "xml"):
        scene.upstream.answer = answered(format, keys)
        said = await scene.ask(f"/{format}/x")
        assert (said.status, said.json()["type"].rpartition(":")[2]) == (403, "response-withheld")
        assert not leaked(said)


async def test_keys_where_nobody_looks_for_them_are_withheld(scene: Scene) -> None:
    """An action that the configuration does not name."""
    for format in ("json", "xml"):
        scene.upstream.answer = answered(format, KEYS, "AssumeRoot")
        assert (await scene.ask(f"/{format}/x")).status == 403


async def test_keys_in_a_failure_are_captured_too(scene: Scene) -> None:
    scene.upstream.answer = answered("json", KEYS, status=500)
    said = await scene.ask("/json/x")
    assert (said.status, leaked(said), b"LGPK" in said.body) == (500, False, True)
