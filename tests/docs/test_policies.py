"""The page on policies is played: its files are written as they stand, its commands answer what it says."""

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.repository.test_docs import FENCE
from tests.unit.cli.conftest import Command, command, folder

__all__ = ["command", "folder"]

PAGE = ROOT / "docs" / "how-to" / "policies.md"
FILE = re.compile(r"^# (policies/\w+\.yaml)\n")
TRAIL = "audit.jsonl"


def blocks(language: str) -> list[str]:
    return [block for found, block in FENCE.findall(PAGE.read_text(encoding="utf-8")) if found == language]


@pytest.fixture
def house(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the page configures."""
    (folder / "policies").mkdir()
    monkeypatch.setenv("GATEWAY_KEY_PEPPER", "5f1c0d7be2a94d0f8e6b3a7c9d1e2f40")
    monkeypatch.setenv("FILES_TOKEN", "token-of-the-files")
    for block in blocks("yaml"):
        found = FILE.match(block)
        (folder / (found[1] if found else "config.yaml")).write_text(block, encoding="utf-8")
    (folder / "api-keys.yaml").write_text("[]\n")
    for name, lines in zip((TRAIL,), blocks("json"), strict=False):
        (folder / name).write_text(lines)
    return folder


def played() -> list[tuple[str, str]]:
    """Each command of the page with what it says it prints."""
    found = []
    for block in blocks("console"):
        for part in block.split("$ ")[1:]:
            line, _, output = part.partition("\n")
            found.append((line, output))
    return found


@pytest.mark.parametrize(("line", "output"), played(), ids=[line for line, _ in played()])
def test_the_page_on_policies_says_what_its_commands_print(house: Path, command: Command, line: str, output: str) -> None:
    program, *arguments = shlex.split(line)
    assert program == "gateway"
    code, out, err = command(*arguments)
    assert (code, err) == (0, "")
    assert settled(out.replace(f"{house}/", "…/")) == settled(output)


def settled(output: str) -> list[str]:
    """Lines without the digests of files, which change with them."""
    return re.sub(r"(policy rev|then,) [0-9a-f]{12}", r"\1 DIGEST", output).split("\n")
