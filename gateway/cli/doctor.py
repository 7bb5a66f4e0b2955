"""`gateway doctor`: what needs care: what ends soon, what is open that need not be, what does not answer.

Beside the warnings of `gateway check` it tells what only a judgement of the settings or a look at the world finds.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any, Final

import typer

from gateway.authz.lints import LINTS
from gateway.cli.check import built
from gateway.cli.options import Config, EnvFile
from gateway.cli.report import nearby
from gateway.cli.terminal import aligned, json, one_line, say
from gateway.config.validation import suggest
from gateway.core.errors import ConfigError, Problem
from gateway.doctor import CHECKED, FINDINGS
from gateway.doctor.custody import looked_at
from gateway.doctor.ending import ending
from gateway.doctor.files import files
from gateway.doctor.lenient import lenient
from gateway.rehearsal import rehearse
from gateway.settings import load

DAY: Final = 86400.0
ORDER: Final = ("error", "warning", "info")
NAMES: Final = FINDINGS | {name for name, lint in LINTS.items() if lint.checked}
"""The names of all findings."""
SHOWN: Final = {"error": "ACT", "warning": "CARE", "info": "note"}


def _names(given: list[str] | None) -> list[str] | None:
    """Raises typer.BadParameter: what is misspelt would leave out nothing."""
    for name in given or ():
        if name not in NAMES:
            near = suggest(name, sorted(NAMES)) or f"there are {', '.join(sorted(NAMES))}"
            raise typer.BadParameter(f"no finding is called '{one_line(name)}': {near}")
    return given


def doctor(
    config: Config = None,
    env_file: EnvFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    days: Annotated[int, typer.Option(min=0, max=3650, metavar="N", help="Tell what ends within so many days.")] = 30,
    offline: Annotated[bool, typer.Option("--offline", help="Look at files only: ask neither the database nor the vault.")] = False,
    patience: Annotated[float, typer.Option(min=0.1, max=60, metavar="SECONDS", help="How long each look may take.")] = 5.0,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="NAME", callback=_names, help="Leave out findings of this name. Repeatable.")
    ] = None,
) -> None:
    """Tell what needs care: secrets and certificates that end, files that others read, settings that fail open, what is broken.

    Exit 0: nothing, or notes only; 1: something needs care; 78: bad configuration. It changes nothing and tells no secret.
    """
    loaded = load(config or [], env_file or [])
    if loaded.settings is None or loaded.errors:
        raise ConfigError(loaded.problems)
    now, within = time.time(), days * DAY
    rehearsal = rehearse(loaded)
    found = [*built(loaded), *lenient(loaded, loaded.settings, rehearsal.policies)]
    found += [*ending(loaded, loaded.settings, now, within), *files(loaded, loaded.settings, env_file or [])]
    if not offline:
        found += asyncio.run(looked_at(loaded, loaded.settings, now, within, patience))
    told = ordered(found, set(ignore or ()))
    if as_json:
        print(json(_document(told)))
    else:
        for line in table(told):
            say(line)
    if any(problem.severity != "info" for problem in told):
        raise typer.Exit(1)


def ordered(found: Sequence[Problem], ignored: set[str]) -> list[Problem]:
    """Each once and with a name, the gravest first, those of one kind in the order of files."""
    named = dict.fromkeys(problem if problem.rule else replace(problem, rule=CHECKED) for problem in found)
    kept = [problem for problem in named if problem.rule not in ignored]
    return sorted(
        kept, key=lambda problem: (ORDER.index(problem.severity), problem.file, problem.line, problem.column, problem.rule)
    )


def table(told: Sequence[Problem]) -> list[str]:
    """For people: two lines each, what it is and what to do."""
    lines = []
    for head, problem in zip(aligned([(*_head(problem), "") for problem in told]), told, strict=True):
        path = f"{problem.path}: " if problem.path else ""
        lines.append(head + one_line(f"{path}{problem.message}"))
        if problem.hint:
            lines.append(" " * len(head) + one_line(f"-> {problem.hint}"))
    counts = [sum(problem.severity == severity for problem in told) for severity in ORDER]
    return [*lines, "{} to act on, {} to take care of, {} to know".format(*counts) if told else "nothing needs care"]


def _head(problem: Problem) -> tuple[str, str, str]:
    file = nearby(problem.file)
    return SHOWN[problem.severity], problem.rule, f"{file}:{problem.line}" if problem.line else file


def _document(told: Sequence[Problem]) -> dict[str, Any]:
    shown = [asdict(replace(problem, file=nearby(problem.file))) for problem in told]
    findings = [{"name": each.pop("rule"), **each} for each in shown]
    return {"ok": not any(problem.severity != "info" for problem in told), "findings": findings}
