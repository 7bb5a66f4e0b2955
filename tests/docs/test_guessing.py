"""The page on guessing: each of its configurations loads, and the first is what counts anyway."""

from pathlib import Path

import pytest

from gateway.detection.model import Detection
from gateway.settings.load import load
from tests.conftest import ROOT
from tests.repository.test_docs import FENCE

PAGE = ROOT / "docs" / "how-to" / "guessing.md"
BLOCKS = [block for language, block in FENCE.findall(PAGE.read_text(encoding="utf-8")) if language == "yaml"]


def shown(folder: Path, block: str) -> Detection:
    (folder / "config.yaml").write_text(block if block.startswith("version:") else "version: 1\n" + block, encoding="utf-8")
    loaded = load([folder / "config.yaml"], environ={})
    assert loaded.settings is not None
    assert loaded.errors == []
    return loaded.settings.detection


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_each_configuration_of_the_page_loads(tmp_path: Path, number: int) -> None:
    assert shown(tmp_path, BLOCKS[number]) is not None


def test_the_first_is_the_default(tmp_path: Path) -> None:
    assert shown(tmp_path, BLOCKS[0]) == Detection()
