"""The official MCP SDK finds its way in by itself: RFC 9728 discovery at the gateway, a token of a real OpenID provider, a tool call.

And the same provider's opaque tokens, by introspection.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_asyncio

from tests.external.oidc import CLIENT, CLIENT_SECRET, OpenIdProvider, openid_provider, unused_port
from tests.house import config, house
from tests.login import KEY
from tests.pki import Pki

HERE = Path(__file__).parent / "mcp"
PYTHON = Path(os.environ.get("MCP") or Path(__file__).parents[2] / ".make" / "mcp" / "bin" / "python")
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: tests
routes: ["*"]
rules:
  - {name: read, allow: [GET, POST, DELETE], when: "'notes:read' in subject.scopes"}
  - {name: opaque, allow: [GET], when: "subject.issuer == 'opaque' && subject.id == 'alice'"}
"""
ROLES = "{apiVersion: gateway/v1, kind: Roles, roles: {nobody: [nothing:here]}}"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter that has the MCP SDK."""
    if not PYTHON.exists():
        reason = "the MCP SDK is missing: `make test` installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return PYTHON


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider(node: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpenIdProvider]:
    async with openid_provider(node, tmp_path_factory.mktemp("provider")) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(python: Path) -> AsyncIterator[int]:
    """The port of an MCP server."""
    process = await asyncio.create_subprocess_exec(python, HERE / "server.py", stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(await asyncio.wait_for(process.stdout.readline(), 60))
    finally:
        process.kill()
        await process.wait()


async def ran(*command: str | Path, **environ: str) -> dict[str, Any]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env={**os.environ, **environ})
    out, errors = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, errors.decode()
    told: dict[str, Any] = json.loads(out)
    return told


def settings(provider: OpenIdProvider, port: int, server: int) -> dict[str, Any]:
    issuer = f"http://127.0.0.1:{provider.port}"
    here = {"allow_plaintext": True, "allow_private": True}
    url = f"http://127.0.0.1:{port}/mcp"
    idp = {"issuer": issuer, "audience": [url], "jwks": {"discovery": True, **here}, "algorithms": ["RS256"], "profile": "rfc9068"}
    opaque = {"url": f"{issuer}/token/introspection", "client": {"id": CLIENT, "secret": {"env": "CLIENT_SECRET"}}, **here}
    return {
        "listen": {"address": f"127.0.0.1:{port}"},
        "authentication": {
            "jwt": {"idp": idp},
            "introspection": {"opaque": {**opaque, "issuer": issuer, "audience": "none", "cache": "0s", "negative_cache": "0s"}},
        },
        "detection": {"rules": []},
        "resources": {"notes": {"url": url, "scopes": ["notes:read"]}},
        "upstreams": {
            "mcp": {"url": f"http://127.0.0.1:{server}", **here},
            "plain": config(0)["upstreams"]["plain"] | {"url": f"http://127.0.0.1:{provider.api}"},
        },
        "credentials": {},
        "routes": [
            {"name": "mcp", "match": {"path": "/mcp"}, "upstream": "mcp", "authenticate": ["jwt.idp"], "resource": "notes"},
            {"name": "counts", "match": {"path": "/counts"}, "upstream": "plain", "authenticate": ["introspection.opaque"]},
        ],
    }


async def test_the_mcp_client_finds_its_way_from_the_url_alone(
    tmp_path: Path, provider: OpenIdProvider, server: int, python: Path
) -> None:
    port = unused_port()
    async with house(
        tmp_path, policy=POLICY, roles=ROLES, environ={"CLIENT_SECRET": CLIENT_SECRET}, **settings(provider, port, server)
    ) as gateway:
        url = f"http://127.0.0.1:{port}/mcp"
        told = await ran(python, HERE / "client.py", url, "alice")
        assert (told["tools"], told["answered"], told["scope"]) == (["note"], ["note 7 of this server"], "notes:read")
        assert told["asked"][:2] == [
            ["POST", url, 401],
            ["GET", f"http://127.0.0.1:{port}/.well-known/oauth-protected-resource/mcp", 200],
        ]
        claims = jwt.decode(told["token"], options={"verify_signature": False})
        assert (claims["aud"], jwt.get_unverified_header(told["token"])["typ"]) == (url, "at+jwt")
        decided = [event for event in await gateway.requests() if event["route"] == "mcp"]
        assert {(event["issuer"], event["subject"]) for event in decided if event["decision"] == "allow"} == {("idp", "alice")}
        assert decided[0]["reason"] == "credential-missing"


async def test_the_mcp_client_gets_tokens_of_the_gateway_itself_for_who_logs_in_and_consents(
    tmp_path: Path, node: str, server: int, python: Path
) -> None:
    port, pki = unused_port(), Pki(tmp_path)
    origin = f"https://127.0.0.1:{port}"
    pki.ca.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    here = {"allow_plaintext": True, "allow_private": True}
    async with openid_provider(node, tmp_path, redirect_uris=[f"{origin}/.gateway/callback/idp"]) as idp:
        entry = {"issuer": f"http://127.0.0.1:{idp.port}", "client_id": CLIENT, "client_secret": {"env": "CLIENT_SECRET"}, **here}
        route = {"name": "mcp", "match": {"path": "/mcp"}, "upstream": "mcp", "authenticate": ["tokens"], "resource": "notes"}
        chosen: dict[str, Any] = {
            "listen": {"address": f"127.0.0.1:{port}", "tls": {"certificate": "server.crt", "key": {"file": "server.key"}}},
            "authentication": {"login": {"idp": entry}, "sessions": {"base_url": origin, "key": {"env": "KEY"}}},
            "tokens": {"issuer": origin, "key": {"env": "KEY"}},
            "clients": {
                "mcp-client": {
                    "auth": "none",
                    "grants": ["authorization_code", "refresh_token"],
                    "scopes": ["notes:read"],
                    "audiences": [f"{origin}/mcp"],
                    "redirect_uris": ["http://127.0.0.1/callback"],
                }
            },
            "resources": {"notes": {"url": f"{origin}/mcp", "scopes": ["notes:read"]}},
            "upstreams": {"mcp": {"url": f"http://127.0.0.1:{server}", **here}},
            "credentials": {},
            "routes": [route],
        }
        environ = {"CLIENT_SECRET": CLIENT_SECRET, "KEY": KEY}
        async with house(tmp_path, policy=POLICY, roles=ROLES, environ=environ, **chosen) as gateway:
            told = await ran(python, HERE / "client.py", f"{origin}/mcp", "alice", "mcp-client", CA=str(tmp_path / "ca.crt"))
            assert (told["tools"], told["answered"], told["scope"]) == (["note"], ["note 7 of this server"], "notes:read")
            assert told["refreshes"]
            assert [f"{origin}/.well-known/oauth-authorization-server", 200] in [each[1:] for each in told["asked"]]
            claims = jwt.decode(told["token"], options={"verify_signature": False})
            assert (claims["iss"], claims["aud"], claims["sub"]) == (origin, f"{origin}/mcp", "idp:alice")
            decided = [event for event in await gateway.requests() if event["route"] == "mcp"]
            assert {(event["issuer"], event["subject"]) for event in decided if event["decision"] == "allow"} == {("idp", "alice")}


async def test_a_real_providers_opaque_tokens_count_until_they_end_and_its_refresh_tokens_never(
    tmp_path: Path, provider: OpenIdProvider, server: int
) -> None:
    port = unused_port()
    async with house(
        tmp_path, policy=POLICY, roles=ROLES, environ={"CLIENT_SECRET": CLIENT_SECRET}, **settings(provider, port, server)
    ) as gateway:
        given = await provider.made("alice")
        access, refresh = given["access_token"], given["refresh_token"]
        assert (await gateway.get("/counts", token=access)).status == 200
        for wrong in (refresh, access[:-1], "invented"):
            assert (await gateway.get("/counts", token=wrong)).status == 401
        assert await provider.takes(refresh)
        await provider.end(access)
        assert (await gateway.get("/counts", token=access)).status == 401
        detail = {event.get("detail") for event in await gateway.requests()}
        assert {"introspection opaque: not active", "introspection opaque: no token_type"} <= detail
