"""The systemd unit: it does not loop on a bad configuration, drains in time, and is closed in."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.manifests import DEPLOY

UNIT = DEPLOY / "systemd" / "gateway.service"
SECTIONS = {"Unit", "Service", "Install"}
LINE = re.compile(r"[A-Z][A-Za-z]+=.+")


def settings() -> dict[str, list[str]]:
    """Every setting of [Service], in order."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line[1:-1]
        elif section == "Service" and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_every_line_is_a_section_a_setting_or_a_comment() -> None:
    lines = [line for line in UNIT.read_text().splitlines() if line and not line.startswith("#")]
    assert {line[1:-1] for line in lines if line.startswith("[")} == SECTIONS
    assert [line for line in lines if not line.startswith("[") and not LINE.fullmatch(line)] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Type", "exec"),
        ("RestartPreventExitStatus", "78"),
        ("Restart", "on-failure"),
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
    ],
)
def test_the_unit_says(name: str, value: str) -> None:
    assert settings()[name] == [value]


def test_secrets_are_handed_over_and_never_stand_in_the_environment() -> None:
    found = settings()
    assert all(re.fullmatch(r"[a-z.-]+:/etc/gateway/secrets/[a-z.-]+", value) for value in found["LoadCredential"])
    assert found["Environment"] == ["PYTHONDONTWRITEBYTECODE=1"]
    assert "EnvironmentFile" not in found


def test_it_stops_later_than_the_default_drain() -> None:
    assert int(settings()["TimeoutStopSec"][0]) > 30


def test_systemd_itself_accepts_the_unit_where_it_is_installed(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        return  # the tests above have read the unit themselves
    copy = tmp_path / "gateway.service"
    copy.write_text(UNIT.read_text().replace("/opt/latchgate/bin/gateway", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
