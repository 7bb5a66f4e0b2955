"""The tutorial on policies: followed from an empty folder, command by command, it prints what it says."""

import re
from pathlib import Path

import pytest

from docs import generate
from docs.console import Console, answered

TEXT = generate.WALKED.read_text(encoding="utf-8")


def test_every_command_of_the_tutorial_prints_what_the_page_shows() -> None:
    assert generate.walked(TEXT) == TEXT, "run `make docs`"


def test_the_tutorial_tests_explains_lints_compares_and_promotes() -> None:
    commands = re.findall(r"^\$ gateway ([a-z]+ ?[a-z]*)", TEXT, re.MULTILINE)
    assert {"check", "policy test", "policy explain", "policy lint", "policy diff", "policy promote"} <= {
        each.strip() for each in commands
    }


@pytest.mark.parametrize("wrong", [("unknown key 'permision'", "unknown key"), ("5 passed, 1 failed", "6 passed, 0 failed")])
def test_another_output_would_be_noticed(wrong: tuple[str, str]) -> None:
    """A guard on the guard."""
    assert wrong[0] in TEXT
    changed = TEXT.replace(*wrong)
    assert generate.walked(changed) != changed


def test_a_page_is_answered_in_its_folder_and_shows_the_folder_as_dots(tmp_path: Path) -> None:
    page = "```yaml\n# sub/a.yaml\nx: 1\n```\n\n```console\n$ cat sub/a.yaml && pwd\n$ false\n$ echo $?\n$ seq 3\nold\n…\n```\n"
    shown = "```console\n$ cat sub/a.yaml && pwd\n# sub/a.yaml\nx: 1\n…\n$ false\n$ echo $?\n1\n$ seq 3\n1\n…\n```\n"
    assert answered(page, tmp_path, {}, saves=True).endswith(shown)


def test_files_of_a_page_are_written_only_where_that_is_wanted(tmp_path: Path) -> None:
    answered("```yaml\n# a.yaml\nx: 1\n```\n", tmp_path, {}, saves=False)
    assert list(tmp_path.iterdir()) == []


def test_the_environment_of_a_command_is_that_of_the_page_alone(tmp_path: Path) -> None:
    assert Console(tmp_path, {"NAME": "x"}).typed("echo $NAME $GATEWAY_CONFIG $HOME") == "x"
