"""Where a character of a string's value stands in the YAML text it was written in.

A condition inside a policy file is compiled from its value; its errors are shown in the file.
"""

import re
from collections.abc import Callable
from typing import Final

ESCAPE_DIGITS: Final = {"x": 2, "u": 4, "U": 8}
LINE_END: Final = re.compile(r"\r\n|\n|\r")
FOLD: Final = re.compile(r"[ \t]*(?:\r\n|\n|\r)(?:[ \t]*(?:\r\n|\n|\r))*[ \t]*")
CONTINUATION: Final = re.compile(r"\\(?:\r\n|\n|\r)[ \t]*")
SPACES: Final = re.compile(" *")
Width = Callable[[str, int], int]


def source_offset(text: str, start: int, value: str, offset: int) -> int:
    """`start` is where the scalar begins in `text`, quote or block indicator included; `offset` counts in `value`."""
    style = text[start : start + 1]
    if style in {"|", ">"}:
        return _block(text, start, value, offset)
    if style == '"':
        return _flow(text, start + 1, offset, _escaped)
    if style == "'":
        return _flow(text, start + 1, offset, _doubled)
    return _flow(text, start, offset, _bare)


def _bare(_text: str, _at: int) -> int:
    return 1


def _doubled(text: str, at: int) -> int:
    """Single quotes: '' stands for one."""
    return 2 if text.startswith("''", at) else 1


def _escaped(text: str, at: int) -> int:
    """Double quotes: the length of what stands for one character (YAML 1.2 5.7)."""
    return 2 + ESCAPE_DIGITS.get(text[at + 1 : at + 2], 0) if text[at] == "\\" else 1


def _flow(text: str, at: int, offset: int, width: Width) -> int:
    """One line break folds to a space, several to one break fewer (YAML 1.2 6.5)."""
    done = 0
    while at < len(text):
        if width is _escaped and (joined := CONTINUATION.match(text, at)):
            at = joined.end()
            continue
        fold = FOLD.match(text, at)
        length = max(1, len(LINE_END.findall(fold[0])) - 1) if fold else 1
        if done + length > offset:
            return at
        done += length
        at = fold.end() if fold else at + width(text, at)
    return len(text)


def _block(text: str, start: int, value: str, offset: int) -> int:
    """A literal or folded block (YAML 1.2 8.1): each line without its indentation; the value says which breaks were kept."""
    header = LINE_END.search(text, start)
    if header is None:
        return start
    indent = _indentation(text, header.end(), value)
    at, done = _skip(text, header.end(), indent), 0
    while at < len(text):
        broken = LINE_END.match(text, at)
        counts = broken is None or value[done : done + 1] in {" ", "\n"}
        if counts and done == offset:
            return at
        done += counts
        at = _skip(text, broken.end(), indent) if broken else at + 1
    return at


def _skip(text: str, at: int, indent: int) -> int:
    found = SPACES.match(text, at, at + indent)
    return found.end() if found else at


def _indentation(text: str, at: int, value: str) -> int:
    """How many spaces the block's lines lost: what its first line with text has in the file, less what it has in the value."""
    first = re.compile(r"[ \t\r\n]*(?=[^ \t\r\n])")
    found, kept = first.match(text, at), first.match(value)
    if found is None or kept is None:
        return 0
    return max(0, _column(found[0]) - _column(kept[0]))


def _column(blank: str) -> int:
    return len(re.split(r"[\r\n]", blank)[-1])
