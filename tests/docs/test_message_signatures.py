"""The page on message signatures: its client signs with another implementation of the RFC, and what its table says is answered."""

import runpy
from pathlib import Path

import httpx
import yaml
from cryptography.hazmat.primitives.asymmetric import ed25519

from tests.conftest import ROOT
from tests.house import house
from tests.issuer import EdKey
from tests.repository.test_docs import FENCE

PAGE = (ROOT / "docs" / "how-to" / "message-signatures.md").read_text(encoding="utf-8")
BLOCKS = FENCE.findall(PAGE)
WHOLE, POLICY, _ = (block for language, block in BLOCKS if language == "yaml")
CLIENT = next(block for language, block in BLOCKS if language == "python")
ROLES = "apiVersion: gateway/v1\nkind: Roles\nroles: {}\nbindings: []\n"


def signed(folder: Path, gateway: str, key: ed25519.Ed25519PrivateKey) -> httpx.Request:
    """The request that the page's client signs."""
    (folder / "client.py").write_text(CLIENT)
    made = runpy.run_path(str(folder / "client.py"), {"gateway": gateway, "private_key": key})["request"]
    assert isinstance(made, httpx.Request)
    return made


async def test_what_the_pages_client_signs_is_let_in_once_and_nothing_else(tmp_path: Path) -> None:
    document, key = yaml.safe_load(WHOLE), EdKey()
    document["authentication"]["signatures"]["agents"]["keys"]["agent-1"]["jwk"] = key.jwk(kid=None)
    document["routes"][0]["upstream"] = "plain"
    over = {name: document[name] for name in ("authentication", "routes")}
    async with house(tmp_path, policy=POLICY, roles=ROLES, **over) as gateway, httpx.AsyncClient() as client:
        host, port = gateway.address()
        url = f"http://{host}:{port}"
        good = signed(tmp_path, url, key.private)
        assert [(await client.send(good)).status_code for _ in range(2)] == [200, 401]
        assert gateway.upstream.seen[-1].body == good.content
        other = signed(tmp_path, url, key.private)
        other.headers["content-type"] = "text/plain"
        assert (await client.send(other)).status_code == 401
        doubled = signed(tmp_path, url, key.private)
        doubled.headers["authorization"] = "Bearer x.y.z"
        assert (await client.send(doubled)).status_code == 400
        assert (await client.send(signed(tmp_path, url, EdKey().private))).status_code == 401
        events = await gateway.requests()
        assert [event["credential_id"] for event in events if event["status"] == 200] == ["agent-1"]
        assert "signature agents: the signature was used before" in [event.get("detail") for event in events]
