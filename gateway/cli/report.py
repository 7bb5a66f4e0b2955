"""Problems as text for people, JSON for scripts, SARIF 2.1.0 for code hosts."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from gateway import __version__
from gateway.authz.lints import LINTS
from gateway.cli import terminal
from gateway.cli.pointer import Pointer
from gateway.core.errors import Problem

SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
RULE: Final = {"error": "configuration", "warning": "configuration-warning"}
"""The names of findings that have none of their own."""
LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}
PAGE: Final = "docs/reference/lint.md"


class Format(StrEnum):
    """How problems are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def text(problems: Sequence[Problem]) -> str:
    """One line each, below it the line of a policy document with a caret, and how many."""
    counts = Counter(problem.severity for problem in problems)
    notes = f", {_count(counts['info'], 'note')}" if counts["info"] else ""
    pointer = Pointer()
    lines = [line for problem in problems for line in (_line(problem), *pointer.lines(problem))]
    lines.append(
        f"{_count(counts['error'], 'error')}, {_count(counts['warning'], 'warning')}{notes}" if problems else "no problems"
    )
    return "\n".join(lines)


def _line(problem: Problem) -> str:
    shown = str(replace(problem, file=nearby(problem.file)))
    return f"{shown} [{problem.rule}]" if problem.rule else shown


def json(problems: Sequence[Problem]) -> str:
    """`{"ok": …, "problems": [{file, line, column, path, message, hint, severity}]}`, with `rule` where a finding has a name."""
    ok = not any(problem.severity == "error" for problem in problems)
    shown = [asdict(replace(problem, file=nearby(problem.file))) for problem in problems]
    shown = [{name: value for name, value in each.items() if name != "rule" or value} for each in shown]
    return terminal.json({"ok": ok, "problems": shown})


def sarif(problems: Sequence[Problem]) -> str:
    """OASIS SARIF 2.1.0; files below the working directory are named relative to it, as code hosts expect."""
    run = {
        "tool": {"driver": {"name": "gateway", "version": __version__, "rules": _rules(problems)}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem) for problem in problems],
    }
    return terminal.json({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]})


FORMATS: Final[dict[str, Callable[[Sequence[Problem]], str]]] = {"text": text, "json": json, "sarif": sarif}


def _rules(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """What is looked for, with those of the catalogue that were found and where each is explained."""
    rules: list[dict[str, Any]] = [{"id": rule} for rule in RULE.values()]
    for rule in sorted({problem.rule for problem in problems if problem.rule}):
        words = LINTS[rule]
        rules.append({"id": rule, "shortDescription": {"text": words.means}, "help": {"text": f"{words.do} ({PAGE}#{rule})"}})
    return rules


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _result(problem: Problem) -> dict[str, Any]:
    words = f"{problem.path}: {problem.message}" if problem.path else problem.message
    return {
        "ruleId": problem.rule or RULE[problem.severity],
        "level": LEVELS[problem.severity],
        "message": {"text": f"{words} ({problem.hint})" if problem.hint else words},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(problem.file)},
                    "region": {"startLine": max(problem.line, 1), "startColumn": max(problem.column, 1)},
                }
            }
        ],
    }


def nearby(file: str) -> str:
    """A file below the working directory is named from there."""
    path = Path(file).absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _uri(file: str) -> str:
    found = Path(nearby(file))
    return found.absolute().as_uri() if found.is_absolute() else quote(found.as_posix())
