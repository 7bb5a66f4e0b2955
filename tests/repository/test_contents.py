"""What no tracked file may contain: addresses of package registries, paths of somebody's machine, secrets, words of a workplace."""

import json
import re
from pathlib import Path

import pytest

from tests.repository.tree import ROOT, tracked


def joined(*parts: str) -> str:
    """A pattern that this file does not itself contain."""
    return "".join(parts)


FORBIDDEN = {
    "registry address": joined(
        r"(pypi\.", r"org|python", r"hosted\.org|registry\.npm", r"js|npm", r"js\.org|docker\.", r"io/library)"
    ),
    "index option": joined(r"--(extra-)?index", r"-url|--find", r"-links|--trusted", r"-host"),
    "machine path": joined(r"(?<![\w.$}/-])/(ho", r"me|ro", r"ot|wo", r"rk|Users|mnt|ws)/[a-z]"),
    "private key": joined(r"-----BEGIN ([A-Z]+ )?PRIV", r"ATE KEY-----"),
    "provider token": joined(r"\b(gh[pousr]_[A-Za-z0-9]{36}|AKIA", r"[0-9A-Z]{16}|xox[bap]-[0-9]{10,})"),
    "workplace": joined(
        r"(?i)\b(colle",
        r"ague|brief\.m",
        r"d|this work",
        r"place|the CE",
        r"O\b|a helper ses",
        r"sion|issues? (no\.? ?|number )\d)",
    ),
    "unfinished": joined(r"\b(TO", r"DO|FIX", r"ME|XX", r"X)\b"),
}
BINARY = {".png", ".ico", ".woff2", ".xz"}


def text(file: Path) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", FORBIDDEN, ids=lambda kind: kind.replace(" ", "-"))
def test_no_tracked_file_contains(kind: str) -> None:
    pattern = re.compile(FORBIDDEN[kind])
    found = [
        f"{file}:{number}: {line.strip()[:120]}"
        for file in tracked()
        if file.suffix not in BINARY
        for number, line in enumerate(text(file).splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("kind", "sample"),
    [
        ("registry address", joined("https://pypi.", "org/simple")),
        ("index option", joined("--extra-index", "-url x")),
        ("machine path", joined("see /ho", "me/alice/x")),
        ("private key", joined("-----BEGIN PRIV", "ATE KEY-----")),
        ("provider token", "ghp_" + "a" * 36),
        ("unfinished", joined("# TO", "DO later")),
    ],
    ids=lambda value: value.replace(" ", "-") if " " in value and len(value) < 17 else "sample",
)
def test_the_patterns_find_what_they_are_for(kind: str, sample: str) -> None:
    """A guard on the guard."""
    assert re.search(FORBIDDEN[kind], sample)


def test_text_files_are_utf_8_end_with_a_newline_and_have_no_trailing_blanks() -> None:
    wrong = [
        str(file)
        for file in tracked()
        if file.suffix not in BINARY
        and (content := text(file))
        and (not content.endswith("\n") or re.search(r"[ \t]+$", content, re.MULTILINE))
    ]
    assert wrong == []


def test_scripts_are_executable_and_nothing_else_is() -> None:
    executable = {str(file) for file in tracked() if (ROOT / file).stat().st_mode & 0o111}
    scripts = {str(file) for file in tracked() if file.suffix not in BINARY and text(file).startswith("#!")}
    assert executable == scripts


RIVALS = [f"rivals/{file.stem}" for file in sorted((ROOT / "requirements" / "rivals").glob("*.txt"))]


@pytest.mark.parametrize("name", ["aws", "build", "dev", "runtime", "sslyze", *RIVALS])
def test_lock_files_pin_every_requirement_by_version_and_hash(name: str) -> None:
    content = text(Path(f"requirements/{name}.txt")).replace("\\\n", " ")
    entries = [line for line in content.splitlines() if line.strip()]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9][a-z0-9._-]*==\S+ ", entry), entry
        assert re.search(r" --hash=sha256:[0-9a-f]{64}", entry), entry


def test_the_development_lock_has_the_same_versions_as_the_runtime_lock() -> None:
    def versions(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9._-]+==\S+", text(Path(f"requirements/{name}.txt")), re.MULTILINE))

    assert versions("runtime") <= versions("dev")


@pytest.mark.parametrize("folder", ["tests/external/node", "bench/node"])
def test_the_node_locks_have_hashes_and_no_addresses(folder: str) -> None:
    packages = json.loads(text(Path(folder, "package-lock.json")))["packages"]
    installed = {name: package for name, package in packages.items() if name}
    assert installed
    assert all("integrity" in package and "resolved" not in package for package in installed.values())
