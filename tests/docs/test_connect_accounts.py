"""The page on connecting accounts: its files load without a warning."""

import base64
import re
from pathlib import Path

from gateway.cli.check import built
from gateway.settings.load import load
from tests.conftest import ROOT
from tests.login import KEY
from tests.repository.test_docs import FENCE

PAGE = ROOT / "docs" / "how-to" / "connect-accounts.md"
FILE = re.compile(r"^# (policies/\w+\.yaml)\n")


def test_the_files_of_the_page_load_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    for language, block in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language == "yaml":
            found = FILE.match(block)
            (tmp_path / (found[1] if found else "config.yaml")).write_text(block, encoding="utf-8")
    environ = {"LOGIN_CLIENT_SECRET": "9b1f0c7e5d3a48f2", "GITHUB_CLIENT_SECRET": "5d3a48f29b1f0c7e", "SESSION_KEY": KEY}
    environ["GATEWAY_VAULT_KEY"] = base64.b64encode(bytes(range(100, 132))).decode()
    loaded = load([tmp_path / "config.yaml"], environ=environ)
    assert [str(problem) for problem in [*loaded.problems, *built(loaded)]] == []
