"""`gateway config`: the schema of its files, and what a configuration comes to."""

from enum import StrEnum
from typing import Annotated

import orjson
import typer

from gateway.cli.options import Config, EnvFile, sound

app = typer.Typer(
    help="The schema of configuration files, and what a configuration comes to.", no_args_is_help=True, rich_markup_mode=None
)


class Kind(StrEnum):
    """Which files a schema is for."""

    CONFIG = "config"
    POLICY = "policy"


class Format(StrEnum):
    """How the resolved configuration is printed."""

    YAML = "yaml"
    JSON = "json"


@app.command("schema")
def schema(kind: Annotated[Kind, typer.Option(help="Which files.")] = Kind.CONFIG) -> None:
    """Print the JSON Schema (2020-12) of configuration or policy files.

    Name it in a file's first line, `# yaml-language-server: $schema=PATH`, and editors complete and check.
    """
    from gateway.cli.schema import config_schema, policy_schema

    found = config_schema() if kind is Kind.CONFIG else policy_schema()
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


@app.command("print")
def print_(
    config: Config = None,
    env_file: EnvFile = None,
    format: Annotated[Format, typer.Option(help="YAML with the origins as comments, or JSON.")] = Format.YAML,
) -> None:
    """Print the resolved configuration: every key, where its value comes from, secrets masked."""
    from gateway.cli.resolved import resolve, write_json, write_yaml

    resolved = resolve(sound(config, env_file))
    print(write_yaml(resolved) if format is Format.YAML else write_json(resolved))
