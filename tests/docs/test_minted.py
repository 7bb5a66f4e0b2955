"""The pages on upstreams whose credentials are minted: their configurations load without a warning."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.cli.check import built
from gateway.settings.load import load
from tests.conftest import ROOT
from tests.repository.test_docs import FENCE

PAGES = ("oauth", "github", "google", "azure", "openai", "anthropic")
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: all
routes: ["*"]
rules: [{name: known, allow: any, when: "subject.issuer == 'corp'"}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the pages name."""
    folder = tmp_path_factory.mktemp("page")
    key = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {"type": "service_account", "client_email": "gw@example.com", "private_key_id": "k", "private_key": key}
    files = {
        "policies/policy.yaml": POLICY,
        "keys/github-app.pem": key,
        "keys/google.json": json.dumps(account),
        "secrets/identity-token": "e30.e30.x\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_the_configuration_of_the_page_is_sound(page: str, folder: Path) -> None:
    text = (ROOT / "docs" / "how-to" / f"upstream-{page}.md").read_text(encoding="utf-8")
    [block] = [block for language, block in FENCE.findall(text) if language == "yaml"]
    (folder / "config.yaml").write_text(block, encoding="utf-8")
    loaded = load([folder / "config.yaml"], environ={"IDP_CLIENT_SECRET": "9b1f0c7e5d3a48f2"})
    assert [str(problem) for problem in built(loaded)] == []
    assert "curl" in text
