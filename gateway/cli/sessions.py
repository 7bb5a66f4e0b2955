"""`gateway sessions`: who is logged in at a running gateway, and how a session is ended. Asks the admin listener."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

import typer

from gateway.cli.blocks import ask, failed
from gateway.cli.options import Config, EnvFile, Format, Printed
from gateway.cli.terminal import aligned

PATH: Final = "/sessions"

app = typer.Typer(help="Sessions of people who logged in.", no_args_is_help=True)

Issuer = Annotated[str, typer.Option(help="The login provider's name.")]
Subject = Annotated[str, typer.Option(help="The person there.")]


@app.command("list")
def list_(
    issuer: Issuer = "", subject: Subject = "", config: Config = None, env_file: EnvFile = None, format: Printed = Format.TEXT
) -> None:
    """Who is logged in, oldest first, at most a thousand."""
    status, body = ask("GET", PATH + person(issuer, subject), config, env_file)
    if status != 200:
        raise failed(status)
    found: list[dict[str, Any]] = json.loads(body)["sessions"]
    if format is Format.JSON:
        print(json.dumps(found, indent=2))
        return
    for row in aligned([("SESSION", "ISSUER", "SUBJECT", "OPENED", "ENDS"), *(cells(each) for each in found)]):
        print(row)


@app.command()
def end(
    session: Annotated[str, typer.Argument(help="Its name in the list; without it, all of --issuer and --subject.")] = "",
    issuer: Issuer = "",
    subject: Subject = "",
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """End one session, or all of a person, on all workers and replicas within a second."""
    if bool(session) == bool(issuer or subject):
        raise typer.BadParameter("name a session, or --issuer and --subject")
    target = f"{PATH}/{quote(session, safe='')}" if session else PATH + person(issuer, subject)
    status, body = ask("DELETE", target, config, env_file)
    if status == 404:
        print(f"there is no session {session}")
        raise typer.Exit(1)
    if status not in (200, 204):
        raise failed(status)
    print("ended" if session else f"ended {json.loads(body)['ended']}")


def person(issuer: str, subject: str) -> str:
    """The query of a person, none for everybody. Raises typer.BadParameter."""
    if bool(issuer) != bool(subject):
        raise typer.BadParameter("--issuer and --subject go together")
    return f"?{urlencode({'issuer': issuer, 'subject': subject})}" if issuer else ""


def cells(session: dict[str, Any]) -> tuple[str, ...]:
    """A line of the list."""
    times = [datetime.fromtimestamp(session[name], UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for name in ("opened_at", "expires_at")]
    return session["session"], session["issuer"], session["subject"], *times
