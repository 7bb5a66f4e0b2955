"""The line of a policy document with a caret."""

from pathlib import Path

import pytest

from gateway.cli import report
from gateway.cli.pointer import Pointer
from gateway.core.errors import Problem
from tests.asking import compiled

HEAD = "apiVersion: gateway/v1\nkind: Policy\nname: p\nroutes: ['*']\nrules:\n"


def pointed(file: Path, line: int, column: int) -> list[str]:
    return Pointer().lines(Problem(str(file), line, column, "", "wrong"))


@pytest.mark.parametrize(
    "written",
    [
        "    when: subject.id == requst.method\n",
        "    when: 'subject.id == requst.method'\n",
        "    when: |\n      subject.id ==\n        requst.method\n",
        "    when: >-\n      subject.id\n      == requst.method\n",
        "    when: >\n      subject.id ==\n\n      requst.method\n",
        "    when: |2\n      subject.id == requst.method\n",
        "    when:\n      - subject.id == 'a'\n      - subject.id == requst.method\n",
        '    when: "subject.id == \\"a\\" || subject.id ==\n      requst.method"\n',
        "    when: |\n      // a comment\n      subject.id == requst.method\n",
    ],
    ids=lambda text: text.split("\n")[0].strip() + str(text.count("\n")),
)
def test_the_caret_stands_below_the_mistake_however_the_condition_is_written(tmp_path: Path, written: str) -> None:
    _, problems = compiled(tmp_path, f"{HEAD}  - name: a\n    allow: any\n{written}")
    (problem,) = [problem for problem in problems if "requst" in problem.message]
    line, caret = Pointer().lines(problem)
    assert line[caret.index("^") :].startswith("requst")


def test_the_text_for_people_has_the_line_and_the_caret(tmp_path: Path) -> None:
    _, problems = compiled(tmp_path, f"{HEAD}  - name: a\n    allow: any\n    when: 1 / 0 == 1\n")
    shown = report.text([problem for problem in problems if problem.severity == "error"]).split("\n")
    assert shown[0].endswith("0.yaml:8:13: rules[0].when: divided by zero")
    assert shown[1:3] == ["        when: 1 / 0 == 1", "                ^"]


def test_a_line_of_a_configuration_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("version: 1\nsecret: hunter2\n", encoding="utf-8")
    assert pointed(file, 2, 9) == []


@pytest.mark.parametrize(("line", "column"), [(0, 1), (99, 1), (2, 99), (2, 0), (-1, 1)])
def test_a_place_that_is_not_there_is_not_shown(tmp_path: Path, line: int, column: int) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(HEAD, encoding="utf-8")
    assert pointed(file, line, column) == []
    assert pointed(tmp_path / "none.yaml", 1, 1) == []


def test_a_long_line_is_cut_around_the_place_and_wide_characters_count_twice(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(f"{HEAD}{'a' * 500}X{'b' * 500}\n\u6f22\u5b57\tX\x1b[2J\n", encoding="utf-8")
    line, caret = pointed(file, 6, 501)
    assert len(line) <= 124
    assert line[caret.index("^")] == "X"
    line, caret = pointed(file, 7, 4)
    assert "\x1b" not in line
    assert caret == "         ^"
