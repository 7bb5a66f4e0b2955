"""`gateway check`: everything a start would find, and the policies' own cases; starts nothing."""

from collections.abc import Sequence
from typing import Annotated

import typer

from gateway.cli import BAD_CONFIGURATION, report
from gateway.cli.options import Config, EnvFile
from gateway.core.errors import Problem
from gateway.settings import Loaded, load


def check(
    config: Config = None,
    env_file: EnvFile = None,
    format: Annotated[report.Format, typer.Option(help="How to print what is found.")] = report.Format.TEXT,
    workers: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="Check for `serve` with as many worker processes.")] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too, with exit 1.")] = False,
) -> None:
    """Check the configuration and the policies without starting anything.

    Exit 0: sound; 1: only policy cases failed (or, with --strict, warnings); 78: bad configuration.
    """
    loaded = load(config or [], env_file or [])
    problems = _in_order([*built(loaded), *(multiplied(loaded) if workers > 1 else ())])
    wrong = any(problem.severity == "error" for problem in problems)
    failed = [] if wrong else failures(loaded)
    print(report.FORMATS[format.value]([*problems, *failed]))
    if wrong:
        raise typer.Exit(BAD_CONFIGURATION)
    if failed or (strict and problems):
        raise typer.Exit(1)


def built(loaded: Loaded) -> list[Problem]:
    """The problems of the files, and those that only a build finds."""
    from gateway import rehearsal

    known = set(loaded.problems)
    found = (each for each in rehearsal.check(loaded) if each not in known and not _is_told(each, loaded.errors))
    return [*loaded.problems, *found, *unusable(loaded)]


def multiplied(loaded: Loaded) -> list[Problem]:
    """What a start with several workers would refuse."""
    from gateway.workers import rules

    return [] if loaded.settings is None else rules.problems(loaded, loaded.settings)


def unusable(loaded: Loaded) -> list[Problem]:
    """What a start would find wrong with the TLS files of the listeners."""
    from gateway.served import place
    from gateway.server.tls import ServerTls, TlsError

    settings = loaded.settings
    if settings is None:
        return []
    found = []
    for name, listen in settings.served().items():
        try:
            if listen.tls is not None:
                ServerTls(listen.tls)
        except TlsError as error:
            found.append(loaded.problem((*place(settings, name), "tls", error.key), error.problem))
    return [problem for problem in found if not _is_told(problem, loaded.errors)]


def _is_told(problem: Problem, errors: Sequence[Problem]) -> bool:
    """Whether an error at the same place, or inside it, says already why this part cannot be built."""
    inside = (f"{problem.path}.", f"{problem.path}[")
    return any(each.path == problem.path or each.path.startswith(inside) for each in errors)


def failures(loaded: Loaded) -> list[Problem]:
    """The policy cases that are answered otherwise than they expect."""
    from gateway.cli import policy_cases

    return policy_cases.failures(loaded)


def _in_order(problems: list[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line, problem.column))
