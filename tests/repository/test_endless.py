"""A test that never ends does not hold up the others: its process ends, and says where it was."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import LONGEST
from tests.repository.tree import ROOT

ENDLESS = """
import threading

import pytest

@pytest.fixture
def endless():
    yield
    threading.Event().wait()

def test_it(endless):
    assert False
"""


def test_what_a_failed_test_leaves_open_cannot_hang_the_run(tmp_path: Path) -> None:
    """As a loop does that never closes: pytest's own watch, and that of pytest-timeout, end with the failure."""
    file = tmp_path / "test_endless.py"
    file.write_text(ENDLESS)
    words = ("-p", "tests.conftest", "-p", "no:xdist", "-c", "pyproject.toml", "--rootdir", ".", "-o", "faulthandler_timeout=3")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *words, str(file)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "in endless" in ended.stderr


@pytest.mark.parametrize("name", LONGEST)
def test_what_is_called_long_is_there(name: str) -> None:
    assert (ROOT / "tests" / name).is_file()
