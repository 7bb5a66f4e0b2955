"""Options that several commands share, and what they are read into."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.core.errors import ConfigError
from gateway.settings import Loaded, load

Config = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        "-c",
        metavar="PATH",
        help="Configuration file; may be repeated: later files win, maps merge, lists replace. "
        "Without it $GATEWAY_CONFIG, ./config.yaml, /etc/gateway/config.yaml.",
    ),
]
EnvFile = Annotated[
    list[Path] | None,
    typer.Option(
        "--env-file", metavar="PATH", help="Variables, KEY=VALUE a line; what the environment already has wins. Repeatable."
    ),
]


class Format(StrEnum):
    """How an answer is printed."""

    TEXT = "text"
    JSON = "json"


Printed = Annotated[Format, typer.Option("--format", help="How to print.")]
Written = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write what --format says to a file, and text to the terminal."),
]
RevokeNow = Annotated[bool, typer.Option("--revoke-now", help="End the old one at once, not after the overlap.")]
Forget = Annotated[bool, typer.Option("--forget", help="Of a rotation whose `rotate` is gone: tell what to revoke, and end it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Mint nothing: see whether it could be done.")]


def write(path: Path, text: str) -> None:
    """Write a file whole. Raises typer.BadParameter where it cannot be written."""
    try:
        path.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror or 'cannot be written'}", param_hint="--output") from error


def sound(config: list[Path] | None, env_file: list[Path] | None) -> Loaded:
    """The configuration, warnings told on standard error. Raises ConfigError when it has an error."""
    loaded = load(config or [], env_file or [])
    if loaded.errors:
        raise ConfigError(loaded.problems)
    for problem in loaded.problems:
        print(problem, file=sys.stderr)
    return loaded
