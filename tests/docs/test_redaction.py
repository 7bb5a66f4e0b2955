"""The page on redaction: its files load without a warning and its cases pass."""

import re
from pathlib import Path

from gateway.authz.cases import run
from gateway.cli.check import built
from gateway.rehearsal import rehearse, see
from gateway.settings.load import load
from tests.conftest import ROOT
from tests.repository.test_docs import FENCE

PAGE = ROOT / "docs" / "how-to" / "redaction.md"
FILE = re.compile(r"^# (policies/\w+\.yaml)\n")


def test_the_cases_of_the_page_see_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    blocks = [block for language, block in FENCE.findall(PAGE.read_text(encoding="utf-8")) if language == "yaml"]
    for block in blocks:
        found = FILE.match(block)
        if found or block.startswith("version:"):
            (tmp_path / (found[1] if found else "config.yaml")).write_text(block, encoding="utf-8")
    loaded = load([tmp_path / "config.yaml"], environ={"CRM_TOKEN": "9b1f0c7e5d3a48f2"})
    assert [str(problem) for problem in built(loaded)] == []
    place = rehearse(loaded)
    report = run(place.documents, place.policies, place.match, see=see)
    assert [result.message for result in report.results if result.message] == []
    assert report.passed == 6
