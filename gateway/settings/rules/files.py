"""Files that the configuration names and the gateway must be able to read."""

from collections.abc import Iterator
from pathlib import Path

from gateway.config import shape
from gateway.config.document import Steps
from gateway.config.values import FileSecret
from gateway.core.errors import Problem
from gateway.settings.model import Settings
from gateway.settings.rules.draft import Draft

KEYS_FILE: Steps = ("authentication", "api_keys", "file")


def check(draft: Draft) -> Iterator[Problem]:
    for path in shape.paths(Settings, draft.source.value):
        # Secrets and the keys of the vault are read, not only looked for; who loads does that.
        if path[:2] != ("vault", "keys") and not shape.is_one_of(Settings, draft.source.value, path[:-1], {FileSecret}):
            yield from _file(draft, path, Path(draft.value(*path)))


def _file(draft: Draft, path: Steps, file: Path) -> Iterator[Problem]:
    if path == ("audit", "file"):
        if not file.parent.is_dir():
            yield draft.error(path, "the folder for the audit trail does not exist")
    elif path == ("database", "file"):
        if not file.parent.is_dir():
            yield draft.error(path, "the folder for the database does not exist")
    elif path == KEYS_FILE and not file.exists():
        yield draft.warning(path, "the file does not exist yet: no key is accepted", "`gateway keys create` makes it")
    elif path[0] == "policies":
        yield from _policies(draft, path, file)
    elif not file.exists():
        yield draft.error(path, "no such file")
    elif not file.is_file():
        yield draft.error(path, "is not a file")


def _policies(draft: Draft, path: Steps, file: Path) -> Iterator[Problem]:
    if not file.exists():
        yield draft.error(path, "no such file or folder")
    elif not (file.is_dir() or file.is_file()):
        yield draft.error(path, "is neither a file nor a folder", "name a policy file, or a folder of them")
    elif file.is_dir() and not any(child.suffix in {".yaml", ".yml"} for child in file.iterdir()):
        yield draft.warning(path, "the folder holds no policies: every request is denied")
