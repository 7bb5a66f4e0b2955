"""`gateway policy explain`: whether a request would be allowed and why, also one that the audit trail recorded."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.authz import cases, trace
from gateway.authz.document import PolicyDocuments
from gateway.authz.explain import explain as explained
from gateway.authz.given import given
from gateway.authz.model import Case, Role
from gateway.cli import policy_request, terminal
from gateway.cli.bearer import Bearer, bearer_of
from gateway.cli.options import Config, EnvFile, Format, Printed, sound
from gateway.cli.policy_question import question
from gateway.cli.terminal import one_line, say
from gateway.core.errors import GatewayError
from gateway.core.principal import Principal
from gateway.rehearsal import rehearse
from gateway.settings import Loaded


def explain(
    method: Annotated[str, typer.Argument(help="GET, POST …")] = "",
    path: Annotated[str, typer.Argument(help="The path as a client would send it, with its query.")] = "",
    config: Config = None,
    env_file: EnvFile = None,
    as_: Annotated[str, typer.Option("--as", help="A subject of a PolicyTest file.")] = "",
    claims: Annotated[Path | None, typer.Option(help="A JSON file with the claims of a token; its `iss` names the issuer.")] = None,
    token: Annotated[
        str, typer.Option(metavar="FILE|-|TOKEN", help="A token or API key, verified as the gateway would; - is standard input.")
    ] = "",
    unverified: Annotated[bool, typer.Option("--unverified", help="Believe the token, verify nothing.")] = False,
    host: Annotated[str, typer.Option(help="The Host of the request.")] = "localhost",
    address: Annotated[str, typer.Option("--from", help="The client's address; without it, 192.0.2.1.")] = "",
    header: Annotated[list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="A header field. May be repeated.")] = None,
    body: Annotated[Path | None, typer.Option(metavar="FILE", help="The request's JSON body.")] = None,
    now: Annotated[
        str, typer.Option(help="The time of the request, RFC 3339; without it, now for a token or claims, else noon of 2026-01-01.")
    ] = "",
    request: Annotated[str, typer.Option(metavar="ID", help="Explain a request that was recorded, by its id.")] = "",
    audit: Annotated[Path | None, typer.Option(metavar="FILE", help="The trail; without it, the configured one.")] = None,
    format: Printed = Format.TEXT,
) -> None:
    """Say whether a request would be allowed, and which rule decided, with the values compared.

    Exit 0: it was explained, whatever the answer; 1: no route claims it, or it is refused before policy; 78: bad configuration.
    """
    loaded = sound(config, env_file)
    as_json = format is Format.JSON
    if request:
        if method or as_ or claims is not None or token:
            raise typer.BadParameter("a recorded request says by itself what was asked and by whom", param_hint="--request")
        policy_request.explain(loaded, request, audit, as_json=as_json)
        return
    bearer = Bearer(as_, claims, token, unverified)
    asked = question(method, path, host=host, address=address, now=now, headers=header or [], body=body)
    say(_answered(loaded, asked, bearer, as_json=as_json))


def _answered(loaded: Loaded, case: Case, bearer: Bearer, *, as_json: bool) -> str:
    """The explanation. Raises typer.Exit(1) where no policy is asked."""
    rehearsal = rehearse(loaded)
    try:
        moment = _moment(bearer)
        access = cases.access_request(case, rehearsal.policies, rehearsal.match, moment)
        if access is None:
            say(one_line(f"no route claims {case.request}"))
            raise typer.Exit(1)
        who = bearer_of(loaded, rehearsal, bearer, access)
        found = explained(rehearsal.policies, who.principal, access)
    except GatewayError as error:
        say(one_line(f"refused before any policy: {error.status} {error.reason} ({error.detail})"))
        raise typer.Exit(1) from error
    roles = given(rehearsal.documents, who.principal, access.now)
    if as_json:
        told = {**trace.data(found), "supposed": _supposed(case, moment), "roles": roles, "verified": who.verified}
        return terminal.json(told)
    bound = [one_line(f"  role {role}   {origin}") for role, origin in roles.items()]
    notes = [*_words(_supposed(case, moment)), *_audited(rehearsal.documents, who.principal)]
    return "\n".join([*who.warning, trace.text(found, notes), *bound])


def _moment(bearer: Bearer) -> str:
    """The time supposed where none is stated: a token and its claims speak of now, a subject of a test of no time at all."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}" if bearer.token or bearer.claims is not None else cases.NOW


def _supposed(case: Case, moment: str) -> dict[str, str]:
    """What nobody stated, by the option that would."""
    stated = case.model_fields_set
    told = {"now": ("now", moment), "from": ("from_", case.from_), "body": ("body", "")}
    return {option: value for option, (field, value) in told.items() if field not in stated}


def _words(supposed: Mapping[str, str]) -> list[str]:
    """One line, or none where everything was stated."""
    words = {"now": "at {} (--now)", "from": "from {} (--from)", "body": "no body (--body)"}
    told = [words[option].format(value) for option, value in supposed.items()]
    return [f"supposed: {', '.join(told)}"] if told else []


def _audited(documents: PolicyDocuments, principal: Principal) -> list[str]:
    """Why the request is audited in full where its principal holds a role for emergencies."""
    declared = [item for loaded in documents.roles for item in loaded.model.roles.items()]
    urgent = {name for name, role in declared if isinstance(role, Role) and role.break_glass}
    return [f"audited in full: role {name} is break-glass" for name in principal.roles if name in urgent]
