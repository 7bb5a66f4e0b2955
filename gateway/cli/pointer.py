"""The line of a policy document that a problem is about, with a caret below the character.

Only of policy documents, which hold no secrets: a line of a configuration or key file is never shown.
"""

from pathlib import Path
from typing import Final
from unicodedata import east_asian_width

from gateway.config.regular import content
from gateway.core.errors import Problem

POLICY: Final = "apiVersion: gateway/"
MAX_BYTES: Final = 4_000_000
SHOWN: Final = 120
BEFORE: Final = 60


class Pointer:
    """Points into files, each of which is read once."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def lines(self, problem: Problem) -> list[str]:
        """The line and the caret, indented; none where the problem is not about a line of a policy document."""
        source = self._source(problem.file)
        if not 0 < problem.line <= len(source):
            return []
        line, place = source[problem.line - 1], problem.column - 1
        if not 0 <= place <= len(line):
            return []
        start = max(0, place - BEFORE) if len(line) > SHOWN else 0
        shown = "".join(character if character.isprintable() else " " for character in line[start : start + SHOWN])
        return [f"    {shown}", f"    {' ' * _width(shown[: place - start])}^"]

    def _source(self, file: str) -> list[str]:
        if file not in self._lines:
            self._lines[file] = _policy(Path(file))
        return self._lines[file]


def _policy(file: Path) -> list[str]:
    """The lines of a policy document, none of anything else."""
    try:
        found = content(file, MAX_BYTES)
        text = found.decode("utf-8")
    except (OSError, ValueError):
        return []
    if len(found) > MAX_BYTES:
        return []
    lines = text.removeprefix("\ufeff").split("\n")
    return lines if any(line.startswith(POLICY) for line in lines) else []


def _width(text: str) -> int:
    """Columns of a terminal."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
