"""The pages on API keys and workloads: what they configure loads without a warning, and lets in who they say."""

import json
import re
import shutil
from pathlib import Path

import pytest

from gateway.authn import key_format
from gateway.authz.cases import imagined
from gateway.cli.check import built
from gateway.core.decision import AccessRequest
from gateway.core.principal import Identity
from gateway.rehearsal import rehearse
from gateway.settings.load import load
from tests.conftest import ROOT
from tests.issuer import EcKey, jwks
from tests.pki import Pki
from tests.repository.test_docs import FENCE

PAGES = ROOT / "docs" / "how-to"
FILE = re.compile(r"^# (policies/\w+\.yaml)\n")
VARIABLES = {"GATEWAY_KEY_PEPPER": "k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u", "TRACKER_TOKEN": "9b1f0c7e5d3a48f2"}


def blocks(page: str, kind: str) -> list[str]:
    return [block for language, block in FENCE.findall((PAGES / page).read_text(encoding="utf-8")) if language == kind]


def written(folder: Path, page: str) -> Path:
    """The files of a page, and what they name."""
    for name in ("policies", "certs", "keys", "secrets"):
        (folder / name).mkdir()
    for block in blocks(page, "yaml"):
        found = FILE.match(block)
        if found or block.startswith("version:"):
            (folder / (found[1] if found else "config.yaml")).write_text(block, encoding="utf-8")
    pki = Pki(folder / "certs")
    for name in ("spire-bundle.crt", "cluster-ca.crt"):
        shutil.copy(pki.client_ca_file, folder / "certs" / name)
    pki.key.chmod(0o600)
    (folder / "keys" / "example.org.json").write_bytes(jwks(EcKey().jwk(use="jwt-svid")))
    (folder / "secrets" / "token").write_text("e30.e30.x\n")
    (folder / "secrets" / "token").chmod(0o600)
    return folder / "config.yaml"


@pytest.mark.parametrize("page", ["api-keys.md", "workloads.md"])
def test_what_a_page_configures_loads_without_a_warning(tmp_path: Path, page: str) -> None:
    loaded = load([written(tmp_path, page)], environ=VARIABLES)
    assert [str(problem) for problem in built(loaded)] == []


@pytest.mark.parametrize(
    ("issuer", "id", "claims", "allowed"),
    [
        ("mtls", "spiffe://example.org/ns/prod/sa/ci", {}, True),
        ("mesh", "spiffe://example.org/ns/prod/sa/ci", {}, True),
        ("mesh", "spiffe://example.org/ns/prod/sa/other", {}, False),
        ("cluster", "system:serviceaccount:prod:reports", {"kubernetes.io": {"namespace": "prod"}}, True),
        ("cluster", "system:serviceaccount:dev:reports", {"kubernetes.io": {"namespace": "dev"}}, False),
    ],
)
def test_the_page_on_workloads_lets_in_whom_it_says(
    tmp_path: Path, issuer: str, id: str, claims: dict[str, object], allowed: bool
) -> None:
    policies = rehearse(load([written(tmp_path, "workloads.md")], environ=VARIABLES)).policies
    principal = policies.grant(Identity(id=id, issuer=issuer, scheme="jwt", claims=claims))
    access = AccessRequest(imagined("GET", "/issues/1", client="192.0.2.1"), "issues", "tracker", {}, 0.0)
    assert policies.route("issues").decide(principal, access).allowed is allowed


def test_the_expression_for_scanners_finds_every_key_and_nothing_shorter() -> None:
    [expression] = blocks("api-keys.md", "text")
    pattern = re.compile(expression.strip())
    assert [each for each in blocks("api-keys.md", "toml") if expression.strip() in each]
    for _ in range(50):
        _, key = key_format.generate("lgk")
        assert pattern.findall(json.dumps({"key": key})) == [key]
        assert pattern.findall(f"x{key}") == pattern.findall(key[:-1]) == pattern.findall(key + "a") == []
