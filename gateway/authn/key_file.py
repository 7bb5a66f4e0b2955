"""The file of API keys: entries read with positions, and changed without losing anybody else's change.

The file is a YAML list of entries. Writers hold a lock beside it and replace it whole, mode 0600; readers never need the lock.
Comments in it are not kept when a command changes it.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, RootModel, ValidationError

from gateway.authn import key_format
from gateway.config import document
from gateway.config.replacing import replace
from gateway.config.validation import validate
from gateway.config.values import Model
from gateway.core.errors import ConfigError, Problem

MODE: Final = 0o600
TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"
HEADER: Final = "# API keys: keyed hashes, never the keys. Written by `gateway keys`.\n"


def printable(text: str) -> str:
    """Raises ValueError for control, format and private characters: a file that holds them could not be read again."""
    if not text.isprintable():
        raise ValueError("has characters that cannot be shown")
    return text


Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(printable)]
Permission = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[!-~]+$")]
Time = Annotated[str, Field(pattern=TIME)]


class KeyEntry(Model):
    """One key: who it stands for and until when. Times are UTC, like 2027-01-31T12:00:00Z."""

    id: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{12}$")]
    name: Text
    hash: Annotated[str, Field(pattern=f"^{key_format.HASH.pattern}$")]
    subject: Text
    roles: list[Text] | None = None
    permissions: list[Permission] | None = None
    created_at: Time | None = None
    expires_at: Time | None = None
    revoked_at: Time | None = None


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


def add(path: Path, entry: KeyEntry) -> None:
    """Store one more entry. Raises ConfigError for a malformed file, OSError for one that cannot be written."""
    _change(path, lambda entries: [*entries, entry])


def new_entry(
    pepper: bytes,
    *,
    prefix: str,
    name: str,
    now: float,
    subject: str | None = None,
    roles: Sequence[str] | None = None,
    permissions: Sequence[str] | None = None,
    expires: float | None = None,
) -> tuple[str, KeyEntry]:
    """A key (shown once and never stored) and its entry, for `add`. `expires` is seconds from `now`.

    Raises ConfigError when a value is not acceptable.
    """
    id, key = key_format.generate(prefix)
    try:
        entry = KeyEntry(
            id=id,
            name=name,
            hash=key_format.digest(pepper, key.encode()),
            subject=subject or name,
            roles=list(roles) if roles is not None else None,
            permissions=list(permissions) if permissions is not None else None,
            created_at=written(now),
            expires_at=written(now + expires) if expires is not None else None,
        )
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise ConfigError([Problem("", 0, 0, ".".join(map(str, each["loc"])), each["msg"]) for each in details]) from error
    return key, entry


def revoke(path: Path, id: str, now: float) -> KeyEntry:
    """Mark a key as revoked, at once and for good. Raises KeyError for an unknown id, ConfigError for a malformed file."""
    return _update(path, id, lambda entry: entry if entry.revoked_at else entry.model_copy(update={"revoked_at": written(now)}))


def rotate(path: Path, pepper: bytes, id: str, *, prefix: str, now: float, overlap: float) -> tuple[str, KeyEntry]:
    """A second key for the same subject, and its entry; the first one lives on for `overlap` seconds.

    Raises KeyError for an id that is unknown or revoked, ConfigError for a malformed file.
    """
    with _locked(path):
        entries = load(path)
        old = _find(entries, id)
        if old.revoked_at or (old.expires_at and moment(old.expires_at) <= now):
            raise KeyError(id)
        key, entry = new_entry(
            pepper, prefix=prefix, name=old.name, now=now, subject=old.subject, roles=old.roles, permissions=old.permissions
        )
        life = moment(old.expires_at) - moment(old.created_at) if old.expires_at and old.created_at else None
        entry = entry.model_copy(update={"expires_at": written(now + life) if life is not None else old.expires_at})
        end = now + overlap if old.expires_at is None else min(now + overlap, moment(old.expires_at))
        closed = old.model_copy(update={"expires_at": written(end)})
        _replace(path, [closed if each.id == id else each for each in entries] + [entry])
    return key, entry


def render(entries: Sequence[KeyEntry]) -> str:
    """Entries as they stand in the file. Scalars are JSON strings, which YAML reads the same."""
    lines: list[str] = []
    for entry in entries:
        fields = entry.model_dump(exclude_none=True)
        lines += [f"{'  ' if number else '- '}{name}: {_scalar(value)}\n" for number, (name, value) in enumerate(fields.items())]
    return "".join(lines)


def written(time: float) -> str:
    """Unix seconds -> 2027-01-31T12:00:00Z."""
    return datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> float:
    """2027-01-31T12:00:00Z -> Unix seconds. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _inconsistent(found: document.Document, entries: list[KeyEntry]) -> Iterator[Problem]:
    """What only shows when entries are read as a whole."""
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        if entry.id in seen:
            yield found.problem((number, "id"), f"the id {entry.id} is used twice")
        seen.add(entry.id)
        for name in ("created_at", "expires_at", "revoked_at"):
            try:
                moment(getattr(entry, name) or "1970-01-01T00:00:00Z")
            except ValueError:
                yield found.problem((number, name), "no such day or time")


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
