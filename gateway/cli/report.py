"""Problems as text for people, JSON for scripts, SARIF 2.1.0 for code hosts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson

from gateway import __version__
from gateway.core.errors import Problem

SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
RULE: Final = {"error": "configuration", "warning": "configuration-warning"}


def text(problems: Sequence[Problem]) -> str:
    """One line each, and how many."""
    errors = sum(problem.severity == "error" for problem in problems)
    lines = [str(replace(problem, file=nearby(problem.file))) for problem in problems]
    lines.append(f"{_count(errors, 'error')}, {_count(len(problems) - errors, 'warning')}" if problems else "no problems")
    return "\n".join(lines)


def json(problems: Sequence[Problem]) -> str:
    """`{"ok": …, "problems": [{file, line, column, path, message, hint, severity}]}`."""
    ok = not any(problem.severity == "error" for problem in problems)
    shown = [replace(problem, file=nearby(problem.file)) for problem in problems]
    return orjson.dumps({"ok": ok, "problems": shown}, option=orjson.OPT_INDENT_2).decode()


def sarif(problems: Sequence[Problem]) -> str:
    """OASIS SARIF 2.1.0; files below the working directory are named relative to it, as code hosts expect."""
    run = {
        "tool": {"driver": {"name": "gateway", "version": __version__, "rules": [{"id": rule} for rule in RULE.values()]}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem) for problem in problems],
    }
    return orjson.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, option=orjson.OPT_INDENT_2).decode()


FORMATS: Final[dict[str, Callable[[Sequence[Problem]], str]]] = {"text": text, "json": json, "sarif": sarif}


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _result(problem: Problem) -> dict[str, Any]:
    words = f"{problem.path}: {problem.message}" if problem.path else problem.message
    return {
        "ruleId": RULE[problem.severity],
        "level": problem.severity,
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
