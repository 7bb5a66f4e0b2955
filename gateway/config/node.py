"""A parsed file: plain data beside the place in the text of every node of it."""

import re
from bisect import bisect_right
from typing import Any, Final

from gateway.config.offset import LINE_END, source_offset
from gateway.core.errors import Problem

PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
Steps = tuple[str | int, ...]
Mark = int | tuple[int, Any]
"""A scalar's character offset, or a collection's with the marks of its items: a list, or a dict of (key offset, mark)."""


class Document:
    """One file: `value` is plain data (None when it could not be parsed), `marks` where each node of it stands."""

    __slots__ = ("_lines", "file", "marks", "problems", "text", "value")

    def __init__(self, file: str, text: str, value: Any, marks: Mark, problems: list[Problem]) -> None:
        self.file = file
        self.text = text
        self.value = value
        self.marks = marks
        self.problems = problems
        self._lines: list[int] | None = None

    def place(self, path: Steps, key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the node at `path`, or of its key. For what is absent, of the deepest node present."""
        return self.line_column(self.offset(path, key))

    def where(self, path: Steps, key: bool = False) -> tuple[str, int, int]:
        """File, line and column of the node at `path`, or of its key."""
        return (self.file, *self.place(path, key))

    def locate(self, path: Steps, offset: int) -> tuple[int, int]:
        """Line and column of the character `offset` of the string at `path`, through quotes, escapes and folded lines."""
        node, value = self.marks, self.value
        for step in path:
            node, value = _child(node, step), value[step]
        start = _start(node)
        return self.line_column(source_offset(self.text, start, str(value), offset))

    def plain(self, mark: Mark) -> bool:
        """Whether the scalar there is written without quotes and not as a block."""
        return self.text[_start(mark) : _start(mark) + 1] not in {'"', "'", "|", ">"}

    def problem(self, path: Steps, message: str, hint: str = "", *, key: bool = False, severity: str = "error") -> Problem:
        """A finding about the node at `path`."""
        return Problem(*self.where(path, key), dotted(path), message, hint, severity)

    def line_column(self, offset: int) -> tuple[int, int]:
        if self._lines is None:
            self._lines = [0, *(found.end() for found in LINE_END.finditer(self.text))]
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1

    def offset(self, path: Steps, key: bool = False) -> int:
        """The character at which the node at `path` begins, or its key. For what is absent, of the deepest node present."""
        node, offset = self.marks, _start(self.marks)
        for step in path:
            found = _entry(node, step)
            if found is None:
                return offset
            keyed, node = found
            offset = keyed if key else _start(node)
        return offset


def dotted(path: Steps) -> str:
    """`("routes", 3, "match", "path")` -> `routes[3].match.path`."""
    text = ""
    for step in path:
        if isinstance(step, str) and PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{step}]" if isinstance(step, int) else f'["{step[:80]}"]'
    return text


def _start(mark: Mark) -> int:
    return mark if isinstance(mark, int) else mark[0]


def _entry(mark: Mark, step: str | int) -> tuple[int, Mark] | None:
    """The key's offset and the mark of one item, None when there is no such item."""
    if isinstance(mark, int):
        return None
    items = mark[1]
    if isinstance(items, dict):
        entry: tuple[int, Mark] | None = items.get(step)
        return entry
    if isinstance(step, int) and 0 <= step < len(items):
        return _start(items[step]), items[step]
    return None


def _child(mark: Mark, step: str | int) -> Mark:
    found = _entry(mark, step)
    if found is None:
        raise KeyError(step)
    return found[1]
