"""`gateway secrets`: seal secrets into the configuration, list, verify, rotate and revoke them.

A value comes from standard input or a prompt, never from an argument, which other processes could see; none is ever printed.
"""

import base64
import codecs
import getpass
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.options import Config, EnvFile, Format, Printed
from gateway.cli.terminal import json, one_line, say
from gateway.config.entry import put
from gateway.config.replacing import change
from gateway.config.values import NAME
from gateway.core.errors import ConfigError
from gateway.core.secret import Secret
from gateway.credentials.vault.model import REVOKED
from gateway.credentials.vault.place import entry as place
from gateway.credentials.vault.sealed import Entry
from gateway.credentials.vault.sizes import MAX_SECRET
from gateway.settings import Loaded, load

if TYPE_CHECKING:
    from gateway.credentials.vault.ring import Ring

SECTION: Final = "sealed"
DAY: Final = 86400

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Seal secrets into the configuration; they may lie in Git.",
)


def _name(text: str) -> str:
    if re.fullmatch(NAME, text) is None:
        raise typer.BadParameter(
            "a name has letters, digits, '.', '_' and '-', begins with a letter or digit and is at most 63 long"
        )
    return text


Named = Annotated[str, typer.Argument(metavar="NAME", callback=_name, help="The entry of `sealed:`, as in {sealed: NAME}.")]
Into = Annotated[Path | None, typer.Option("--into", metavar="FILE", help="The file to write; else the one that has `sealed:`.")]


@app.command()
def key() -> None:
    """Make a key: 32 random bytes in base64, on standard output alone."""
    from gateway.credentials.vault.cipher import new_key

    print("name it first in `vault.keys`, keep it out of the configuration's repository, and keep a copy:", file=sys.stderr)
    print(base64.b64encode(new_key()).decode())


