"""cli: the `gateway` command.

One module a command, imported only when it is asked for, so that `gateway version` does not load a server. A module
gives either `app`, a group of commands, or a function of its own name, `_` for `-`. Exit codes: 0 fine, 1 failed, 2 usage, 78 bad
configuration (CONTRACT 1).
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import typer

from gateway.core.errors import ConfigError

BAD_CONFIGURATION: Final = 78

COMMANDS: Final = {
    "serve": "gateway.cli.serve",
    "demo": "gateway.cli.demo",
    "check": "gateway.cli.check",
    "policy": "gateway.cli.policy",
    "config": "gateway.cli.config",
    "keys": "gateway.cli.keys",
    "secrets": "gateway.cli.secrets",
    "database": "gateway.cli.database",
    "grants": "gateway.cli.grants",
    "blocks": "gateway.cli.blocks",
    "sessions": "gateway.cli.sessions",
    "operators": "gateway.cli.operators",
    "doctor": "gateway.cli.doctor",
    "who-can": "gateway.cli.who_can",
    "where-used": "gateway.cli.where_used",
    "healthcheck": "gateway.cli.healthcheck",
    "version": "gateway.cli.version",
}


def main() -> None:
    """The console script."""
    try:
        assemble(sys.argv[1:])()
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(BAD_CONFIGURATION)


def assemble(arguments: Sequence[str]) -> typer.Typer:
    """The application with the commands these arguments need: the one they name, or all, to list them."""
    app = typer.Typer(
        name="gateway",
        help="A security gateway in front of tool APIs.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    # A callback keeps a lone command a command by its name.
    app.callback()(_root)
    wanted = [arguments[0]] if arguments and arguments[0] in COMMANDS else list(COMMANDS)
    for name in wanted:
        _mount(app, name, COMMANDS[name])
    return app


def _root() -> None:
    """A security gateway in front of tool APIs: clients bring their own identity and never hold the APIs' credentials."""


def _mount(app: typer.Typer, name: str, module: str) -> None:
    found = import_module(module)
    if hasattr(found, "app"):
        app.add_typer(found.app, name=name)
    else:
        app.command(name)(getattr(found, name.replace("-", "_")))
