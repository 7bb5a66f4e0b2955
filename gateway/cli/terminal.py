"""What is printed: text that can neither redraw a terminal nor forge a line of its own, and JSON."""

from collections.abc import Sequence
from typing import Any, Final

import orjson

KEPT: Final = "\n"


def printable(text: str) -> str:
    """The text with every character that is not printable as its escape, line ends kept."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(each if each.isprintable() or each in KEPT else _escape(each) for each in text)


def one_line(text: str) -> str:
    """The same on one line."""
    return printable(text).replace("\n", "\\n")


def say(text: str) -> None:
    """Print it."""
    print(printable(text))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Each row as a line, with its cells below those of the others. The last cell is as long as it is."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), row[-1]]) for row in cells]


def json(document: Any) -> str:
    """A document as JSON, over lines."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _escape(character: str) -> str:
    """As JSON writes it, so that JSON stays what it is."""
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
