"""Entries of `sealed:` in the files of the configuration: which file has one, and putting others in their place."""

import codecs
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from gateway.cli.terminal import one_line
from gateway.config.entry import put
from gateway.config.replacing import change
from gateway.credentials.vault.place import entry as place
from gateway.credentials.vault.sealed import Entry
from gateway.settings import Loaded

if TYPE_CHECKING:
    from gateway.credentials.vault.ring import Ring

SECTION: Final = "sealed"


def home(loaded: Loaded, name: str) -> Path:
    """The file that gives an entry, else the one that has `sealed:`, else the one that has `vault:`."""
    known = name in loaded.vault.entries
    has_section = bool(loaded.vault.entries)
    return Path(loaded.source.giver((SECTION, name) if known else (SECTION,) if has_section else ("vault",)).file)


def by_file(loaded: Loaded, entries: list[Entry], ring: "Ring") -> Mapping[Path, Mapping[str, str]]:
    """What is sealed anew, by the file that it stands in."""
    found: dict[Path, dict[str, str]] = {}
    for each in entries:
        if each.source is not None:
            found.setdefault(home(loaded, each.name), {})[each.name] = ring.seal(place(each.name), each.source.current())
    return found


def write(file: Path, texts: Mapping[str, str]) -> None:
    """Put entries into a file. Exits with a line where that cannot be done."""

    def edited(raw: bytes) -> bytes:
        mark = codecs.BOM_UTF8 if raw.startswith(codecs.BOM_UTF8) else b""
        text = raw.removeprefix(mark).decode()
        for name, value in texts.items():
            text = put(str(file), text, SECTION, name, value)
        return mark + text.encode()

    with _told(file):
        change(file, edited)


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """A file that cannot be read or written is one line and exit 1."""
    try:
        yield
    except OSError as error:
        print(f"{file}: {error.strerror or 'cannot be changed'}", file=sys.stderr)
        raise typer.Exit(1) from error
    except ValueError as error:
        print(one_line(str(error)), file=sys.stderr)
        raise typer.Exit(1) from error
