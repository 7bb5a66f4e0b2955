"""Where `gateway keys` finds and leaves keys: the file of the configuration, or its database."""

import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import typer

from gateway.authn import key_file
from gateway.authn.key_entry import KeyEntry
from gateway.authn.model import ApiKeys
from gateway.authn.strength import SHORTEST, weakness
from gateway.cli.bell import rung
from gateway.cli.stored import ask
from gateway.cli.terminal import one_line
from gateway.core.errors import ConfigError, DependencyDown
from gateway.settings import Loaded

if TYPE_CHECKING:
    from gateway.authn.key_rows import Editor
    from gateway.store.sql.engine import Database

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry, and the Unix time of its last use where the home knows that."""

    entry: KeyEntry
    used_at: float | None = None


class Home(Protocol):
    """One home of keys. What cannot be done is one line and exit 1."""

    def listed(self) -> Sequence[Listed]: ...
    def add(self, entry: KeyEntry) -> None: ...
    def revoke(self, id: str, now: float) -> KeyEntry: ...
    def rotate(self, pepper: bytes, id: str, *, prefix: str, now: float, overlap: float) -> tuple[str, KeyEntry]: ...


def home_of(loaded: Loaded, model: ApiKeys) -> Home:
    """The home that a configuration names."""
    return InTable(loaded, model) if model.file is None else InFile(model.file)


class InFile:
    """The keys of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def listed(self) -> Sequence[Listed]:
        return [Listed(entry) for entry in key_file.load(self._path)]

    def add(self, entry: KeyEntry) -> None:
        with _told(self._path):
            key_file.add(self._path, entry)

    def revoke(self, id: str, now: float) -> KeyEntry:
        with _told(self._path):
            return key_file.revoke(self._path, id, now)

    def rotate(self, pepper: bytes, id: str, *, prefix: str, now: float, overlap: float) -> tuple[str, KeyEntry]:
        with _told(self._path):
            return key_file.rotate(self._path, pepper, id, prefix=prefix, now=now, overlap=overlap)


class InTable:
    """The keys of the database. Every row is bound to the pepper, so that also taking a key back needs it."""

    def __init__(self, loaded: Loaded, model: ApiKeys) -> None:
        self._loaded = loaded
        self._model = model

    def listed(self) -> Sequence[Listed]:
        async def work(database: "Database") -> list[Listed]:
            from gateway.authn.key_rows import UNREADABLE, Altered, Binding
            from gateway.store.sql.keys import KeyRows

            rows, binding, listed = KeyRows(database), Binding(self._pepper()), []
            for row in await rows.of(list(await rows.versions())):
                try:
                    listed.append(Listed(binding.opened(row), row.used_at))
                except Altered:
                    print(one_line(f"the row {row.id} {UNREADABLE}"), file=sys.stderr)
            return listed

        return ask(self._loaded, work)

    def add(self, entry: KeyEntry) -> None:
        self.add_all([entry])

    def add_all(self, entries: Sequence[KeyEntry]) -> None:
        """All of them or none. Exits where one of them is there already."""
        return self._edited(lambda editor: editor.add(entries))

    def revoke(self, id: str, now: float) -> KeyEntry:
        return self._edited(lambda editor: editor.revoke(id, now))

    def rotate(self, pepper: bytes, id: str, *, prefix: str, now: float, overlap: float) -> tuple[str, KeyEntry]:
        return self._edited(lambda editor: editor.rotate(pepper, id, prefix=prefix, now=now, overlap=overlap))

    def _edited(self, edit: "Callable[[Editor], Awaitable[T]]") -> T:
        async def work(database: "Database") -> T:
            from gateway.authn.key_rows import Binding, Editor
            from gateway.store.sql.keys import KeyRows

            edited = await edit(Editor(KeyRows(database), Binding(self._pepper()), time.time))
            await rung(self._loaded)
            return edited

        with _told("the database"):
            return ask(self._loaded, work)

    def _pepper(self) -> bytes:
        return pepper_of(self._loaded, self._model)


def pepper_of(loaded: Loaded, model: ApiKeys) -> bytes:
    """The key of all hashes. Raises ConfigError where it is missing or weak."""
    place = ("authentication", "api_keys", "pepper")
    try:
        pepper = loaded.secrets(model.pepper).current().reveal()
    except (ValueError, DependencyDown) as error:
        raise ConfigError([loaded.problem(place, str(error))]) from error
    if wrong := weakness(pepper, SHORTEST):
        raise ConfigError([loaded.problem(place, f"the pepper {wrong}", "generate one with: openssl rand -base64 48")])
    return pepper


@contextmanager
def _told(home: object) -> Iterator[None]:
    """An id nobody has, or a file that cannot be written, is one line and exit 1."""
    try:
        yield
    except KeyError as error:
        print(f"{home}: no living key has the id {error.args[0]}", file=sys.stderr)
        raise typer.Exit(1) from error
    except ValueError as error:
        print(f"{home}: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    except OSError as error:
        print(f"{home}: {error.strerror or 'cannot be changed'}", file=sys.stderr)
        raise typer.Exit(1) from error
