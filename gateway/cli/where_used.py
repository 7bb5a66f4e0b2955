"""`gateway where-used`: the routes, upstreams and methods that have a credential, and the secrets it is made of."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from gateway.cli.options import Config, EnvFile
from gateway.cli.report import nearby
from gateway.cli.terminal import json, one_line, say
from gateway.config.validation import suggest
from gateway.core.errors import ConfigError
from gateway.reach import Source, Use, named, sources, uses
from gateway.settings import Loaded, Settings, load

Credential = Annotated[
    str,
    typer.Argument(metavar="CREDENTIAL", help="An entry of `credentials:`, or a secret: a sealed name, env:NAME, file:PATH."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def where_used(credential: Credential, config: Config = None, env_file: EnvFile = None, as_json: AsJson = False) -> None:
    """Say which routes have a credential, in which place of their order, and what it is made of.

    Exit 0: it was told, also where nothing uses it; 2: there is no such credential; 78: bad configuration.
    """
    loaded, settings, names = meant(config, env_file, credential)
    found = {name: (sources(loaded, settings, name), uses(loaded, settings, name)) for name in names}
    if as_json:
        told = [_data(settings, name, *parts) for name, parts in found.items()]
        print(json({"credentials": told}))
        return
    for name, (made_of, used) in found.items():
        for line in _lines(settings, name, made_of, used):
            say(line)


def meant(config: Config, env_file: EnvFile, text: str) -> tuple[Loaded, Settings, list[str]]:
    """The configuration, and the credentials that a name means. Raises ConfigError, and typer.BadParameter for an unknown name."""
    loaded = load(config or [], env_file or [])
    if loaded.settings is None:
        raise ConfigError(loaded.errors)
    names = named(loaded, loaded.settings, text)
    if not names:
        hint = suggest(text, sorted(loaded.settings.credentials))
        told = f"'{text}' is no credential, and no credential is made of it" + (f": {hint}" if hint else "")
        raise typer.BadParameter(told, param_hint="CREDENTIAL")
    return loaded, loaded.settings, names


def near(place: str) -> str:
    """`file:line` with the file as it is named from here."""
    file, _, line = place.rpartition(":")
    return f"{nearby(file)}:{line}"


def _data(settings: Settings, name: str, made_of: list[Source], used: list[Use]) -> dict[str, Any]:
    return {
        "credential": name,
        "inject": settings.credentials[name].inject,
        "secrets": [{**asdict(each), "place": near(each.place)} for each in made_of],
        "used": [{**asdict(each), "place": near(each.place)} for each in used],
    }


def _lines(settings: Settings, name: str, made_of: list[Source], used: list[Use]) -> Iterator[str]:
    yield f"{name}   inject {settings.credentials[name].inject}"
    for each in made_of:
        state = f"   {each.state}" if each.state else ""
        yield one_line(f"  made of {each.name}   {each.key}   {near(each.place)}{state}")
    for use in used:
        yield one_line(f"  {line_of(use)}")
    if not used:
        yield "  no route has it"


def line_of(use: Use) -> str:
    """A route in one line."""
    methods = ",".join(use.methods) if use.methods is not None else "any method"
    place = f", {use.position} of {use.of} in its order" if use.of > 1 else ""
    where = f"{use.host or ''}{use.path} on {', '.join(use.listeners)}"
    return f"route {use.route}   {methods} {where}   to {use.upstream} (named by the {use.given_by}{place})   {near(use.place)}"
