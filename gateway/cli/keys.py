"""`gateway keys`: hand out API keys, list, revoke and rotate them.

A key is shown once, alone on standard output, so that it can be piped where it belongs; everything else goes to standard error.
"""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from gateway.authn import key_file
from gateway.authn.api_keys import ISSUER
from gateway.authn.key_file import KeyEntry
from gateway.authn.model import ApiKeys
from gateway.authn.strength import SHORTEST, weakness
from gateway.authz.permissions import PATTERN
from gateway.cli.options import Config, EnvFile
from gateway.cli.record import CommandRecord
from gateway.cli.terminal import aligned
from gateway.config.values import NAME, parse_duration
from gateway.core.errors import ConfigError
from gateway.settings import Loaded, load

ROLE = re.compile(NAME)

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Hand out and take back API keys.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The public part of a key: lgk_<id>_…")]


@dataclass(frozen=True, slots=True)
class Section:
    """`authentication.api_keys` of a configuration, its pepper read."""

    loaded: Loaded
    model: ApiKeys
    pepper: bytes


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for, in lists.")],
    subject: Annotated[str, typer.Option(help="The principal it stands for; without it, the name.")] = "",
    roles: Annotated[str, typer.Option(metavar="A,B", help="Roles given directly, separated by commas.")] = "",
    permissions: Annotated[str, typer.Option(metavar="P:Q,…", help="Permissions given directly; with roles they narrow.")] = "",
    expires: Annotated[str, typer.Option(metavar="DURATION", help="Like 90d; without it the key never expires.")] = "",
    only_print: Annotated[
        bool, typer.Option("--print", help="Store nothing: the entry on standard output, the key on error.")
    ] = False,
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Make a key: shown once, stored as a keyed hash."""
    life = _seconds(expires, "--expires") if expires else None
    for word in _words(permissions) or ():
        if not PATTERN.fullmatch(word):
            raise typer.BadParameter(f"{word!r} is no permission: one is written resource:action, either may be *")
    for word in _words(roles) or ():
        if not ROLE.fullmatch(word):
            raise typer.BadParameter(f"{word!r} is no role's name")
    section = _section(config, env_file)
    key, entry = key_file.new_entry(
        section.pepper,
        prefix=section.model.prefix,
        name=name,
        subject=subject or None,
        roles=_words(roles),
        permissions=_words(permissions),
        now=time.time(),
        expires=life,
    )
    if only_print:
        print(key_file.render([entry]), end="")
        print(f"the key, shown once: {key}", file=sys.stderr)
        return
    with closing(CommandRecord(section.loaded)) as trail:
        with _told(section.model.file):
            key_file.add(section.model.file, entry)
        print(f"{entry.id} stands for {entry.subject}, {_until(entry)}; the key is shown once:", file=sys.stderr)
        print(key)
        trail.tell("auth.key.created", _event(entry))


@app.command("list")
def list_(
    json: Annotated[bool, typer.Option("--json", help="As JSON, without hashes.")] = False,
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Show all keys, never their hashes."""
    entries = key_file.load(_model(_loaded(config, env_file)).file)
    now = time.time()
    if json:
        print(orjson.dumps([_shown(entry, now) for entry in entries], option=orjson.OPT_INDENT_2).decode())
        return
    for line in aligned([("ID", "STATE", "EXPIRES", "SUBJECT", "ROLES", "NAME"), *(_row(entry, now) for entry in entries)]):
        print(line)


@app.command()
def revoke(id: Id, config: Config = None, env_file: EnvFile = None) -> None:
    """Take a key back; a running gateway notices within seconds."""
    loaded = _loaded(config, env_file)
    path = _model(loaded).file
    with closing(CommandRecord(loaded)) as trail:
        with _told(path):
            entry = key_file.revoke(path, id, time.time())
        print(f"{entry.id} ({entry.name}) is revoked", file=sys.stderr)
        trail.tell("auth.key.revoked", _event(entry))


@app.command()
def rotate(
    id: Id,
    overlap: Annotated[str, typer.Option(metavar="DURATION", help="How long the old key lives on.")] = "24h",
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Make a second key for the same subject; the old one expires after the overlap."""
    seconds = _seconds(overlap, "--overlap")
    section = _section(config, env_file)
    path = section.model.file
    with closing(CommandRecord(section.loaded)) as trail:
        with _told(path):
            key, entry = key_file.rotate(path, section.pepper, id, prefix=section.model.prefix, now=time.time(), overlap=seconds)
        print(f"{entry.id} replaces {id}, which lives on for at most {overlap}; the new key is shown once:", file=sys.stderr)
        print(key)
        trail.tell("auth.key.rotated", {**_event(entry), "replaces": id})


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """An id nobody has, or a file that cannot be written, is one line and exit 1."""
    try:
        yield
    except KeyError as error:
        print(f"{path}: no living key has the id {error.args[0]}", file=sys.stderr)
        raise typer.Exit(1) from error
    except OSError as error:
        print(f"{path}: {error.strerror or 'cannot be changed'}", file=sys.stderr)
        raise typer.Exit(1) from error


def _loaded(config: list[Path] | None, env_file: list[Path] | None) -> Loaded:
    """The configuration as far as it can be read: secrets that only the gateway needs may be missing here."""
    loaded = load(config or [], env_file or [])
    if loaded.settings is None:
        raise ConfigError(loaded.errors)
    return loaded


def _model(loaded: Loaded) -> ApiKeys:
    model = loaded.settings.authentication.api_keys if loaded.settings is not None else None
    if model is None:
        raise ConfigError(
            [loaded.problem(("authentication",), "API keys are not configured", "add `api_keys: {file: …, pepper: …}`")]
        )
    return model


def _section(config: list[Path] | None, env_file: list[Path] | None) -> Section:
    loaded = _loaded(config, env_file)
    model, place = _model(loaded), ("authentication", "api_keys", "pepper")
    try:
        pepper = loaded.secrets(model.pepper).current().reveal()
    except ValueError as error:
        raise ConfigError([loaded.problem(place, str(error))]) from error
    if wrong := weakness(pepper, SHORTEST):
        raise ConfigError([loaded.problem(place, f"the pepper {wrong}", "generate one with: openssl rand -base64 48")])
    return Section(loaded, model, pepper)


def _seconds(text: str, option: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _words(text: str) -> list[str] | None:
    """`a,b` -> [a, b]; an option that was not given is None, which is not the same as an empty list."""
    return [word.strip() for word in text.split(",")] if text else None


def _state(entry: KeyEntry, now: float) -> str:
    if entry.revoked_at is not None:
        return "revoked"
    return "expired" if entry.expires_at is not None and key_file.moment(entry.expires_at) <= now else "live"


def _until(entry: KeyEntry) -> str:
    return f"until {entry.expires_at}" if entry.expires_at else "without an end"


def _shown(entry: KeyEntry, now: float) -> dict[str, Any]:
    return {**entry.model_dump(exclude={"hash"}), "state": _state(entry, now)}


def _event(entry: KeyEntry) -> dict[str, Any]:
    """What the audit trail says of a key."""
    return entry.model_dump(include={"id", "name", "subject", "roles", "permissions", "expires_at"}) | {"issuer": ISSUER}


def _row(entry: KeyEntry, now: float) -> tuple[str, ...]:
    return (
        entry.id,
        _state(entry, now),
        entry.expires_at or "never",
        entry.subject,
        ",".join(entry.roles or ()) or "-",
        entry.name,
    )
