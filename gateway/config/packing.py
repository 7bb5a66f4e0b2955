"""Documents for another process of this gateway, and back. Both ends are this module, in one version."""

import marshal
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

from gateway.config.document import Document, read
from gateway.core.errors import Problem

PIECE: Final = 250
"""Items of a list that are taken up at once: meanwhile nothing else runs in the process."""


def read_each(paths: Iterable[Path]) -> list[Document]:
    """Read in this process."""
    return [read(path) for path in paths]


def texts(documents: Iterable[Document]) -> list[Document]:
    """What is left of documents that nobody looks into any more: their texts and problems."""
    return [Document(document.file, document.text, None, 0, document.problems) for document in documents]


def pack(documents: Iterable[Document]) -> bytes:
    """Documents for another process of this gateway."""
    return marshal.dumps([_pack(document) for document in documents])


def unpack(content: bytes | memoryview) -> list[Document]:
    """The documents that `pack` took."""
    return [_unpack(pieces) for pieces in taken(content)]


def _pack(document: Document) -> list[bytes]:
    """A head, and long lists in pieces."""
    value, marks = document.value, document.marks
    pieces: list[bytes] = []
    counts: dict[str, int] = {}
    if isinstance(value, dict) and not isinstance(marks, int):
        value, marks = dict(value), (marks[0], dict(marks[1]))
        for key in [key for key, child in value.items() if isinstance(child, list) and len(child) > PIECE]:
            at, (start, inner) = marks[1][key]
            items = value[key]
            cuts = range(0, len(items), PIECE)
            pieces += [marshal.dumps((items[cut : cut + PIECE], inner[cut : cut + PIECE])) for cut in cuts]
            counts[key], value[key], marks[1][key] = len(cuts), [], (at, (start, []))
    problems = [astuple(problem) for problem in document.problems]
    return [marshal.dumps((document.file, document.text, value, marks, problems, counts)), *pieces]


def taken(content: bytes | memoryview) -> Any:
    """What `marshal.dumps` was given, in a process of this gateway: never content that anybody else could have written."""
    return marshal.loads(content)  # noqa: S302


def _unpack(packed: Iterable[bytes]) -> Document:
    pieces = iter(packed)
    file, text, value, marks, problems, counts = taken(next(pieces))
    for key, count in counts.items():
        for _ in range(count):
            items, inner = taken(next(pieces))
            value[key] += items
            marks[1][key][1][1].extend(inner)
    return Document(file, text, value, marks, [Problem(*problem) for problem in problems])
