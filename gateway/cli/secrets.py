"""`gateway secrets`: seal secrets into the configuration or the database, list, verify, rotate and revoke them.

A value comes from standard input or a prompt, never from an argument, which other processes could see; none is ever printed.
"""

import base64
import getpass
import re
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import stored
from gateway.cli.options import Config, DryRun, EnvFile, Forget, Format, Printed, RevokeNow
from gateway.cli.sealed_file import by_file, home, write
from gateway.cli.secrets_import import importing
from gateway.cli.secrets_list import listed, table, tell_keys
from gateway.cli.terminal import json, one_line
from gateway.config.values import NAME, EnvSecret, FileSecret
from gateway.core.errors import ConfigError
from gateway.core.secret import Secret
from gateway.credentials.vault.model import REVOKED
from gateway.credentials.vault.place import entry as place
from gateway.credentials.vault.sealed import Entry
from gateway.credentials.vault.sizes import MAX_SECRET
from gateway.settings import Loaded, load

if TYPE_CHECKING:
    from gateway.credentials.vault.ring import Ring


class Home(StrEnum):
    """Where secrets are sealed into."""

    DATABASE = "database"
    CONFIG = "config"


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Seal secrets into the configuration, where they may lie in Git, or into the database.",
)


def _name(text: str) -> str:
    if re.fullmatch(NAME, text) is None:
        raise typer.BadParameter(
            "a name has letters, digits, '.', '_' and '-', begins with a letter or digit and is at most 63 long"
        )
    return text


