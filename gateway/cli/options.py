"""Options that several commands share, and what they are read into."""

import sys
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


def sound(config: list[Path] | None, env_file: list[Path] | None) -> Loaded:
    """The configuration, warnings told on standard error. Raises ConfigError when it has an error."""
    loaded = load(config or [], env_file or [])
    if loaded.errors:
        raise ConfigError(loaded.problems)
    for problem in loaded.problems:
        print(problem, file=sys.stderr)
    return loaded
