"""`gateway policy`: run the policies' cases, and ask what would happen to a request and why."""

from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError

from gateway.authz import cases
from gateway.authz.cel.values import Timestamp
from gateway.authz.explain import explain as explained
from gateway.authz.model import Case
from gateway.cli import policy_cases, policy_diff
from gateway.cli.options import Config, EnvFile, sound
from gateway.config.regular import content
from gateway.core.errors import GatewayError
from gateway.core.principal import ANONYMOUS, Identity, Principal
from gateway.rehearsal import Rehearsal, rehearse
from gateway.settings import Loaded

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Test and explain policies.")


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


Output = Annotated[Format, typer.Option("--format", help="How to print.")]


app.command("test")(policy_cases.run_cases)
app.command("diff")(policy_diff.diff)


@app.command()
def explain(
    method: Annotated[str, typer.Argument(help="GET, POST …")],
    path: Annotated[str, typer.Argument(help="The path as a client would send it, with its query.")],
    config: Config = None,
    env_file: EnvFile = None,
    as_: Annotated[str, typer.Option("--as", help="A subject of a PolicyTest file.")] = "",
    claims: Annotated[Path | None, typer.Option(help="A JSON file with the claims of a token; its `iss` names the issuer.")] = None,
    host: Annotated[str, typer.Option(help="The Host of the request.")] = "localhost",
    address: Annotated[str, typer.Option("--from", help="The client's address.")] = "127.0.0.1",
    now: Annotated[str, typer.Option(help="The time of the request, RFC 3339.")] = "",
    format: Output = Format.TEXT,
) -> None:
    """Say whether a request would be allowed, and which rule decided, with the values compared.

    Exit 0: it was explained, whatever the answer; 1: no route claims it, or it is refused before policy; 78: bad configuration.
    """
    loaded = sound(config, env_file)
    rehearsal = rehearse(loaded)
    case = _case(method.upper(), path, host=host, address=address, now=now)
    try:
        access = cases.access_request(case, rehearsal.policies, rehearsal.match)
    except GatewayError as error:
        print(f"refused before any policy: {error.status} {error.reason} ({error.detail})")
        raise typer.Exit(1) from error
    if access is None:
        print(f"no route claims {method.upper()} {path}")
        raise typer.Exit(1)
    explanation = explained(rehearsal.policies, _principal(loaded, rehearsal, as_, claims), access)
    print(orjson.dumps(explanation.data(), option=orjson.OPT_INDENT_2).decode() if format is Format.JSON else explanation.text())


def _case(method: str, path: str, *, host: str, address: str, now: str) -> Case:
    """The request in question. Raises typer.BadParameter."""
    wanted = {"request": f"{method} {path}", "host": host, "from": address} | ({"now": now} if now else {})
    try:
        ip_address(address)
        Timestamp.parse(now or cases.NOW)
        return Case.model_validate(wanted)
    except ValidationError as error:
        raise typer.BadParameter("a question is a method and a path: GET /repos/acme/tools") from error
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _principal(loaded: Loaded, rehearsal: Rehearsal, name: str, claims: Path | None) -> Principal:
    """Who asks: a subject of a test, the bearer of claims, or nobody. Raises typer.BadParameter naming what is known."""
    if claims is not None:
        return rehearsal.policies.grant(_bearer(loaded, claims))
    if not name:
        return rehearsal.policies.grant(Identity(id=ANONYMOUS, issuer=ANONYMOUS, scheme=ANONYMOUS))
    subjects = {key: subject for test in rehearsal.documents.tests for key, subject in test.model.subjects.items()}
    if name not in subjects:
        raise typer.BadParameter(f"no PolicyTest names {name!r}; known: {', '.join(sorted(subjects)) or 'none'}")
    return rehearsal.policies.grant(cases.identity(name, subjects[name]))


def _bearer(loaded: Loaded, file: Path) -> Identity:
    """The identity that a verified token with these claims would give."""
    try:
        found: Any = orjson.loads(content(file))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file}: {error}") from error
    issuers = loaded.settings.authentication.jwt if loaded.settings is not None else {}
    for name, issuer in issuers.items():
        if isinstance(found, dict) and found.get("iss") == issuer.issuer:
            return Identity(
                id=str(found.get(issuer.subject, "")),
                issuer=name,
                scheme="jwt",
                claims=found,
                groups=_texts(found.get(issuer.groups)),
                scopes=_texts(found.get(issuer.scopes)),
                scope_ceiling=issuer.scope_ceiling,
            )
    raise typer.BadParameter(f"{file}: `iss` names no configured issuer; known: {', '.join(issuers) or 'none'}")


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()
