"""The file of API keys: entries read with positions, and changed without losing anybody else's change.

The file is a YAML list of entries. Writers hold a lock beside it and replace it whole, mode 0600; readers never need the lock.
Comments in it are not kept when a command changes it.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import RootModel

from gateway.authn.key_entry import KeyEntry, revoked, rotated
from gateway.config import document
from gateway.config.replacing import replace
from gateway.config.validation import validate
from gateway.core.errors import ConfigError, Problem

MODE: Final = 0o600
HEADER: Final = "# API keys: keyed hashes, never the keys. Written by `gateway keys`.\n"


class KeyFile(RootModel[list[KeyEntry]]):
    """The whole file."""


def load(path: Path) -> list[KeyEntry]:
    """The entries of a file; one that does not exist has none. Raises ConfigError with the position of every problem."""
    if not path.exists():
        return []
    found = document.read(path)
    if found.value is None and not found.problems:
        return []
    model, wrong = validate(KeyFile, found)
    entries = model.root if model is not None else []
    problems = [*found.problems, *wrong, *_inconsistent(found, entries)]
    if problems:
        raise ConfigError(problems)
    return entries


def of(path: Path | None) -> list[KeyEntry]:
    """The entries of a configured file, none where keys lie elsewhere. Raises ConfigError."""
    return [] if path is None else load(path)


def add(path: Path, entry: KeyEntry) -> None:
    """Store one more entry. Raises ConfigError for a malformed file, OSError for one that cannot be written."""
    _change(path, lambda entries: [*entries, entry])


def revoke(path: Path, id: str, now: float) -> KeyEntry:
    """Mark a key as revoked, at once and for good. Raises KeyError for an unknown id, ConfigError for a malformed file."""
    return _update(path, id, lambda entry: revoked(entry, now))


def rotate(path: Path, pepper: bytes, id: str, *, prefix: str, now: float, overlap: float) -> tuple[str, KeyEntry]:
    """A second key for the same subject, and its entry; the first one lives on for `overlap` seconds.

    Raises KeyError for an id that is unknown or does not count any more, ValueError for one that was rotated already, ConfigError
    for a malformed file.
    """
    with _locked(path):
        entries = load(path)
        key, entry, closed = rotated(_find(entries, id), pepper, prefix=prefix, now=now, overlap=overlap)
        _replace(path, [closed if each.id == id else each for each in entries] + [entry])
    return key, entry


def render(entries: Sequence[KeyEntry]) -> str:
    """Entries as they stand in the file. Scalars are JSON strings, which YAML reads the same."""
    lines: list[str] = []
    for entry in entries:
        fields = entry.model_dump(mode="json", exclude_none=True)
        lines += [f"{'  ' if number else '- '}{name}: {_scalar(value)}\n" for number, (name, value) in enumerate(fields.items())]
    return "".join(lines)


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _inconsistent(found: document.Document, entries: list[KeyEntry]) -> Iterator[Problem]:
    """What only shows when entries are read as a whole."""
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        if entry.id in seen:
            yield found.problem((number, "id"), f"the id {entry.id} is used twice")
        seen.add(entry.id)


def _find(entries: Sequence[KeyEntry], id: str) -> KeyEntry:
    for entry in entries:
        if entry.id == id:
            return entry
    raise KeyError(id)


def _update(path: Path, id: str, change: Callable[[KeyEntry], KeyEntry]) -> KeyEntry:
    entries = _change(path, lambda entries: [change(each) if each is _find(entries, id) else each for each in entries])
    return _find(entries, id)


def _change(path: Path, change: Callable[[list[KeyEntry]], list[KeyEntry]]) -> list[KeyEntry]:
    with _locked(path):
        entries = change(load(path))
        _replace(path, entries)
    return entries


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other writers out. The lock is a file of its own, because the keys' file is replaced."""
    target = path.resolve()
    lock = os.open(target.with_name(target.name + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, MODE)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _replace(path: Path, entries: Sequence[KeyEntry]) -> None:
    """Put a whole new file in the old one's place."""
    replace(path, (HEADER + render(entries)).encode(), MODE)
