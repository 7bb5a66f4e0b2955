"""The disk under the audit trail: an append-only file of whole lines, mode 0600, rotated by size. Used by one thread.

One process writes one file. Nothing is synced line by line: lines survive a crash of the gateway once written, a crash of
the machine only once the file was closed or rotated (both sync it). A process killed in the midst of a write can leave its
last line torn; its successor ends that line before it writes.
"""

import contextlib
import logging
import os
import select
import stat
from itertools import pairwise
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

STDOUT: Final = 1
MODE: Final = 0o600
STALL: Final = 1.0
"""Seconds a descriptor that would block is waited for before the write counts as failed."""


class AuditFile:
    """Where lines go: a file, or standard output. Methods raise OSError; a failed write left only whole lines."""

    def __init__(self, path: Path | None, *, size: int, keep: int) -> None:
        """`path` None is standard output, which is neither rotated nor closed. `size` 0 never rotates."""
        self._path = path
        self._size = size
        self._limit = size
        self._keep = keep
        self._descriptor: int | None = None
        self._regular = False

    def open(self) -> int:
        """Open or create the file, once; its descriptor. A torn last line of a crashed predecessor is ended, never removed."""
        if self._descriptor is not None:
            return self._descriptor
        if self._path is None:
            self._descriptor = STDOUT
            return STDOUT
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        found = os.fstat(descriptor)
        self._regular = stat.S_ISREG(found.st_mode)
        self._descriptor = descriptor
        if self._regular and found.st_size and os.pread(descriptor, 1, found.st_size - 1) != b"\n":
            os.write(descriptor, b"\n")
        return descriptor

    def append(self, lines: bytes) -> int:
        """Write whole lines; rotates first when they would make the file too large.

        Returns the number of bytes that stand whole: less than all only beside a failure, which the next call raises.
        """
        descriptor = self.open()
        if self._regular and self._size:
            descriptor = self._with_room(descriptor, len(lines))
        written, failure = _write(descriptor, lines)
        # What is no file cannot be mended: there the rest of the line must follow, so the part counts as written.
        if written < len(lines) and self._regular:
            written = _mend(descriptor, lines, written)
        if written == 0 and failure is not None:
            raise failure
        return written

    def _with_room(self, descriptor: int, size: int) -> int:
        """Rotate if `size` more bytes are too many. Where that fails the file grows on: evidence before tidiness."""
        length = os.fstat(descriptor).st_size
        if not length or length + size <= self._limit:
            return descriptor
        try:
            self.rotate()
            self._limit = self._size
        except OSError as error:
            self._limit = length + self._size
            log.error("audit file does not rotate", extra={"file": str(self._path), "failure": error.strerror})
        return self.open()

    def rotate(self) -> None:
        """`audit.jsonl` becomes `audit.jsonl.1`, that one `.2` and so on; beyond `keep` the oldest goes. Only files rotate."""
        path = self._path
        if path is None:
            return
        self.close()
        names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, self._keep + 1))]
        for younger, older in reversed(list(pairwise(names))):
            with contextlib.suppress(FileNotFoundError):
                younger.replace(older)

    def close(self) -> None:
        """Sync and close; the next `append` opens the path anew (which may be another file by then)."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None or self._path is None:
            return
        try:
            if self._regular:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write(descriptor: int, lines: bytes) -> tuple[int, OSError | None]:
    """Bytes written before all were or the descriptor took no more, and why it did not."""
    written = 0
    view = memoryview(lines)
    while written < len(lines):
        try:
            written += os.write(descriptor, view[written:])
        except BlockingIOError as error:
            if not select.select([], [descriptor], [], STALL)[1]:
                return written, error
        except OSError as error:
            return written, error
    return written, None


def _mend(descriptor: int, lines: bytes, written: int) -> int:
    """Cut a line that was written in part off a regular file again; the bytes that stand whole."""
    whole = lines.rfind(b"\n", 0, written) + 1
    if whole == written:
        return written
    with contextlib.suppress(OSError):  # then `open` ends the torn line with a newline
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - (written - whole))
    return whole
