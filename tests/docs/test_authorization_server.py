"""The page on programs that act for people: its files load without a warning."""

import re
from pathlib import Path

from gateway.cli.check import built
from gateway.settings.load import load
from tests.conftest import ROOT
from tests.login import KEY
from tests.repository.test_docs import FENCE

PAGE = ROOT / "docs" / "how-to" / "authorization-server.md"
FILE = re.compile(r"^# (policies/\w+\.yaml)\n")
SECRETS = {"LOGIN_CLIENT_SECRET": "9b1f0c7e5d3a48f2", "SESSION_KEY": KEY, "TOKENS_KEY": KEY[::-1], "NOTES_SECRET": KEY.swapcase()}


def test_the_files_of_the_page_load_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    for language, block in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language == "yaml":
            found = FILE.match(block)
            (tmp_path / (found[1] if found else "config.yaml")).write_text(block, encoding="utf-8")
    loaded = load([tmp_path / "config.yaml"], environ=SECRETS)
    assert [str(problem) for problem in [*loaded.problems, *built(loaded)]] == []