@app.command()
def seal(
    name: Named,
    into: Into = None,
    only_print: Annotated[bool, typer.Option("--print", help="Write no file: what was sealed on standard output.")] = False,
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Seal a value from standard input, or asked for, and write it into the configuration."""
    loaded = _loaded(config, env_file)
    ring = _ring(loaded)
    text = ring.seal(place(name), _given(name))
    if only_print:
        print(text)
        return
    file = into or _home(loaded, name)
    _write(file, {name: text})
    print(f"{name} is sealed under the key {ring.ids[0]} in {file}; refer to it as {{sealed: {name}}}", file=sys.stderr)


@app.command("list")
def list_(config: Config = None, env_file: EnvFile = None, format: Printed = Format.TEXT) -> None:
    """List what is sealed: names, key ids, ages, never values."""
    loaded = _loaded(config, env_file)
    now = time.time()
    rows = [_shown(loaded, each, now) for each in loaded.vault.entries.values()]
    if format is Format.JSON:
        print(json(rows))
        return
    cells = [("NAME", "KEY", "AGE", "STATE"), *(_cells(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    for row in cells:
        say("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]))


@app.command()
def verify(config: Config = None, env_file: EnvFile = None) -> None:
    """Open everything that is sealed. Exit 1 where something does not open."""
    loaded = _loaded(config, env_file)
    closed = [each for each in loaded.vault.entries.values() if each.source is None]
    wrong = [str(problem) for problem in loaded.vault.problems if problem.severity == "error"]
    wrong += [f"{each.name} does not open" for each in closed if not wrong]
    for problem in wrong:
        print(one_line(problem), file=sys.stderr)
    if wrong:
        raise typer.Exit(1)
    print(f"{len(loaded.vault.entries)} sealed, all in order", file=sys.stderr)


@app.command()
def rotate(config: Config = None, env_file: EnvFile = None) -> None:
    """Seal everything under the first key that is under another; tell which keys nothing uses any more.

    Exit 1 where something does not open: it stays as it is.
    """
    loaded = _loaded(config, env_file)
    ring = _ring(loaded)
    first = ring.ids[0]
    entries = loaded.vault.entries.values()
    old = [each for each in entries if each.source is not None and not each.source.revoked and each.key_id != first]
    closed = [each for each in entries if each.source is None]
    for file, texts in _by_file(loaded, old, ring).items():
        _write(file, texts)
    print(f"{len(old)} sealed anew under the key {first}", file=sys.stderr)
    _advise(loaded, ring, closed)
    for each in closed:
        print(f"{each.name} does not open and stays as it is", file=sys.stderr)
    if closed:
        raise typer.Exit(1)


@app.command()
def revoke(name: Named, config: Config = None, env_file: EnvFile = None) -> None:
    """Take a sealed value back: requests that need it are answered 503 from the next reload on."""
    loaded = _loaded(config, env_file)
    if name not in loaded.vault.entries:
        print(f"nothing is sealed under the name {name}", file=sys.stderr)
        raise typer.Exit(1)
    file = _home(loaded, name)
    _write(file, {name: REVOKED})
    print(f"{name} is revoked in {file}; reload the gateway, and revoke the secret where it was issued:", file=sys.stderr)
    print("earlier versions of the file, as in Git, still hold it sealed", file=sys.stderr)


def _loaded(config: list[Path] | None, env_file: list[Path] | None) -> Loaded:
    """The configuration as far as it can be read: what else is wrong with it is for `check` to tell."""
    loaded = load(config or [], env_file or [])
    if loaded.source.problems:
        raise ConfigError(loaded.source.problems)
    return loaded


def _ring(loaded: Loaded) -> "Ring":
    """The key ring. Raises ConfigError where no key is configured, or one cannot be used."""
    if loaded.vault.ring is not None:
        return loaded.vault.ring
    problems = [problem for problem in loaded.problems if problem.path.startswith("vault") and problem.severity == "error"]
    hint = "add `vault: {keys: [{id: …, env: …}]}`; `gateway secrets key` makes a key"
    raise ConfigError(problems or [loaded.problem(("vault",), "no key seals anything", hint)])


def _given(name: str) -> Secret:
    """The value: standard input without one line break at its end, or what was typed. Exits where there is none."""
    if sys.stdin.isatty():
        raw = getpass.getpass(f"{name}: ").encode()
    else:
        raw = sys.stdin.buffer.read(MAX_SECRET + 3)
        raw = raw[:-2] if raw.endswith(b"\r\n") else raw.removesuffix(b"\n")
    if not 0 < len(raw) <= MAX_SECRET:
        print(f"a value has at least 1 byte and at most {MAX_SECRET // 1024} KiB: give it on standard input", file=sys.stderr)
        raise typer.Exit(1)
    return Secret(raw)


def _home(loaded: Loaded, name: str) -> Path:
    """The file that gives an entry, else the one that has `sealed:`, else the one that has `vault:`."""
    known = name in loaded.vault.entries
    has_section = bool(loaded.vault.entries)
    return Path(loaded.source.giver((SECTION, name) if known else (SECTION,) if has_section else ("vault",)).file)


def _by_file(loaded: Loaded, entries: list[Entry], ring: "Ring") -> Mapping[Path, Mapping[str, str]]:
    """What is sealed anew, by the file that it stands in."""
    found: dict[Path, dict[str, str]] = {}
    for each in entries:
        if each.source is not None:
            found.setdefault(_home(loaded, each.name), {})[each.name] = ring.seal(place(each.name), each.source.current())
    return found


def _advise(loaded: Loaded, ring: "Ring", closed: list[Entry]) -> None:
    """Which keys may go, and whether a new one is due."""
    used = {each.key_id for each in closed}
    for id in ring.ids[1:]:
        if id not in used:
            print(f"nothing in these files is under the key {id} any more", file=sys.stderr)
    overdue = [name for name in loaded.vault.overdue(time.time()) if loaded.vault.entries[name].key_id == ring.ids[0]]
    if overdue:
        print(
            f"under {ring.ids[0]} for too long: {', '.join(overdue)}; put a new key in front of it and rotate again",
            file=sys.stderr,
        )


def _write(file: Path, texts: Mapping[str, str]) -> None:
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


def _shown(loaded: Loaded, each: Entry, now: float) -> dict[str, Any]:
    age = max(0, int(now - each.sealed_at)) if each.sealed_at else None
    return {"name": each.name, "key": each.key_id or None, "age_seconds": age, "state": _state(loaded, each, now)}


def _state(loaded: Loaded, each: Entry, now: float) -> str:
    if each.source is None:
        return "does not open"
    if each.source.revoked:
        return "revoked"
    return "overdue" if each.name in loaded.vault.overdue(now) else "sealed"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    age = row["age_seconds"]
    return row["name"], row["key"] or "-", "-" if age is None else f"{age // DAY}d", row["state"]
