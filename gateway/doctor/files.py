"""Who else of the machine may read or write the files."""

import stat
from collections.abc import Iterator
from pathlib import Path

from gateway.authz.lint import named
from gateway.config.document import Steps
from gateway.core.errors import Problem
from gateway.settings import Loaded, Settings


def files(loaded: Loaded, settings: Settings, env_files: list[Path]) -> Iterator[Problem]:
    """Files that others of the machine may write, or read what they should not. Secrets' own files `gateway check` looks at."""
    private: list[tuple[Path, Steps]] = [(file, ()) for file in env_files]
    keys = settings.authentication.api_keys
    if keys is not None and keys.file is not None:
        private.append((keys.file, ("authentication", "api_keys", "file")))
    if isinstance(settings.audit.file, Path):
        private.append((settings.audit.file, ("audit", "file")))
    for file, path in private:
        if _mode(file) & stat.S_IROTH:
            yield named(
                "readable-file", loaded.problem(path, f"{file} is readable by everybody", f"chmod 640 {file}", severity="warning")
            )
    for file in dict.fromkeys([*loaded.files, *(file for file, _ in private)]):
        for each in (file, file.parent):
            mode = _mode(each)
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                yield named("writable-file", loaded.problem((), f"everybody may write {each}", f"chmod o-w {each}"))


def _mode(file: Path) -> int:
    try:
        return file.stat().st_mode
    except OSError:
        return 0
