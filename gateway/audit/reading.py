"""The trail read back: request events of its files, oldest first, one line in memory at a time.

What is read may have been written by another version, torn by a crash, or forged by whoever could write the file: a line that is no
event is counted and left out, and nothing of it is believed to be anything but data.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from gateway.config.regular import opened

LONGEST: Final = 64 * 1024
"""Bytes of the longest line that is looked at; the trail writes at most an eighth of it."""
OLDEST: Final = 1000
"""Rotated files that are looked for, as many as can be kept."""


@dataclass(slots=True)
class Reading:
    """What was read: `events` are those of requests, `skipped` the lines that are no event: torn, too long, foreign.

    `first` is the place of the first of these and what is wrong with it: `audit.jsonl.1:7: torn`.
    """

    events: int = 0
    skipped: int = 0
    first: str = ""

    def requests(self, path: Path) -> Iterator[Mapping[str, Any]]:
        """The request events of a file and of those it was rotated to, oldest first. Raises OSError."""
        for file in rotated(path):
            with opened(file) as number, open(number, "rb", closefd=False) as stream:
                yield from self._of(stream, file.name)

    def _of(self, stream: BinaryIO, name: str) -> Iterator[Mapping[str, Any]]:
        count = 0
        while line := stream.readline(LONGEST):
            count += 1
            if not line.endswith(b"\n") and len(line) == LONGEST:
                _skip_rest(stream)
                self._skip(f"{name}:{count}: too long")
            elif line.strip() and (fields := self._parsed(line, f"{name}:{count}")) is not None:
                self.events += 1
                yield fields

    def _parsed(self, line: bytes, place: str) -> Mapping[str, Any] | None:
        """The event of a line, None for one that is none or not a request's."""
        try:
            fields = orjson.loads(line)
        except ValueError:
            wrong = "not JSON" if line.endswith(b"\n") else "torn"
            self._skip(f"{place}: {wrong}")
            return None
        if not isinstance(fields, dict) or not isinstance(fields.get("event"), str):
            self._skip(f"{place}: no event")
            return None
        return fields if fields["event"] == "request" else None

    def _skip(self, where: str) -> None:
        self.skipped += 1
        self.first = self.first or where


def rotated(path: Path) -> list[Path]:
    """The file and those it was rotated to (`audit.jsonl.1` …), the oldest first. The file itself need not exist."""
    older = []
    for number in range(1, OLDEST + 1):
        file = path.with_name(f"{path.name}.{number}")
        if not file.is_file():
            break
        older.append(file)
    return [*reversed(older), path]


def _skip_rest(stream: BinaryIO) -> None:
    """Read to the end of a line that is too long, keeping nothing of it."""
    while (piece := stream.readline(LONGEST)) and not piece.endswith(b"\n"):
        continue
