"""Policies to be asked about, wherever they stand: in the configuration, in another folder, or in another configuration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from gateway.authn import key_file
from gateway.authz.replay import Side, Stated
from gateway.config.document import read
from gateway.core.errors import ConfigError
from gateway.rehearsal import Rehearsal, rehearse
from gateway.settings import Loaded, load
from gateway.settings.load import listed


@dataclass(frozen=True, slots=True)
class Place:
    """Policies built with the routes they are about."""

    name: str
    loaded: Loaded
    rehearsal: Rehearsal
    side: Side


def place_of(loaded: Loaded, name: str = "") -> Place:
    """The configuration's own policies. Raises ConfigError."""
    rehearsal = rehearse(loaded)
    return Place(name, loaded, rehearsal, Side(rehearsal.policies, rehearsal.documents, _keys(loaded), _ceilings(loaded)))


def place_at(path: Path, loaded: Loaded, env_files: Sequence[Path]) -> Place:
    """Policies of a folder or file, with the routes of `loaded`; of a configuration file, with its own.

    Raises ConfigError, and typer.BadParameter where nothing is.
    """
    if path.is_dir():
        files = listed(path)
        if not files:
            raise typer.BadParameter(f"{path} holds no policy files")
        return place_of(_with(loaded, files), str(path))
    document = read(path)
    if document.problems:
        raise ConfigError(document.problems)
    if isinstance(document.value, dict) and "kind" in document.value:
        return place_of(_with(loaded, [path]), str(path))
    other = load([path], env_files)
    if other.errors:
        raise ConfigError(other.problems)
    return place_of(other, str(path))


def _with(loaded: Loaded, files: Sequence[Path]) -> Loaded:
    own = {problem for document in loaded.policies for problem in document.problems}
    problems = [problem for problem in loaded.problems if problem not in own]
    return replace(loaded, policies=[read(file) for file in files], problems=problems)


def _keys(loaded: Loaded) -> Callable[[str], Stated]:
    """What the key file states with each key."""
    settings = loaded.settings
    model = settings.authentication.api_keys if settings is not None else None
    stated: dict[str, Stated] = {}
    if model is not None:
        for entry in key_file.of(model.file):
            stated[entry.id] = (entry.roles is not None, entry.permissions)
    return stated.__getitem__


def _ceilings(loaded: Loaded) -> frozenset[str]:
    issuers = loaded.settings.authentication.named() if loaded.settings is not None else {}
    return frozenset(name for name, issuer in issuers.items() if issuer.scope_ceiling)
