"""A credential that is genuine and not accepted where it is shown is no guess, and blocks nobody; what only looks so is one."""

import hmac
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.fakes import stored_key
from tests.house import AUDIENCE, ISSUER, Keys, house, request_bytes
from tests.login import ORIGIN, PAGE, SESSION, Browser, login_house
from tests.security.test_guessing import BEHIND_A_PROXY, PEPPER, STRANGER, THRESHOLD, VICTIM, Guessed

HOOK = "a webhook's secret, long enough!"
LOST_ROLES = """
apiVersion: gateway/v1
kind: Roles
roles: {member: ["things:use"]}
bindings:
  - {from_claim: roles, issuer: corp, only: [member]}
  - {role: member, subjects: [hooks:hub]}
"""


@asynccontextmanager
async def many_ways(folder: Path) -> AsyncIterator[Guessed]:
    """Routes for keys, for tokens, and for signed requests."""
    corp = {"issuer": ISSUER, "audience": [AUDIENCE], "jwks": {"file": "jwks.json"}, "algorithms": ["ES256"]}
    hooks = {"header": "X-Signature", "secrets": [{"env": "HOOK"}], "subject": "hub"}
    authentication = {
        "api_keys": {"file": "api-keys.yaml", "pepper": {"env": "PEPPER"}},
        "jwt": {"corp": corp},
        "hmac": {"hooks": hooks},
    }
    ways = {"keyed": "api_keys", "tokens": "jwt.corp", "hooks": "hmac.hooks"}
    routes = [{"name": name, "match": {"path": f"/{name}"}, "upstream": "api", "authenticate": [way]} for name, way in ways.items()]
    key, _ = stored_key(
        folder / "api-keys.yaml", PEPPER.encode(), now=time.time(), name="mine", subject="mine", permissions=["things:use"]
    )
    document: dict[str, Any] = {"authentication": authentication, "routes": routes, "listen": BEHIND_A_PROXY}
    async with house(folder, environ={"PEPPER": PEPPER, "HOOK": HOOK}, roles=LOST_ROLES, **document) as running:
        yield Guessed(running, {"mine": key})


async def test_a_genuine_credential_that_is_not_accepted_here_blocks_nobody(tmp_path: Path) -> None:
    """A webhook that is delivered again, a token for another audience, a key where none is taken."""
    body = b"{}"
    signature = {"X-Signature": hmac.digest(HOOK.encode(), body, "sha256").hex()}
    async with many_ways(tmp_path) as gateway:

        async def sent(target: str, **fields: str) -> int:
            data = request_bytes(target, method="POST", headers={"X-Forwarded-For": VICTIM, **fields}, body=body)
            return (await gateway.house.raw(data, method="POST")).status

        tokens, key = gateway.house.keys, gateway.keys["mine"]
        assert await sent("/hooks", **signature) == 200
        lost = [
            ("/hooks", signature),
            ("/tokens", {"Authorization": f"Bearer {tokens.token(aud='https://elsewhere.example.com')}"}),
            ("/tokens", {"X-Api-Key": key}),
            ("/tokens", {"Authorization": f"Bearer {key}"}),
        ]
        for target, fields in lost:
            assert [await sent(target, **fields) for _ in range(THRESHOLD + 1)] == [401] * (THRESHOLD + 1), target
        assert await sent("/tokens", Authorization=f"Bearer {tokens.token()}") == 200
        assert await gateway.told("address.blocked") == []
        reasons = {each["reason"] for each in await gateway.told("request") if each["status"] == 401}
        assert reasons == {"credential-invalid"}


@pytest.mark.parametrize("kind", ["another's signature", "a made-up key", "a made-up webhook", "no signature at all"])
async def test_what_only_looks_genuine_is_a_guess(tmp_path: Path, kind: str) -> None:
    async with many_ways(tmp_path) as gateway:
        (tmp_path / "evil").mkdir()
        forged = Keys(tmp_path / "evil").token(aud="https://elsewhere.example.com")
        target, fields = {
            "another's signature": ("/tokens", {"Authorization": f"Bearer {forged}"}),
            "a made-up key": ("/tokens", {"X-Api-Key": gateway.wrong("mine")}),
            "a made-up webhook": ("/hooks", {"X-Signature": 64 * "0"}),
            "no signature at all": ("/tokens", {"Authorization": f"Bearer {forged.rpartition('.')[0]}."}),
        }[kind]
        asked = [(await gateway.ask(STRANGER, None, target=target, **fields)).status for _ in range(THRESHOLD + 1)]
        assert asked == [401] * THRESHOLD + [403]


async def test_a_session_that_a_route_does_not_accept_blocks_nobody(tmp_path: Path) -> None:
    """A browser sends its cookie to every route of the host."""
    async with login_house(tmp_path, "corp", "partner", over={"detection": {}}) as (gateway, [_corp, partner]):
        browser = Browser(gateway)
        assert (await browser.login(partner)).status == 303
        for target in ("/app/home", "/tokens/x"):
            assert [(await browser.get(target)).status for _ in range(THRESHOLD + 1)] == [401] * (THRESHOLD + 1)
        assert (await browser.get("/both/x")).status == 200
        made_up = {"Cookie": f"{SESSION}={'A' * 43}"}
        asked = [(await browser.get("/tokens/x", headers=made_up)).status for _ in range(THRESHOLD + 1)]
        assert asked == [401] * THRESHOLD + [403]


async def test_a_login_that_is_cancelled_at_the_provider_blocks_nobody(tmp_path: Path) -> None:
    async with login_house(tmp_path, over={"detection": {}}) as (gateway, [corp]):
        browser = Browser(gateway)
        for _ in range(THRESHOLD + 1):
            begun = await browser.get("/.gateway/login?provider=corp", headers=PAGE)
            state = parse_qs(urlsplit(begun["location"]).query)["state"][0]
            told = urlencode({"error": "access_denied", "state": state, "iss": corp.issuer})
            assert (await browser.get(f"{ORIGIN}/.gateway/callback/corp?{told}", headers=PAGE)).status == 401
        assert (await browser.login(corp)).status == 303
        # A code is another matter: it can be guessed.
        asked = []
        for _ in range(THRESHOLD + 1):
            begun = await browser.get("/.gateway/login?provider=corp", headers=PAGE)
            if begun.status == 303:
                state = parse_qs(urlsplit(begun["location"]).query)["state"][0]
                told = urlencode({"code": "guessed", "state": state, "iss": corp.issuer})
                begun = await browser.get(f"{ORIGIN}/.gateway/callback/corp?{told}", headers=PAGE)
            asked.append(begun.status)
        assert asked == [401] * THRESHOLD + [403]
