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
from typing import Final

from gateway.config.document import Document, read
from gateway.core.errors import Problem

TIMEOUT: Final = 120.0


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
    return [_unpack(packed) for packed in marshal.loads(done.stdout)]  # noqa: S302 -- written by the process we started


def _pack(document: Document) -> tuple[object, ...]:
    return (document.file, document.text, document.value, document.marks, [astuple(problem) for problem in document.problems])


def _unpack(packed: tuple[object, ...]) -> Document:
    file, text, value, marks, problems = packed
    return Document(file, text, value, marks, [Problem(*problem) for problem in problems])  # type: ignore[arg-type, attr-defined]


def main() -> None:
    """Names on standard input, documents on standard output."""
    names = marshal.loads(sys.stdin.buffer.read())  # noqa: S302 -- written by the process that started us
    packed = [_pack(read(Path(os.fsdecode(name)))) for name in names]
    sys.stdout.buffer.write(marshal.dumps(packed))


if __name__ == "__main__":
    main()
