"""Files changed whole: the new content is on disk before it is visible, and nobody else's change is lost."""

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.config.regular import content, opened


def change(path: Path, edit: Callable[[bytes], bytes]) -> None:
    """Put what `edit` makes of a file's content in its place, links followed, its mode kept. One change at a time.

    Raises OSError for a file that cannot be read or written, and whatever `edit` raises; then nothing has changed.
    """
    target = path.resolve()
    with _alone(target) as mode:
        before = content(target)
        after = edit(before)
        if after != before:
            replace(target, after, mode)


def replace(path: Path, after: bytes, mode: int) -> None:
    """Put a whole new file in the old one's place. Raises OSError, and then the old one is as it was."""
    target = path.resolve()
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            _keep_owner(stream.fileno(), target)
            stream.write(after)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[int]:
    """Keep other writers of this module out; gives the file's mode. The lock is on the file itself, so one that was replaced while
    somebody waited for it is opened again."""
    while True:
        with opened(target) as number:
            fcntl.flock(number, fcntl.LOCK_EX)
            mine, now = os.fstat(number), target.stat()
            if (mine.st_dev, mine.st_ino) == (now.st_dev, now.st_ino):
                yield stat.S_IMODE(mine.st_mode)
                return


def _keep_owner(descriptor: int, target: Path) -> None:
    """A file that an administrator changes stays readable for the account the gateway runs as."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        owner = target.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
