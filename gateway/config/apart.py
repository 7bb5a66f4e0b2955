"""Reading documents in a short-lived process of its own.

PyYAML's C parser holds the interpreter lock, so reading a large policy set on a thread stalls every request in flight.
`read_apart` waits without the lock; `python -m gateway.config.apart` is the other end of the pipe.
"""

import marshal
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

from gateway.config.document import Document, read
from gateway.core.errors import Problem

TIMEOUT: Final = 120.0
PIECE: Final = 250


def read_each(paths: Iterable[Path]) -> list[Document]:
    """Read in this process: at start, and by commands."""
    return [read(path) for path in paths]


def read_apart(paths: Iterable[Path]) -> list[Document]:
    """The same documents, parsed elsewhere; blocks, so call it on a thread. Falls back to this process when none can be started."""
    names = [os.fsencode(path) for path in paths]
    if not names:
        return []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "gateway.config.apart"],
            input=marshal.dumps(names),
            stdout=subprocess.PIPE,
            env=environment,
            timeout=TIMEOUT,
            check=True,
            start_new_session=True,
        )
    except (OSError, subprocess.SubprocessError):
        return read_each(Path(os.fsdecode(name)) for name in names)
    return unpack(done.stdout)


def pack(documents: Iterable[Document]) -> bytes:
    """Documents for another process of this gateway."""
    return marshal.dumps([_pack(document) for document in documents])


def unpack(content: bytes) -> list[Document]:
    """The documents that `pack` took."""
    return [_unpack(pieces) for pieces in _taken(content)]


def _pack(document: Document) -> list[bytes]:
    """A head, and long lists in pieces: taking one piece up again is one call that holds the interpreter's lock."""
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


def _taken(content: bytes) -> Any:
    return marshal.loads(content)  # noqa: S302  both ends of the pipe are this module


def _unpack(packed: Iterable[bytes]) -> Document:
    pieces = iter(packed)
    file, text, value, marks, problems, counts = _taken(next(pieces))
    for key, count in counts.items():
        for _ in range(count):
            items, inner = _taken(next(pieces))
            value[key] += items
            marks[1][key][1][1].extend(inner)
    return Document(file, text, value, marks, [Problem(*problem) for problem in problems])


def main() -> None:
    """Names on standard input, documents on standard output."""
    names = _taken(sys.stdin.buffer.read())
    sys.stdout.buffer.write(pack(read(Path(os.fsdecode(name))) for name in names))


if __name__ == "__main__":
    main()
