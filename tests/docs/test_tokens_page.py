"""The page on tokens: its configuration loads without a warning, and the agent gets what it says, and no more."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from gateway.cli.check import built
from gateway.settings.load import load
from tests.conftest import ROOT
from tests.house import House, house
from tests.repository.test_docs import FENCE
from tests.tokening import SECRETS, basic, exchange, stated

PAGE = (ROOT / "docs" / "how-to" / "tokens.md").read_text(encoding="utf-8")
WHOLE, POLICY, ROLES = [block for language, block in FENCE.findall(PAGE) if language == "yaml"]
VARIABLES = {
    "TOKENS_KEY": SECRETS["MASTER"].decode(),
    "REPORTS_SECRET": SECRETS["REPORTS"].decode(),
    "AGENT_SECRET": SECRETS["AGENT"].decode(),
}


def test_what_the_page_configures_loads_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "issues.yaml").write_text(POLICY)
    (tmp_path / "policies" / "roles.yaml").write_text(ROLES)
    (tmp_path / "config.yaml").write_text(WHOLE)
    loaded = load([tmp_path / "config.yaml"], environ=VARIABLES)
    assert [str(problem) for problem in built(loaded)] == []


async def asked(gateway: House, client: str, key: str, form: dict[str, Any]) -> Any:
    name, value = basic(client, key)
    headers = {name.decode(): value.decode(), "Content-Type": "application/x-www-form-urlencoded"}
    reply = await gateway.get(
        "/.gateway/token", method="POST", headers=headers, body=urlencode(form).encode(), host="gw.example.com"
    )
    assert (reply.get("Cache-Control") or "").startswith("no-store")
    assert reply.get("Content-Type") == "application/json"
    return reply.status, json.loads(reply.body)


def played(folder: Path) -> dict[str, Any]:
    """The page's settings with the addresses of a test."""
    document = yaml.safe_load(WHOLE)
    document["listen"]["address"] = "127.0.0.1:0"
    document["authentication"]["jwt"]["corp"]["jwks"] = {"file": str(folder / "jwks.json")}
    for route in document["routes"]:
        route["upstream"] = "plain"
    return {name: document[name] for name in ("listen", "authentication", "tokens", "clients", "routes")}


async def test_the_agent_of_the_page_gets_less_than_alice_has(tmp_path: Path) -> None:
    async with house(tmp_path, policy=POLICY, roles=ROLES, environ=VARIABLES, **played(tmp_path)) as gateway:

        async def status(token: str, target: str = "/issues", method: str = "GET") -> int:
            return (await gateway.get(target, method=method, token=token, host="gw.example.com")).status

        own = {"grant_type": "client_credentials", "scope": "issues:read"}
        code, found = await asked(gateway, "reports", "REPORTS", own)
        assert (code, found["scope"], await status(found["access_token"])) == (200, "issues:read", 200)
        assert await status(found["access_token"], "/issues/7", "DELETE") == 403

        alice = gateway.keys.token(scope="issues:read issues:close")
        assert await status(alice, "/issues/7", "DELETE") == 200
        [form] = re.findall(r"^(grant_type=urn\S+)$", PAGE, re.MULTILINE)
        asks = dict(pair.split("=", 1) for pair in form.split("&")) | {"subject_token": alice, "budget": "3"}
        code, found = await asked(gateway, "agent", "AGENT", asks)
        assert code == 200
        assert 0 < found["expires_in"] <= 300
        token = found["access_token"]
        assert stated(token)["act"] == {"sub": "agent", "iss": "clients"}
        assert [await status(token), await status(token, "/issues/7", "DELETE"), await status(token)] == [200, 403, 200]
        spent = await gateway.get("/issues", token=token, host="gw.example.com")
        assert (spent.status, json.loads(spent.body)["budget"]) == (401, "exhausted")

        wide = exchange(token, scope="issues:close")
        assert await asked(gateway, "agent", "AGENT", wide) == (
            400,
            {"error": "invalid_scope", "error_description": "more was asked for than the subject has"},
        )
        code, told = await asked(gateway, "agent", "REPORTS", wide)
        assert (code, told["error"]) == (401, "invalid_client")
        events = await gateway.events()
        assert [event["grant"] for event in events if event["event"] == "token.issued"] == ["client_credentials", "token_exchange"]
        assert {event["subject"] for event in events if event["event"] == "request" and event["route"] == "issues.list"} >= {
            "alice"
        }


async def test_the_published_keys_are_those_that_sign(tmp_path: Path) -> None:
    async with house(tmp_path, policy=POLICY, roles=ROLES, environ=VARIABLES, **played(tmp_path)) as gateway:
        reply = await gateway.get("/.gateway/jwks.json", host="gw.example.com")
        keys = json.loads(reply.body)["keys"]
        assert [set(key) for key in keys] == [{"kty", "crv", "x", "y", "kid", "use", "alg"}] * 3
