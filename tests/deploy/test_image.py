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


def pins(lock: Path) -> dict[str, str]:
    """The version of each package in a lock file."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", lock.read_text(), re.MULTILINE))


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
    default = next(value for name, value in instructions() if name == "ARG")
    assert re.fullmatch(r"PYTHON=python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", default)
    stages = [value.split()[0] for name, value in instructions() if name == "FROM"]
    assert len(stages) == 2
    assert set(stages) == {"${PYTHON}"}


def test_every_installation_checks_hashes_or_reaches_for_nothing() -> None:
    runs = " && ".join(value for name, value in instructions() if name == "RUN")
    installs = [part for part in runs.split("&&") if " install " in part or "pip wheel " in part]
    assert len(installs) == 5
    (debian,) = [part for part in installs if "apt-get" in part]
    for part in installs:
        assert part is debian or "--require-hashes" in part or "--no-deps" in part
    packages = [word for word in shlex.split(debian)[2:] if not word.startswith("-")]
    assert packages
    assert all("=" in package for package in packages)


def test_the_request_path_is_compiled_unless_the_builder_is_told_otherwise(final: list[tuple[str, str]]) -> None:
    """The compiler stays in the builder: what is copied from it is the environment alone."""
    arguments = [value for name, value in instructions() if name == "ARG"]
    assert "COMPILED=1" in arguments
    runs = [value for name, value in instructions() if name == "RUN"]
    assert any(run.startswith("HATCH_BUILD_HOOKS_ENABLE=${COMPILED} python -m pip wheel ") for run in runs)
    assert not [value for name, value in final if "gcc" in value or "COMPILED" in value]


def test_what_compiles_is_what_judges_the_types_and_builds_the_tests_wheel() -> None:
    """One version of mypy and of hatchling, whichever lock is installed from."""
    locks = {name: pins(ROOT / "requirements" / f"{name}.txt") for name in ("build", "runtime", "dev", "compile")}
    for package, version in locks["compile"].items():
        for name, lock in locks.items():
            assert lock.get(package, version) == version, f"{package} in {name}.txt"
    assert {"mypy", "hatchling", "hatch-mypyc", "setuptools"} <= set(locks["compile"])


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
