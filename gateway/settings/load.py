"""Configuration files -> Settings, with every problem of every file. Raises nothing, starts nothing."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Final, cast
from weakref import proxy

import orjson

from gateway.authz.parts import Compiled
from gateway.config import shape
from gateway.config.anchor import anchor
from gateway.config.document import Document, Steps
from gateway.config.environment import variables
from gateway.config.layers import Layers
from gateway.config.packing import read_each
from gateway.config.secrets import Secrets
from gateway.config.substitution import substitute
from gateway.config.validation import validate
from gateway.core.errors import Problem
from gateway.settings import rules
from gateway.settings.model import Settings
from gateway.settings.secrets import follow, sealed_elsewhere
from gateway.settings.sources import Services
from gateway.settings.stored import Stored, database_of
from gateway.settings.vault import Opened

VARIABLE: Final = "GATEWAY_CONFIG"
PLACES: Final = (Path("config.yaml"), Path("/etc/gateway/config.yaml"))
SEARCHED: Final = (
    f"name the configuration with --config or ${VARIABLE}, or write {PLACES[0]} or {PLACES[1]}; `gateway demo` runs without any"
)
SUFFIXES: Final = frozenset({".yaml", ".yml"})
Read = Callable[[Iterable[Path]], list[Document]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read. `settings` is None where a model failed; `problems` holds errors and warnings, in the order of files.

    `source` is the merged data with the place of each value, `policies` the policy documents as read, `files` everything
    that was looked at (for watching), `generation` the hash of it all, without any secret. Where another process has compiled
    the policies, `compiled` is what it made, and their documents are texts only.
    """

    settings: Settings | None
    problems: list[Problem]
    source: Layers
    policies: list[Document]
    secrets: Secrets
    vault: Opened
    services: Services
    files: list[Path]
    generation: str
    compiled: Compiled | None = None

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]

    def place(self, path: Steps, key: bool = False) -> tuple[str, int, int]:
        """File, line and column of the value at `path`, or of its key."""
        return self.source.where(path, key)

    def problem(self, path: Steps, message: str, hint: str = "", *, key: bool = False, severity: str = "error") -> Problem:
        """A finding about a value, for whoever builds from these settings."""
        return self.source.problem(path, message, hint, key=key, severity=severity)


def find(environ: Mapping[str, str] | None = None) -> list[Path]:
    """The configuration file when none is named: $GATEWAY_CONFIG, ./config.yaml, /etc/gateway/config.yaml."""
    named = (os.environ if environ is None else environ).get(VARIABLE)
    if named:
        return [Path(named)]
    return [next((path for path in PLACES if path.is_file()), PLACES[0])]


def load(
    paths: Sequence[Path],
    env_files: Sequence[Path] = (),
    *,
    environ: Mapping[str, str] | None = None,
    read: Read = read_each,
    policies_at: Sequence[Path] | None = None,
) -> Loaded:
    """Read, substitute, merge, validate and cross-check. With no `paths`, those of `find`.

    `policies_at` are the policy files where somebody has listed them already.
    """
    found = [] if paths else find(environ)
    paths = list(paths) or found
    known, problems = variables(env_files, os.environ if environ is None else environ)
    substituted = [substitute(document, known) for document in read(paths)]
    for document in substituted:
        _advise(document, searched=bool(found))
    source = Layers([anchor(document, Settings) for document in substituted])
    settings, wrong = validate(Settings, source)
    secrets = Secrets(known)
    held = cast("Secrets", proxy(secrets))  # which asks these in its turn: nothing but the collector would free a configuration
    vault = Opened(source, secrets, time.time)
    database = settings.database if settings is not None else database_of(source.value)
    if database is not None:
        vault.stored = Stored(database, held, vault.ring, lambda: sealed_elsewhere(source, vault.entries))
    secrets.unseal(vault)
    services = Services(settings.secret_sources if settings is not None else {}, held)
    secrets.ask(services)
    problems += [*source.problems, *wrong, *vault.problems]
    problems += [*rules.check(source), *follow(source, secrets, vault.entries)]
    files = policy_files(source) if policies_at is None else list(policies_at)
    policies = read(files)
    problems += [problem for document in policies for problem in document.problems]
    looked_at = [*paths, *env_files, *_policy_paths(source), *files, *_schema_files(source)]
    return Loaded(
        settings, _in_order(problems), source, policies, secrets, vault, services, looked_at, _generation(substituted, policies)
    )


def _advise(document: Document, *, searched: bool) -> None:
    """Say how a configuration is named, where there is none to be read."""
    if document.text or Path(document.file).is_file():
        return
    advice = SEARCHED if searched else f"name the configuration with --config or ${VARIABLE}"
    document.problems[:] = [replace(problem, hint=problem.hint or advice) for problem in document.problems]


def policy_files(source: Layers) -> list[Path]:
    """Every policy file named, and those of every folder named: `*.yaml` and `*.yml`, hidden ones left out."""
    found: list[Path] = []
    for path in _policy_paths(source):
        found += listed(path) if path.is_dir() else [path] if path.is_file() else []
    return list(dict.fromkeys(found))


def _policy_paths(source: Layers) -> list[Path]:
    named = shape.item(source.value, "policies")
    return [Path(path) for path in (named if isinstance(named, list) else [named]) if isinstance(path, str) and path]


def _schema_files(source: Layers) -> list[Path]:
    """The schemas and descriptions that routes name. They are read when the routes are built."""
    named = [path for path in shape.paths(Settings, source.value) if "validate" in path]
    return [Path(reduce(shape.item, path, source.value)) for path in named]


def listed(folder: Path) -> list[Path]:
    """The policy files of a folder, by name."""
    # Kubernetes mounts each file as a link into a hidden folder beside it, so only what is directly here counts.
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))
    except OSError:
        return []


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Each once, by file and place."""
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line, problem.column, problem.path))


def _generation(documents: Iterable[Document], policies: Iterable[Document]) -> str:
    """12 hexadecimal digits that change whenever the configuration does."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(orjson.dumps(document.value, option=orjson.OPT_SORT_KEYS) + b"\n")
    for document in policies:
        digest.update(Path(document.file).name.encode("utf-8", "surrogateescape") + b"\0" + document.text.encode() + b"\0")
    return digest.hexdigest()[:12]
