"""`gateway keys`: hand out API keys, list, revoke and rotate them.

A key is shown once, alone on standard output, so that it can be piped where it belongs; everything else goes to standard error.
"""

import re
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from gateway.authn import key_entry, key_file
from gateway.authn.api_keys import ISSUER
from gateway.authn.key_entry import KeyEntry, state, written
from gateway.authn.model import ApiKeys
from gateway.authz.permissions import PATTERN
from gateway.cli.key_homes import Home, InTable, Listed, home_of, pepper_of
from gateway.cli.options import Config, EnvFile
from gateway.cli.record import CommandRecord
from gateway.cli.terminal import aligned, say
from gateway.config.validation import suggest
from gateway.config.values import NAME, parse_duration
from gateway.core.errors import ConfigError
from gateway.core.route_scope import glob
from gateway.settings import Loaded, load

ROLE = re.compile(NAME)
HEAD = ("ID", "STATE", "EXPIRES", "LAST USED", "SUBJECT", "ROLES", "ONLY FOR", "ROTATED", "NAME")

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Hand out and take back API keys.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The public part of a key: lgk_<id>_…")]


@dataclass(frozen=True, slots=True)
class Section:
    """`authentication.api_keys` of a configuration, its pepper read."""

    loaded: Loaded
    model: ApiKeys
    pepper: bytes
    home: Home


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for, in lists.")],
    subject: Annotated[str, typer.Option(help="The principal it stands for; without it, the name.")] = "",
    roles: Annotated[str, typer.Option(metavar="A,B", help="Roles given directly, separated by commas.")] = "",
    permissions: Annotated[str, typer.Option(metavar="P:Q,…", help="Permissions given directly; with roles they narrow.")] = "",
    routes: Annotated[str, typer.Option(metavar="A,B.*", help="Routes it is for, names or globs; without it, any.")] = "",
    addresses: Annotated[str, typer.Option(metavar="CIDR,…", help="Clients' addresses it counts from; without it, any.")] = "",
    description: Annotated[str, typer.Option(help="A sentence for lists.")] = "",
    expires: Annotated[str, typer.Option(metavar="DURATION", help="Like 90d; without it the key never expires.")] = "",
    only_print: Annotated[
        bool, typer.Option("--print", help="Store nothing: the entry on standard output, the key on error.")
    ] = False,
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Make a key: shown once, stored as a keyed hash."""
    _see_words(_words(roles) or (), _words(permissions) or ())
    section = _section(config, env_file)
    _see_routes(section.loaded, _words(routes) or ())
    key, entry = key_entry.new_entry(
        section.pepper,
        prefix=section.model.prefix,
        name=name,
        subject=subject or None,
        description=description or None,
        roles=_words(roles),
        permissions=_words(permissions),
        routes=_words(routes),
        addresses=_words(addresses),
        now=time.time(),
        expires=_seconds(expires, "--expires") if expires else None,
    )
    if only_print:
        print(key_file.render([entry]), end="")
        print(f"the key, shown once: {key}", file=sys.stderr)
        return
    with closing(CommandRecord(section.loaded)) as trail:
        section.home.add(entry)
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
    loaded = _loaded(config, env_file)
    listed, now = home_of(loaded, _model(loaded)).listed(), time.time()
    if json:
        print(orjson.dumps([_shown(each, now) for each in listed], option=orjson.OPT_INDENT_2).decode())
        return
    for line in aligned([HEAD, *(_row(each, now) for each in listed)]):
        say(line)


@app.command()
def revoke(id: Id, config: Config = None, env_file: EnvFile = None) -> None:
    """Take a key back; a running gateway notices within seconds."""
    loaded = _loaded(config, env_file)
    home = home_of(loaded, _model(loaded))
    with closing(CommandRecord(loaded)) as trail:
        entry = home.revoke(id, time.time())
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
    with closing(CommandRecord(section.loaded)) as trail:
        key, entry = section.home.rotate(section.pepper, id, prefix=section.model.prefix, now=time.time(), overlap=seconds)
        print(f"{entry.id} replaces {id}, which lives on for at most {overlap}; the new key is shown once:", file=sys.stderr)
        print(key)
        trail.tell("auth.key.rotated", {**_event(entry), "replaces": id})


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file of keys, as `api_keys.file` names one.")],
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Take the keys of a file over into the database, all of them or none. They go on counting: the pepper is the same."""
    section = _section(config, env_file)
    home = section.home
    if not isinstance(home, InTable):
        raise typer.BadParameter("keys lie in a file already: say `store: database` in `authentication.api_keys`")
    entries = key_file.load(file)
    with closing(CommandRecord(section.loaded)) as trail:
        home.add_all(entries)
        print(f"{len(entries)} keys are in the database; {file} counts no more: delete it", file=sys.stderr)
        for entry in entries:
            trail.tell("auth.key.created", _event(entry))


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
    model = _model(loaded)
    return Section(loaded, model, pepper_of(loaded, model), home_of(loaded, model))


def _seconds(text: str, option: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _words(text: str) -> list[str] | None:
    """`a,b` -> [a, b]; an option that was not given is None, which is not the same as an empty list."""
    return [word.strip() for word in text.split(",")] if text else None


def _see_words(roles: Sequence[str], permissions: Sequence[str]) -> None:
    """Raises typer.BadParameter for what can never be granted."""
    for word in permissions:
        if not PATTERN.fullmatch(word):
            raise typer.BadParameter(f"{word!r} is no permission: one is written resource:action, either may be *")
    for word in roles:
        if not ROLE.fullmatch(word):
            raise typer.BadParameter(f"{word!r} is no role's name")


def _see_routes(loaded: Loaded, texts: Sequence[str]) -> None:
    """Raises typer.BadParameter for what means no configured route: a key that counts nowhere will hardly have been meant."""
    names = [route.name for route in loaded.settings.routes] if loaded.settings is not None else []
    for text in texts:
        if not any(glob(text).fullmatch(name) for name in names):
            hint = suggest(text, sorted(names))
            raise typer.BadParameter(f"{text!r} means no configured route{f': {hint}' if hint else ''}", param_hint="--routes")


def _until(entry: KeyEntry) -> str:
    return f"until {entry.expires_at}" if entry.expires_at else "without an end"


def _shown(listed: Listed, now: float) -> dict[str, Any]:
    told = {**listed.entry.model_dump(mode="json", exclude={"hash"}), "state": state(listed.entry, now)}
    return told | {"last_used": None if listed.used_at is None else written(listed.used_at)}


def _event(entry: KeyEntry) -> dict[str, Any]:
    """What the audit trail says of a key."""
    told = {"id", "name", "subject", "roles", "permissions", "routes", "addresses", "expires_at"}
    return entry.model_dump(mode="json", include=told) | {"issuer": ISSUER}


def _row(listed: Listed, now: float) -> tuple[str, ...]:
    entry = listed.entry
    for_ = [*(entry.routes or ()), *map(str, entry.addresses or ())]
    return (
        entry.id,
        state(entry, now),
        entry.expires_at or "never",
        "-" if listed.used_at is None else written(listed.used_at),
        entry.subject,
        ",".join(entry.roles or ()) or "-",
        ",".join(for_) or "-",
        f"-> {entry.replaced_by}" if entry.replaced_by else f"<- {entry.replaces}" if entry.replaces else "-",
        entry.name,
    )
