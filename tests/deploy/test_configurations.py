"""The configurations under deploy/ are ones the gateway takes without an error or a warning."""

import secrets
from pathlib import Path

import pytest
import trustme

from gateway.settings.load import load
from tests.deploy.manifests import DEPLOY, EDGE, SIDECAR, Manifest, one

SECRETS = ("redis-password", "key-pepper", "demo-token", "admin-token", "github-token")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What /run/secrets and its two folders would hold in a container."""
    folder = tmp_path / "run"
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    for place in (folder, folder / "gateway", folder / "gateway-tls"):
        place.mkdir()
        for name in SECRETS:
            write(place / name, secrets.token_urlsafe(36).encode())
        write(place / "tls.crt", b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        write(place / "tls.key", certificate.private_key_pem.bytes())
        authority.cert_pem.write_to_path(str(place / "ca.crt"))
    return folder


def write(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    file.chmod(0o440)


def problems(config: Path) -> list[str]:
    return [str(problem) for problem in load([config], environ={"POD_IP": "10.0.0.7"}).problems]


def test_the_compose_gateway_is_configured_well(tmp_path: Path, run: Path) -> None:
    source = DEPLOY / "compose" / "gateway"
    (tmp_path / "policies").mkdir()
    for file in source.glob("policies/*.yaml"):
        (tmp_path / "policies" / file.name).write_text(file.read_text())
    (tmp_path / "api-keys.yaml").write_text("[]\n")
    text = (source / "config.yaml").read_text().replace("/run/secrets", str(run)).replace("/var/lib/gateway", str(tmp_path))
    (tmp_path / "config.yaml").write_text(text)
    assert problems(tmp_path / "config.yaml") == []


@pytest.mark.parametrize("manifests", [pytest.param(EDGE, id="edge"), pytest.param(SIDECAR, id="sidecar")])
def test_the_config_maps_are_configured_well(manifests: list[Manifest], tmp_path: Path, run: Path) -> None:
    """One warning is right and stays: the admin port leaves loopback for the kubelet, and the NetworkPolicy closes it to all others."""
    for name, text in one(manifests, "ConfigMap", "gateway-config")["data"].items():
        (tmp_path / name).write_text(text.replace("/run/secrets", str(run)))
    (warning,) = problems(tmp_path / "config.yaml")
    assert "warning: admin.address:" in warning


def test_a_mistake_would_be_found(tmp_path: Path) -> None:
    """A guard on the guard."""
    (tmp_path / "config.yaml").write_text("version: 1\nlistn: {}\n")
    assert any("listn" in problem for problem in problems(tmp_path / "config.yaml"))
