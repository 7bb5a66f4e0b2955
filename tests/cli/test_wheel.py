"""The wheel, installed where nothing of the checkout can be seen: `gateway demo --check` needs no network and no files."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Whoever asks for a name or connects beyond this machine ends with an error. Loaded by the interpreter itself at its start.
NO_NETWORK = """
import ipaddress, sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        if not ipaddress.ip_address(arguments[1][0]).is_loopback:
            raise OSError("this machine has no network")
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "127.0.0.1", "::1", "localhost", b"127.0.0.1"):
        raise OSError("this machine has no network")

sys.addaudithook(watch)
"""


def run(*command: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **environ}
    found = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=100)
    assert found.returncode == 0, found.stdout + found.stderr
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    [built] = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the wheel in it; what the wheel depends on is seen, not copied."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False, symlinks=True)
    interpreter = home / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    run(
        sys.executable, "-m", "pip", "--python", interpreter, "install", "--quiet", "--no-deps", "--no-index", wheel,
        cwd=home, PIP_DISABLE_PIP_VERSION_CHECK="1",
    )  # fmt: skip
    (packages / "seen.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (packages / "offline.py").write_text(NO_NETWORK)
    (packages / "offline.pth").write_text("import offline\n")
    return interpreter


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        assert tops == {"gateway", f"latchgate-{wheel.name.split('-')[1]}.dist-info"}
        assert "gateway/py.typed" in archive.namelist()


def test_the_installed_wheel_is_what_runs(python: Path, tmp_path: Path) -> None:
    """An editable checkout on the path would prove nothing."""
    found = run(python, "-c", "import gateway; print(gateway.__file__)", cwd=tmp_path)
    assert Path(found.stdout.strip()).is_relative_to(python.parents[1])


def test_without_a_network_means_without(python: Path, tmp_path: Path) -> None:
    reach = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"
    found = subprocess.run([python, "-c", reach], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert found.returncode == 1
    assert "no network" in found.stderr


@pytest.mark.parametrize("script", ["gateway", "latchgate"])
def test_the_demo_answers_five_requests_right_from_an_empty_folder(python: Path, tmp_path: Path, script: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    found = run(python.with_name(script), "demo", "--check", cwd=home, HOME=str(home), TMPDIR=str(tmp_path))
    *answers, count = found.stdout.splitlines()
    assert count == "5/5"
    assert [line.split()[:2] for line in answers] == [["ok", status] for status in ("200", "401", "403", "429", "400")]
    assert list(home.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_the_version_is_that_of_the_wheel(python: Path, wheel: Path, tmp_path: Path) -> None:
    found = run(python.with_name("gateway"), "version", "--json", cwd=tmp_path)
    assert json.loads(found.stdout)["gateway"] == wheel.name.split("-")[1]
