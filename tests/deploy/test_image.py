"""The container image's recipe: pinned, locked, without root and without what could install more."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HADOLINT = Path(sys.executable).parent / "hadolint"


def instructions() -> list[tuple[str, str]]:
    """(instruction, argument) of the Dockerfile, continuation lines joined."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], " ".join(line.partition(" ")[2].split())) for line in lines]


@pytest.fixture(scope="module")
def final() -> list[tuple[str, str]]:
    """The instructions of the last stage."""
    found = instructions()
    last = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    return found[last + 1 :]


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([HADOLINT, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_can_find_something(tmp_path: Path) -> None:
    """A guard on the guard."""
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN apt-get install curl\n")
    done = subprocess.run([HADOLINT, tmp_path / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "DL3006" in done.stdout


def test_the_base_is_pinned_by_version_and_digest() -> None:
    (default,) = [value for name, value in instructions() if name == "ARG"]
    assert re.fullmatch(r"PYTHON=python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", default)
    stages = [value.split()[0] for name, value in instructions() if name == "FROM"]
    assert len(stages) == 2
    assert set(stages) == {"${PYTHON}"}


def test_every_installation_checks_hashes_or_reaches_for_nothing() -> None:
    runs = " && ".join(value for name, value in instructions() if name == "RUN")
    installs = [part for part in runs.split("&&") if " install " in part or "pip wheel " in part]
    assert len(installs) == 4
    for part in installs:
        assert "--require-hashes" in part or "--no-deps" in part


def test_the_result_has_no_root_no_installer_and_no_build_tools(final: list[tuple[str, str]]) -> None:
    assert ("USER", "65532:65532") in final
    copied = [value for name, value in final if name == "COPY"]
    assert copied == ["--from=builder /opt/latchgate /opt/latchgate"]
    (removal, check) = [value for name, value in final if name == "RUN"]
    assert "pip uninstall --yes" in removal
    assert all(name in shlex.split(removal) for name in ("pip", "setuptools", "wheel"))
    assert "ensurepip" in removal
    assert check == "gateway version"


def test_it_needs_no_writable_file_system(final: list[tuple[str, str]]) -> None:
    assert any(name == "ENV" and "PYTHONDONTWRITEBYTECODE=1" in value for name, value in final)
    assert not [value for name, value in final if name == "VOLUME"]
    assert any("compileall" in value for name, value in instructions() if name == "RUN")


def test_it_starts_the_gateway_and_asks_it_for_its_health(final: list[tuple[str, str]]) -> None:
    said = dict(final)
    assert said["ENTRYPOINT"] == '["gateway"]'
    assert said["CMD"] == '["serve"]'
    assert said["HEALTHCHECK"].endswith('CMD ["gateway", "healthcheck"]')
    assert said["STOPSIGNAL"] == "SIGTERM"


def test_the_build_sees_only_what_it_copies() -> None:
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignore[1] == "*"
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    sources = {
        word.partition("/")[0]
        for name, value in instructions()
        if name == "COPY" and not value.startswith("--from")
        for word in value.split()[:-1]
    }
    assert sources == allowed
    assert all((ROOT / name).exists() for name in allowed)
