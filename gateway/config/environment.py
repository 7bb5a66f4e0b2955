"""Files of environment variables (`--env-file`): `KEY=VALUE` lines.

A later file wins over an earlier one, and the real environment over every file: what a supervisor or an operator sets
for one start is not undone by a file.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from gateway.config.document import read_text
from gateway.core.errors import Problem

ASSIGNMENT: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=[ \t]*(.*)", re.ASCII)
SINGLE: Final = re.compile(r"'([^']*)'\s*(?:#.*)?")
DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
COMMENT: Final = re.compile(r"(?:^|\s)#.*")
ESCAPE: Final = re.compile(r"\\(.)")
ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


def variables(files: Iterable[Path], environ: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    """Everything that `${VAR}` and `{env: NAME}` can name."""
    merged: dict[str, str] = {}
    problems: list[Problem] = []
    for file in files:
        found, wrong = read_env_file(file)
        merged |= found
        problems += wrong
    return merged | dict(environ), problems


def read_env_file(file: Path) -> tuple[dict[str, str], list[Problem]]:
    """The variables of one file; a line that is none is a problem and the others count. Values are never shown."""
    found: dict[str, str] = {}
    try:
        text = read_text(file)
    except ValueError as error:
        return found, [Problem(str(file), 1, 1, "", str(error))]
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            name, value = _assignment(line)
            if name in found:
                raise ValueError(f"the variable {name} is set twice in this file")
            found[name] = value
        except ValueError as error:
            problems.append(Problem(str(file), number, 1, "", str(error)))
    return found, problems


def _assignment(line: str) -> tuple[str, str]:
    parts = ASSIGNMENT.fullmatch(line)
    if parts is None:
        raise ValueError("not KEY=VALUE")
    name, value = parts[1], parts[2]
    if value.startswith("'"):
        return name, _quoted(SINGLE, name, value)
    if value.startswith('"'):
        return name, ESCAPE.sub(lambda found: ESCAPES.get(found[1], found[1]), _quoted(DOUBLE, name, value))
    return name, COMMENT.sub("", value).strip()


def _quoted(form: re.Pattern[str], name: str, value: str) -> str:
    found = form.fullmatch(value)
    if found is None:
        raise ValueError(f"the value of {name} is quoted wrongly")
    return found[1]
