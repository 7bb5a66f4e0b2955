"""`gateway secrets import`: seal what a file holds, into the database or as YAML; all of it or nothing."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gateway.cli import stored
from gateway.cli.importing import LARGEST, Found, Wrong, read
from gateway.cli.terminal import one_line
from gateway.config.regular import content
from gateway.config.values import EnvSecret, FileSecret
from gateway.credentials.vault.place import entry
from gateway.settings import Loaded

if TYPE_CHECKING:
    from gateway.credentials.vault.ring import Ring
    from gateway.store.sql.engine import Database


def importing(
    loaded: Loaded,
    ring: "Ring",
    file: Path,
    *,
    key: EnvSecret | FileSecret | None,
    to_config: bool,
    replace: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """Seal all secrets of a file. Exits with 1 and a line for each thing wrong, and then nothing was written."""
    found = _read(loaded, file, key)
    if to_config:
        _refuse([each for each in found if each.name in loaded.vault.entries and not replace])
        if not dry_run:
            print("sealed:")
            for each in found:
                print(f"  {each.name}: {ring.seal(entry(each.name), each.secret)}")
        stored.tell_hidden(loaded, [each.name for each in found])
    else:
        _store(loaded, ring, found, replace=replace, force=force, dry_run=dry_run)
    would = "would be sealed" if dry_run else "sealed"
    home = "for the configuration" if to_config else "into the database"
    print(f"{len(found)} {would} under the key {ring.ids[0]} {home}", file=sys.stderr)
    if not dry_run:
        print("destroy the file that they came from", file=sys.stderr)


def _read(loaded: Loaded, file: Path, key: EnvSecret | FileSecret | None) -> list[Found]:
    from gateway.credentials.vault.keys import parse

    try:
        opener = parse(loaded.secrets(key).current()) if key is not None else None
        raw = sys.stdin.buffer.read(LARGEST + 1) if str(file) == "-" else content(file, LARGEST)
        return read(raw, opener)
    except OSError as error:
        print(f"{file}: {error.strerror or 'cannot be read'}", file=sys.stderr)
    except Wrong as error:
        for line in str(error).split("\n"):
            print(one_line(f"{file}: {line}"), file=sys.stderr)
    except ValueError as error:
        print(one_line(str(error)), file=sys.stderr)
    raise typer.Exit(1)


def _refuse(there: list[Found]) -> None:
    for each in there:
        print(one_line(f"{each.place}: '{each.name}' is there already: --replace puts this one in its place"), file=sys.stderr)
    if there:
        raise typer.Exit(1)


def _store(loaded: Loaded, ring: "Ring", found: list[Found], *, replace: bool, force: bool, dry_run: bool) -> None:
    async def work(database: "Database") -> None:
        from gateway.credentials.stored.drawer import Drawer
        from gateway.store.sql.secrets import SecretRows

        rows = SecretRows(database)
        known = {row.name: row for row in await rows.of([each.name for each in found])}
        _refuse([each for each in found if each.name in known and not replace])
        if not force:
            await stored.proven(database, ring, list(known.values()))
        if dry_run:
            return
        drawer = Drawer(rows, ring, time.time)
        await rows.put_all([await drawer.sealed(each.name, each.secret, each.facts, known.get(each.name)) for each in found])

    stored.ask(loaded, work)
