"""Files that the configuration, or whoever starts the gateway, names: only regular ones are read.

Opening a pipe waits for whoever writes to it, for ever perhaps, and with it a start, a reload, or the event loop. So a file is
opened without waiting, and what was opened is asked what it is: between the question and the reading nothing can be swapped.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MOST: Final = 16 * 1024**2
"""Bytes of a file of which nothing else is known."""
HERE: Final = "/proc/self/fd"
"""Where Linux lets a process open again what it has open."""


@contextmanager
def opened(path: str | Path) -> Iterator[int]:
    """A descriptor of a regular file, links followed. Raises OSError, whose `strerror` says what it is where it is none."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(number).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file; name a file, or a link to one, not a pipe or device", str(path))
        yield number
    finally:
        os.close(number)


def content(path: str | Path, most: int = MOST) -> bytes:
    """The bytes of a file; of a larger one `most` and one more, for the caller to refuse. Raises OSError."""
    with opened(path) as number, open(number, "rb", closefd=False) as stream:
        return stream.read(most + 1)


def whole(path: str | Path, most: int = MOST) -> bytes:
    """The bytes of a file of `most` at the most. Raises ValueError, naming the file."""
    try:
        found = content(path, most)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or 'input error'}") from error
    if len(found) > most:
        raise ValueError(f"{path} is larger than {most // 1024**2} MiB")
    return found


@contextmanager
def same(path: str | Path) -> Iterator[str]:
    """A path by which a library that opens files by itself gets this very file. Raises OSError."""
    with opened(path) as number:
        found = f"{HERE}/{number}"
        yield found if Path(found).exists() else str(path)


@contextmanager
def same_if_any(path: str | Path | None) -> Iterator[str | None]:
    """The same; None of None."""
    if path is None:
        yield None
        return
    with same(path) as found:
        yield found
