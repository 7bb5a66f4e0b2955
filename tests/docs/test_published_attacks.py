"""The page on published attacks names tests: each is there, and stands in a file that it names."""

import re

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "explanation" / "published-attacks.md").read_text(encoding="utf-8")
TESTS = {
    name
    for file in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)\(", file.read_text(encoding="utf-8"))
}


def test_every_test_it_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 20
    assert named <= TESTS


def test_every_place_it_names_is_there() -> None:
    places = re.findall(r"`(tests/[\w/.]+)`", PAGE)
    assert len(places) > 30
    assert [place for place in places if not (ROOT / place).exists()] == []
