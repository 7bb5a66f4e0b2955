"""sslyze, a scanner others wrote, against the gateway's TLS listener. It runs in an environment of its own and reaches loopback only."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.house import House, house
from tests.pki import Pki

SSLYZE = Path(os.environ.get("SSLYZE") or Path(__file__).parents[2] / ".make" / "sslyze" / "bin" / "sslyze")
SCANS = [
    "sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3",
    "compression", "early_data", "heartbleed", "robot", "openssl_ccs", "reneg", "fallback", "ems", "elliptic_curves",
]  # fmt: skip
CURVES = {"X25519", "X448", "secp256r1", "secp384r1", "secp521r1"}
TLS_1_3 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
FORWARD_SECRET = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}
# Read by the scanner's interpreter at its start: what leaves this machine is refused, and noted.
LOOPBACK_ONLY = """
import os, sys

def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] in ("127.0.0.1", "::1"):
        return
    if event == "socket.getaddrinfo" and arguments[0] in ("localhost", "127.0.0.1"):
        return
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        with open(os.environ["NETWORK_NOTES"], "a") as notes:
            print(event, arguments[1:] if event == "socket.connect" else arguments, file=notes)
        raise OSError("this machine has no network")

sys.addaudithook(watch)
"""


@pytest.fixture(scope="module")
def scanner() -> Path:
    """The program, in its own environment."""
    if not SSLYZE.exists():
        reason = "sslyze is missing: `make test` installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return SSLYZE


@asynccontextmanager
async def tls_listener(folder: Path, **tls: Any) -> AsyncIterator[House]:
    """A gateway with a TLS listener whose certificate is minted for `localhost`."""
    pki = Pki(folder)
    files = {"certificate": str(pki.certificate), "key": {"file": str(pki.key)}}
    pki.key.chmod(0o600)
    async with house(folder, listen={"address": "127.0.0.1:0", "tls": {**files, **tls}}) as gateway:
        yield gateway


async def scan(scanner: Path, gateway: House, folder: Path) -> dict[str, Any]:
    """Every scan's result by its name."""
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(LOOPBACK_ONLY)
    notes, report = folder / "notes", folder / "report.json"
    notes.touch()
    _, port = gateway.address()
    arguments = [f"--{name}" for name in SCANS]
    process = await asyncio.create_subprocess_exec(
        scanner, "--mozilla_config", "disable", "--quiet", "--json_out", report, *arguments, f"localhost:{port}",
        env={**os.environ, "PYTHONPATH": str(site), "NETWORK_NOTES": str(notes)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0, out.decode()
    assert notes.read_text() == ""
    [server] = json.loads(report.read_text())["server_scan_results"]
    assert server["scan_status"] == "COMPLETED", server
    results = {name: attempt for name, attempt in server["scan_result"].items() if attempt["status"] != "NOT_SCHEDULED"}
    assert {attempt["status"] for attempt in results.values()} == {"COMPLETED"}, results
    return {name: attempt["result"] for name, attempt in results.items()}


def accepted(results: dict[str, Any], protocol: str) -> set[str]:
    """The cipher suites taken with a protocol."""
    found = results[f"{protocol}_cipher_suites"]
    assert found["accepted_cipher_suites"] or found["rejected_cipher_suites"], "nothing was tried"
    return {suite["cipher_suite"]["name"] for suite in found["accepted_cipher_suites"]}


def assert_sound(results: dict[str, Any]) -> None:
    """What holds for every configuration."""
    for protocol in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        assert accepted(results, protocol) == set(), protocol
    assert accepted(results, "tls_1_3") == TLS_1_3
    assert not results["tls_compression"]["supports_compression"]
    assert not results["tls_1_3_early_data"]["supports_early_data"]
    assert not results["heartbleed"]["is_vulnerable_to_heartbleed"]
    assert not results["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"]
    assert results["robot"]["robot_result"] == "NOT_VULNERABLE_RSA_NOT_SUPPORTED"
    assert not results["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"]
    curves = {curve["name"] for curve in results["elliptic_curves"]["supported_curves"]}
    assert {"X25519", "secp256r1"} <= curves <= CURVES


async def test_by_default_only_tls_1_3_is_spoken(scanner: Path, tmp_path: Path) -> None:
    async with tls_listener(tmp_path) as gateway:
        results = await scan(scanner, gateway, tmp_path)
    assert_sound(results)
    assert accepted(results, "tls_1_2") == set()


async def test_tls_1_2_where_asked_for_takes_forward_secret_aead_suites_only(scanner: Path, tmp_path: Path) -> None:
    async with tls_listener(tmp_path, min_version="1.2") as gateway:
        results = await scan(scanner, gateway, tmp_path)
    assert_sound(results)
    assert accepted(results, "tls_1_2")
    assert accepted(results, "tls_1_2") <= FORWARD_SECRET
    assert results["session_renegotiation"]["supports_secure_renegotiation"]
    assert results["tls_extended_master_secret"]["supports_ems_extension"]
