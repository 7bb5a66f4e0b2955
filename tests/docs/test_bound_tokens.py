"""The page on bound tokens: its configurations load without an error, and what its table says is what is answered."""

import time
from pathlib import Path
from typing import Any

import yaml

from gateway.cli.check import built
from gateway.settings.load import load
from tests.conftest import ROOT
from tests.holding import Holder
from tests.house import House, house
from tests.repository.test_docs import FENCE

PAGE = ROOT / "docs" / "how-to" / "bound-tokens.md"
BLOCKS = [block for language, block in FENCE.findall(PAGE.read_text(encoding="utf-8")) if language == "yaml"]
WHOLE, POLICY, STATE, NONCE = BLOCKS
SECRET = "k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u"
URL = "https://api.example.com/payments/7"
ROLES = "apiVersion: gateway/v1\nkind: Roles\nroles: {}\nbindings: []\n"


def test_the_configurations_of_the_page_are_sound(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "payments.yaml").write_text(POLICY)
    for number, block in enumerate((WHOLE, STATE, NONCE)):
        (tmp_path / f"{number}.yaml").write_text(block)
    for layers in ([0], [0, 1], [0, 2], [0, 1, 2]):
        files = [tmp_path / f"{number}.yaml" for number in layers]
        loaded = load(files, environ={"REDIS_PASSWORD": "redis-value", "DPOP_NONCE_KEY": SECRET})
        assert [str(problem) for problem in built(loaded)] == []


class Client:
    """Who has a token of the page's issuer, behind the page's proxy."""

    def __init__(self, gateway: House) -> None:
        self.gateway = gateway
        self.holder = Holder(url=URL)
        self.token = gateway.keys.token(cnf=self.holder.cnf, scope="payments:read")

    def proof(self, **more: Any) -> str:
        return self.holder.proof(self.token, **{"iat": int(time.time()), **more}).decode()

    async def ask(self, *proofs: str, word: str = "DPoP", token: str = "") -> tuple[int, str]:
        lines = ["GET /payments/7?x=1 HTTP/1.1", "Host: api.example.com", "X-Forwarded-Proto: https"]
        lines += [f"Authorization: {word} {token or self.token}", *(f"DPoP: {proof}" for proof in proofs)]
        reply = await self.gateway.raw("\r\n".join(lines).encode() + b"\r\n\r\n")
        return reply.status, (reply.get("WWW-Authenticate") or "") + (reply.get("DPoP-Nonce") or "")


def played(folder: Path, *blocks: str) -> dict[str, Any]:
    """The page's settings with the addresses of a test."""
    document = yaml.safe_load(WHOLE)
    document["listen"]["address"] = "127.0.0.1:0"
    document["authentication"]["jwt"]["corp"]["jwks"] = {"file": str(folder / "jwks.json")}
    for block in blocks:
        document["authentication"]["dpop"] |= yaml.safe_load(block)["authentication"]["dpop"]
    document["routes"][0]["upstream"] = "plain"
    return {name: document[name] for name in ("listen", "authentication", "routes")}


async def test_the_table_says_what_is_answered(tmp_path: Path) -> None:
    async with house(tmp_path, policy=POLICY, roles=ROLES, **played(tmp_path)) as gateway:
        client = Client(gateway)
        good = client.proof()
        assert await client.ask(good) == (200, "")
        for proofs in ((), (good,), (client.proof(), client.proof()), (client.proof(iat=1),), (client.proof(htm="PUT"),)):
            status, challenge = await client.ask(*proofs)
            assert status == 401
            assert challenge.startswith("DPoP ")
            assert 'error="invalid_dpop_proof"' in challenge
        ordinary = gateway.keys.token(scope="payments:read")
        for word, token in (("Bearer", client.token), ("Bearer", ordinary), ("DPoP", ordinary)):
            status, challenge = await client.ask(client.proof(), word=word, token=token)
            assert status == 401
            assert 'error="invalid_token"' in challenge
        details = [event["detail"] for event in await gateway.requests() if event["status"] == 401]
        assert "dpop: the proof was used before" in details


async def test_a_nonce_is_asked_for_as_the_page_says(tmp_path: Path) -> None:
    environ = {"DPOP_NONCE_KEY": SECRET}
    async with house(tmp_path, policy=POLICY, roles=ROLES, environ=environ, **played(tmp_path, NONCE)) as gateway:
        client = Client(gateway)
        status, challenge = await client.ask(client.proof())
        nonce = challenge.rpartition('"')[2]
        assert status == 401
        assert 'error="use_dpop_nonce"' in challenge
        assert await client.ask(client.proof(nonce=nonce)) == (200, "")
