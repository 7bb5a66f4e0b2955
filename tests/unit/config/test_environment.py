"""Files of environment variables."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.environment import read_env_file, variables

LINES = {
    "plain": ("A=b", {"A": "b"}),
    "spaces around": ("  A = b c  ", {"A": "b c"}),
    "export": ("export A=b", {"A": "b"}),
    "empty": ("A=", {"A": ""}),
    "equals in the value": ("A=b=c==", {"A": "b=c=="}),
    "comment line": ("# A=b\n   # too", {}),
    "comment after": ("A=b # why", {"A": "b"}),
    "hash in the value": ("A=b#c", {"A": "b#c"}),
    "only a comment": ("A= # why", {"A": ""}),
    "single quotes": ("A=' b # $X \\n '", {"A": " b # $X \\n "}),
    "double quotes": ('A=" b\\n\\"c\\" \\\\ "  # why', {"A": ' b\n"c" \\ '}),
    "no substitution": ("A=${HOME}", {"A": "${HOME}"}),
    "windows lines": ("A=b\r\nB=c\r\n", {"A": "b", "B": "c"}),
    "byte order mark": ("\ufeffA=b", {"A": "b"}),
}


@pytest.mark.parametrize(("text", "expected"), LINES.values(), ids=LINES.keys())
def test_lines_are_read(tmp_path: Path, text: str, expected: dict[str, str]) -> None:
    (tmp_path / "env").write_bytes(text.encode())
    assert read_env_file(tmp_path / "env") == (expected, [])


WRONG = {
    "no equals": ("hunter2", "not KEY=VALUE"),
    "no name": ("=hunter2", "not KEY=VALUE"),
    "bad name": ("A-B=hunter2", "not KEY=VALUE"),
    "open quote": ("A='hunter2", "the value of A is quoted wrongly"),
    "text after the quote": ('A="x" hunter2', "the value of A is quoted wrongly"),
    "twice": ("A=x\nA=hunter2", "the variable A is set twice in this file"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_line_that_is_none_is_told_by_its_number_and_without_its_text(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "env"
    file.write_text(f"OK=1\n{text}\nLAST=2\n")
    found, [problem] = read_env_file(file)
    assert {"OK": "1", "LAST": "2"}.items() <= found.items()
    assert (problem.message, problem.line) == (message, 3 if "\n" in text else 2)
    assert "hunter2" not in str(problem)


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    found, [problem] = read_env_file(tmp_path / "absent")
    assert found == {}
    assert problem.message == "cannot be read: No such file or directory"


def test_later_files_win_and_the_real_environment_wins_over_all(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("A=one\nB=one\nC=one\n")
    two.write_text("B=two\nC=two\n")
    known, problems = variables([one, two], {"C": "real"})
    assert problems == []
    assert known == {"A": "one", "B": "two", "C": "real"}


@given(content=st.binary(max_size=60))
@settings(max_examples=300)
def test_whatever_the_file_holds_it_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.env"
    file.write_bytes(content)
    found, problems = read_env_file(file)
    assert all("=" not in name for name in found)
    assert all(problem.line >= 1 for problem in problems)
