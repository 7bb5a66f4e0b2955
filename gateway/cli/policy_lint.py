"""`gateway policy lint`: what is suspicious about policies that are sound."""

from typing import Annotated

import typer

from gateway import proof
from gateway.authn import key_file
from gateway.authz.review import Reviewed, review
from gateway.cli import report
from gateway.cli.options import Config, EnvFile, Written, sound, write
from gateway.cli.terminal import say
from gateway.core.errors import Problem
from gateway.rehearsal import check, rehearse
from gateway.settings import Loaded


def lint(
    config: Config = None,
    env_file: EnvFile = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too, with exit 1.")] = False,
    format: Annotated[report.Format, typer.Option("--format", help="How to print what is found.")] = report.Format.TEXT,
    output: Written = None,
) -> None:
    """Look for rules that never speak, roles nobody gets, credentials no policy guards, and the like.

    Exit 0: nothing, or notes and warnings only; 1: an error (or, with --strict, a warning); 78: bad configuration.
    Each finding is explained in docs/reference/lint.md by the name it carries.
    """
    found = findings(sound(config, env_file))
    if output is not None:
        write(output, report.FORMATS[format.value](found))
        format = report.Format.TEXT
    say(report.FORMATS[format.value](found))
    failing = {"error", "warning"} if strict else {"error"}
    if any(problem.severity in failing for problem in found):
        raise typer.Exit(1)


def findings(loaded: Loaded) -> list[Problem]:
    """Everything that has a name in the catalogue. Raises ConfigError."""
    rehearsal = rehearse(loaded)
    settings = loaded.settings
    anonymous = frozenset(route.name for route in settings.routes if route.anonymous) if settings is not None else frozenset[str]()
    reviewed = Reviewed(rehearsal.documents, rehearsal.policies, anonymous, _keyed(loaded))
    told = [problem for problem in check(loaded) if problem.rule]
    found = [*proof.unguarded(loaded, rehearsal.snapshot, rehearsal.policies), *told, *review(reviewed)]
    return sorted(dict.fromkeys(found), key=lambda problem: (problem.file, problem.line, problem.column, problem.rule))


def _keyed(loaded: Loaded) -> frozenset[str]:
    """The roles that API keys have."""
    keys = loaded.settings.authentication.api_keys if loaded.settings is not None else None
    return frozenset(role for entry in key_file.of(keys.file) for role in entry.roles or ()) if keys is not None else frozenset()