Named = Annotated[str, typer.Argument(metavar="NAME", callback=_name, help="What it is referred to by: {sealed: NAME}.")]
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
    database: Annotated[
        bool, typer.Option("--database", help="Into the database; running gateways use it within a second.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="With --database: also where what is there does not open.")] = False,
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Seal a value from standard input, or asked for, and write it into the configuration or the database."""
    loaded = _loaded(config, env_file)
    ring = _ring(loaded)
    if database:
        _store(loaded, ring, name, force=force)
        return
    text = ring.seal(place(name), _given(name))
    if only_print:
        print(text)
        stored.tell_hidden(loaded, [name])
        return
    file = into or home(loaded, name)
    write(file, {name: text})
    print(f"{name} is sealed under the key {ring.ids[0]} in {file}; refer to it as {{sealed: {name}}}", file=sys.stderr)
    stored.tell_hidden(loaded, [name], file)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE|-", help="CSV, JSON or lines of JSON; `-` is standard input.")],
    to: Annotated[Home, typer.Option(help="`config` prints entries of `sealed:`.")] = Home.DATABASE,
    key_env: Annotated[str, typer.Option(metavar="NAME", help="The variable of the key of what is encrypted in the file.")] = "",
    key_file: Annotated[Path | None, typer.Option(metavar="FILE", help="The file of that key.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace secrets that are there already.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also those that do not open.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read, decrypt and compare; write nothing.")] = False,
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Seal all secrets of a file, or none: columns name and value, or encrypted, iv and authTag (AES-256-GCM)."""
    loaded = _loaded(config, env_file)
    key = EnvSecret(env=key_env) if key_env else FileSecret(file=key_file.absolute()) if key_file is not None else None
    to_config = to is Home.CONFIG
    importing(loaded, _ring(loaded), file, key=key, to_config=to_config, replace=replace, force=force, dry_run=dry_run)


@app.command("list")
def list_(config: Config = None, env_file: EnvFile = None, format: Printed = Format.TEXT) -> None:
    """List what is sealed: names, key ids, ages, never values."""
    loaded = _loaded(config, env_file)
    rows = listed(loaded)
    if format is Format.JSON:
        print(json(rows))
        return
    table(rows)
    if loaded.vault.ring is not None:
        tell_keys(loaded, loaded.vault.ring)


@app.command()
def verify(config: Config = None, env_file: EnvFile = None) -> None:
    """Open everything that is sealed. Exit 1 where something does not open."""
    loaded = _loaded(config, env_file)
    closed = [each for each in loaded.vault.entries.values() if each.source is None]
    wrong = [str(problem) for problem in loaded.vault.problems if problem.severity == "error"]
    wrong += [f"{each.name} does not open" for each in closed if not wrong]
    count, unopened = stored.verified(loaded, loaded.vault.ring) if loaded.vault.ring is not None else (0, [])
    wrong += [stored.told(done) for done in unopened]
    for problem in wrong:
        print(one_line(problem), file=sys.stderr)
    if wrong:
        raise typer.Exit(1)
    print(f"{len(loaded.vault.entries) + count} sealed, all in order", file=sys.stderr)


@app.command()
def rotate(config: Config = None, env_file: EnvFile = None) -> None:
    """Seal everything under the first key that is under another; tell which keys nothing uses any more.

    Exit 1 where something does not open: it stays as it is.
    """
    loaded = _loaded(config, env_file)
    ring = _ring(loaded)
    stored.fitting(loaded, ring)
    first = ring.ids[0]
    entries = loaded.vault.entries.values()
    old = [each for each in entries if each.source is not None and not each.source.revoked and each.key_id != first]
    closed = [each for each in entries if each.source is None]
    for file, texts in by_file(loaded, old, ring).items():
        write(file, texts)
    count, unopened = stored.resealed(loaded, ring)
    print(f"{len(old) + count} sealed anew under the key {first}", file=sys.stderr)
    _advise(loaded, ring, closed)
    for told in [f"{each.name} does not open: see `gateway secrets verify`" for each in closed] + [
        stored.told(done) for done in unopened
    ]:
        print(f"stays as it is: {told}", file=sys.stderr)
    if closed or unopened:
        raise typer.Exit(1)


@app.command("rotate-upstream")
def rotate_upstream(
    name: Named,
    revoke_now: RevokeNow = False,
    dry_run: DryRun = False,
    forget: Forget = False,
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Have a new secret minted as `rotate` says, tried at the upstream, and put in force. Exit 1 where that did
    not go well; the line says why."""
    from gateway.cli import rotate_upstream as work
    from gateway.undumpable import kept_in

    if forget and (dry_run or revoke_now):
        raise typer.BadParameter("--forget goes with neither --dry-run nor --revoke-now")
    kept_in()
    loaded = _loaded(config, env_file)
    if forget:
        work.forget(loaded, _ring(loaded), name)
    else:
        work.run(loaded, _ring(loaded), name, revoke_now=revoke_now, dry_run=dry_run)


@app.command()
def revoke(name: Named, config: Config = None, env_file: EnvFile = None) -> None:
    """Take a sealed value back: requests that need it are answered 503, from the next reload on; within a second where it lies in
    the database."""
    loaded = _loaded(config, env_file)
    if name not in loaded.vault.entries and stored.present(loaded) and stored.revoke(loaded, name):
        print(f"{name} is revoked in the database; revoke the secret where it was issued, too:", file=sys.stderr)
        print("backups of the database still hold it sealed, until the key it was sealed under is destroyed", file=sys.stderr)
        return
    if name not in loaded.vault.entries:
        print(f"nothing is sealed under the name {name}", file=sys.stderr)
        raise typer.Exit(1)
    file = home(loaded, name)
    write(file, {name: REVOKED})
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


def _store(loaded: Loaded, ring: "Ring", name: str, *, force: bool) -> None:
    """Seal a value into the database."""
    is_known = stored.seal(loaded, ring, name, _given(name), force=force)
    how = "replaced" if is_known else "sealed"
    print(f"{name} is {how} under the key {ring.ids[0]} in the database; refer to it as {{sealed: {name}}}", file=sys.stderr)
    if name in loaded.vault.entries:
        print(f"`sealed:` has an entry {name}, too, and that is the one which counts: take it out", file=sys.stderr)


def _advise(loaded: Loaded, ring: "Ring", closed: list[Entry]) -> None:
    """Which keys may go, and whether a new one is due."""
    used = {each.key_id for each in closed}
    tables = stored.tally(loaded, ring, 0)
    used |= {tally.key_id for found in tables.values() for tally in found}
    for id in ring.ids[1:]:
        if id not in used:
            where = "in these files and the database" if tables else "in these files"
            print(f"nothing {where} is under the key {id} any more", file=sys.stderr)
    overdue = [name for name in loaded.vault.overdue(time.time()) if loaded.vault.entries[name].key_id == ring.ids[0]]
    if overdue:
        print(
            f"under {ring.ids[0]} for too long: {', '.join(overdue)}; put a new key in front of it and rotate again",
            file=sys.stderr,
        )
