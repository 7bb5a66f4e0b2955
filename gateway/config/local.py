"""Secrets of this machine as requests ask for them: a variable that was read at load, a file that is read again when it changes."""

import os
import stat
from pathlib import Path
from typing import Final

from gateway.config.regular import opened
from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret

MAX_BYTES: Final = 64 * 1024


class EnvSource:
    """A secret from an environment variable, read at load."""

    def __init__(self, name: str, secret: Secret) -> None:
        self.name = name
        self._secret = secret

    def current(self) -> Secret:
        return self._secret


class FileSource:
    """A secret from a file. `refresh` takes notice of a replaced file and keeps the last good value of a vanished one."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = f"file:{path}"
        self._seen: tuple[int, ...] = ()
        self._secret: Secret | None = None

    def current(self) -> Secret:
        """Raises DependencyDown before the first value was read."""
        if self._secret is None:
            raise DependencyDown(f"{self.name}: not read yet")
        return self._secret

    def refresh(self) -> bool:
        """Read the file if it is another than last time; True when the value changed. Raises ValueError without its content."""
        try:
            seen, content = _read(self.path, self._seen)
            secret = self._secret if content is None else _secret(self.path, content)
        except OSError as error:
            self._seen = ()
            raise ValueError(f"{self.path} cannot be read: {error.strerror or 'input error'}") from error
        changed = secret != self._secret
        self._seen, self._secret = seen, secret if changed else self._secret
        return changed

    def is_exposed(self) -> bool:
        """Whether every account of the machine may read the file."""
        try:
            return bool(Path(self.path).stat().st_mode & stat.S_IROTH)
        except OSError:
            return False


def _read(path: str, seen: tuple[int, ...]) -> tuple[tuple[int, ...], bytes | None]:
    """What identifies the file's content, and the content unless that is `seen`. Raises OSError."""
    with opened(path) as number:
        status = os.fstat(number)
        now = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        return now, None if now == seen else os.read(number, MAX_BYTES + 1)


def _secret(path: str, content: bytes) -> Secret:
    """The content without one line break at its end. Raises ValueError."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BYTES // 1024} KiB")
    value = content[:-2] if content.endswith(b"\r\n") else content.removesuffix(b"\n")
    if not value:
        raise ValueError(f"{path} is empty")
    return Secret(value)
