"""`gateway policy test`: run the policies' cases."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.authz import cases
from gateway.authz.document import PolicyDocuments
from gateway.cli import policy_report
from gateway.cli.options import Config, EnvFile, Written, sound, write
from gateway.cli.policy_question import moment
from gateway.cli.terminal import say
from gateway.core.errors import Problem
from gateway.rehearsal import rehearse, see
from gateway.settings import Loaded

ALL: Final = 100.0


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


def run_cases(
    files: Annotated[list[Path] | None, typer.Argument(help="Run the cases of these test files or folders only.")] = None,
    config: Config = None,
    env_file: EnvFile = None,
    coverage: Annotated[bool, typer.Option("--coverage", help="Fail when a rule was not seen in both outcomes.")] = False,
    min_coverage: Annotated[
        float | None, typer.Option(min=0, max=100, metavar="PERCENT", help="Fail when fewer rules were seen in both outcomes.")
    ] = None,
    wanted: Annotated[str, typer.Option("--filter", metavar="TEXT", help="Run the cases whose name, request or test has it.")] = "",
    now: Annotated[str, typer.Option(metavar="TIME", help="The time of cases that state none, RFC 3339.")] = cases.NOW,
    explain: Annotated[bool, typer.Option("--explain", help="Show why, for each failure.")] = False,
    format: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TEXT,
    output: Written = None,
) -> None:
    """Run every PolicyTest. Exit 0: all passed; 1: some failed, or rules are not covered; 78: bad configuration."""
    threshold = ALL if coverage else min_coverage
    rehearsal = rehearse(sound(config, env_file))
    moment(now)
    chosen = cases.Chosen(_named(files or [], rehearsal.documents), wanted, now)
    if threshold is not None and not chosen.is_all:
        raise typer.BadParameter("coverage is that of all cases: leave out --filter and the files")
    report = cases.run(rehearsal.documents, rehearsal.policies, rehearsal.match, chosen, see=see)
    if not report.results and not chosen.is_all:
        raise typer.BadParameter("no case is like that")
    told = policy_report.Told(report, threshold, explain)
    if output is not None:
        write(output, policy_report.FORMATS[format.value](told))
        format = Format.TEXT
    say(policy_report.FORMATS[format.value](told))
    if told.failed:
        raise typer.Exit(1)


def _named(paths: list[Path], documents: PolicyDocuments) -> frozenset[Path]:
    """The test files that are named, or lie in a folder that is. Raises typer.BadParameter for a path without any."""
    known = [Path(loaded.document.file).resolve() for loaded in documents.tests]
    found: set[Path] = set()
    for path in paths:
        here = [file for file in known if file.is_relative_to(path.resolve())]
        if not here:
            raise typer.BadParameter(f"{path} is no test of this configuration, and no folder of one")
        found.update(here)
    return frozenset(found)


def failures(loaded: Loaded) -> list[Problem]:
    """Cases that are answered otherwise than they expect, as problems at their place."""
    rehearsal = rehearse(loaded)
    report = cases.run(rehearsal.documents, rehearsal.policies, rehearsal.match, see=see)
    return [_problem(result) for result in report.results if not result.passed]


def _problem(result: cases.Result) -> Problem:
    file, _, line = result.place.rpartition(":")
    return Problem(file, int(line), result.column, f"{result.test}: {result.case} as {result.subject}", result.message)
