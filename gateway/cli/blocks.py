"""`gateway blocks`: whom a running gateway refuses for guessing, and how one is let in again. Asks the admin listener."""

import http.client
import json
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer

from gateway.cli.healthcheck import connected
from gateway.cli.options import Config, EnvFile, Format, Printed
from gateway.cli.terminal import aligned
from gateway.config.address import parse_address
from gateway.core.errors import ConfigError, DependencyDown
from gateway.settings import load

PATH: Final = "/blocks"
TIMEOUT: Final = 40.0
MOST_BYTES: Final = 16 * 1024 * 1024

app = typer.Typer(help="Addresses that are refused because credentials keep failing there.", no_args_is_help=True)


@app.command("list")
def list_(config: Config = None, env_file: EnvFile = None, format: Printed = Format.TEXT) -> None:
    """Who is refused, until when, and which identities are being guessed."""
    status, body = ask("GET", PATH, config, env_file)
    if status != 200:
        raise failed(status)
    told: dict[str, Any] = json.loads(body)
    if format is Format.JSON:
        print(json.dumps(told, indent=2))
        return
    for row in aligned([("NETWORK", "ACTION", "UNTIL", "FAILURES"), *(cells(each) for each in told["addresses"])]):
        print(row)
    for each in told["identities"]:
        print(f"{each['identity']} is being guessed: {each['failures']} failures or more")


@app.command()
def release(
    address: Annotated[str, typer.Argument(help="192.0.2.1, or an IPv6 address or its /64, or `name.ada`, as listed.")],
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Let an address in again, on all workers and replicas, and forget its failures."""
    status, _ = ask("DELETE", f"{PATH}?{urlencode({'address': address})}", config, env_file)
    if status == 400:
        raise typer.BadParameter("an IP address, or an IPv6 network with /64", param_hint="ADDRESS")
    if status == 404:
        print(f"{address} is not blocked")
        raise typer.Exit(1)
    if status != 200:
        raise failed(status)
    print(f"released {address}")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    until = datetime.fromtimestamp(row["until"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return row["network"], row["action"], until, str(row["count"] or "told by another process")


def failed(status: int) -> typer.Exit:
    """Says what to do."""
    hint = "set `admin.token`, or let the admin listener be a unix socket" if status in (401, 403) else "see its log"
    print(f"the admin listener answers {status}: {hint}" if status else "no gateway answers on the admin listener")
    return typer.Exit(1)


def ask(method: str, target: str, config: Config, env_file: EnvFile) -> tuple[int, bytes]:
    """The admin listener's status and body; status 0 where nobody answers. Raises ConfigError."""
    loaded = load(config or [], env_file or [])
    if loaded.settings is None:
        raise ConfigError(loaded.problems)
    admin = loaded.settings.admin
    headers = {}
    try:
        if admin.token is not None:
            headers["Authorization"] = f"Bearer {loaded.secrets(admin.token).current().reveal().decode('latin-1')}"
        with closing(connected(parse_address(admin.address), TIMEOUT)) as connection:
            connection.request(method, target, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read(MOST_BYTES)
    except DependencyDown as error:
        print(f"admin.token: {error.detail}")
        raise typer.Exit(1) from error
    except (OSError, http.client.HTTPException):
        return 0, b""
