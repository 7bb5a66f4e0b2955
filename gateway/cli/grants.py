"""`gateway grants`: keep, list and take back what principals authorised at providers.

A token comes from a file or from standard input, never from the command line, which other accounts of the machine can read.
"""

import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from gateway.cli.bell import rung
from gateway.cli.database import asked, chosen, loaded_as_far_as_it_goes, there
from gateway.cli.options import Config, EnvFile
from gateway.cli.record import CommandRecord
from gateway.cli.terminal import aligned, one_line
from gateway.config.regular import content
from gateway.config.values import parse_duration
from gateway.core.errors import ConfigError
from gateway.core.secret import Secret
from gateway.settings import Loaded

if TYPE_CHECKING:
    from gateway.credentials.grants.grant import Grant
    from gateway.credentials.grants.kept import Kept
    from gateway.credentials.vault.ring import Ring
    from gateway.store.sql.engine import Database
    from gateway.store.sql.grants import GrantRow, GrantRows
    from gateway.store.sql.leases import Leases

LONGEST: Final = 64 * 1024
MOST_TOLD: Final = 20
T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="What principals authorised at providers."
)

Provider = Annotated[str, typer.Option(help="An entry of `providers:`.")]
Issuer = Annotated[str, typer.Option(help="Who vouches for the principal: an entry of `authentication.jwt`, api_keys or mtls.")]
Subject = Annotated[str, typer.Option(help="The principal's id there, as the audit trail shows it.")]


@app.command()
def add(
    provider: Provider,
    issuer: Issuer,
    subject: Subject,
    token_file: Annotated[Path | None, typer.Option(metavar="FILE", help="The access token; without it, standard input.")] = None,
    refresh_token_file: Annotated[Path | None, typer.Option(metavar="FILE", help="The refresh token, where there is one.")] = None,
    expires_in: Annotated[str, typer.Option(metavar="DURATION", help="Like 8h; without it the token does not end by itself.")] = "",
    scopes: Annotated[str, typer.Option(metavar="A,B", help="What the token may do, for `requires_scopes`.")] = "",
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Keep a principal's token, sealed; one that is there already is replaced. Running gateways use it within a second."""
    from gateway.credentials.grants.grant import Grant

    loaded = loaded_as_far_as_it_goes(config, env_file)
    known = loaded.settings.providers if loaded.settings is not None else {}
    if provider not in known:
        raise typer.BadParameter(f"'{provider}' is no entry of `providers:`", param_hint="--provider")
    _doubt(loaded, provider, issuer)
    ring, client = _ring(loaded), known[provider].client
    life = _seconds(expires_in) if expires_in else None
    grant = Grant(
        provider,
        issuer,
        subject,
        _token(token_file),
        _token(refresh_token_file) if refresh_token_file is not None else None,
        scopes=tuple(scopes.replace(",", " ").split()),
        client=client.id if client is not None else "",
        expires_at=None if life is None else time.time() + life,
    )

    async def work(rows: "GrantRows", _: "Leases", trail: CommandRecord) -> bool:
        kept = _sealing(rows, ring)
        before = await kept.version(grant.key)
        stored = await kept.put(replace(grant, version=before))
        trail.tell("grant.connected", {**_told(stored), "scopes": list(stored.scopes), "replaced": before > 0})
        return before > 0

    replaced = _asked(loaded, work)
    print(f"kept: {provider} for {issuer}:{subject}, {'replaced' if replaced else 'new'}", file=sys.stderr)


@app.command("list")
def list_(config: Config = None, env_file: EnvFile = None) -> None:
    """Show all grants, never a token."""
    from gateway.store.sql.grants import GrantRow, GrantRows

    async def work(database: "Database") -> list[GrantRow]:
        return [row async for row in GrantRows(database).every()]

    loaded = loaded_as_far_as_it_goes(config, env_file)
    table = [("PROVIDER", "ISSUER", "SUBJECT", "STATE", "EXPIRES", "KEY", "SCOPES")]
    for row in asked(loaded, there(chosen(loaded)), work):
        state = f"{row.state} ({row.problem})" if row.problem else row.state
        ends = datetime.fromtimestamp(row.expires_at, UTC).isoformat(timespec="seconds") if row.expires_at is not None else "never"
        table.append((row.provider, row.issuer, row.subject, state, ends, row.key_id, row.scopes or "-"))
    for line in aligned(table):
        print(line)


@app.command()
def revoke(
    provider: Annotated[str, typer.Option(help="An entry of `providers:`; without it, all.")] = "",
    issuer: Annotated[str, typer.Option(help="Who vouches for the principal.")] = "",
    subject: Annotated[str, typer.Option(help="The principal's id there.")] = "",
    principal: Annotated[str, typer.Option(metavar="ISSUER:ID", help="The same in one word, as bindings write it.")] = "",
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Forget a principal's token, or all of them; running gateways stop using them within a second, the provider does not.

    It needs no key of the vault.
    """
    from gateway.credentials.grants.kept import forget
    from gateway.credentials.grants.refresh import name

    issuer, subject = _principal(issuer, subject, principal)
    loaded = loaded_as_far_as_it_goes(config, env_file)

    async def deleted(rows: "GrantRows") -> "AsyncIterator[GrantRow]":
        if provider:
            row = await forget(rows, (provider, issuer, subject))
            if row is not None:
                yield row
            return
        while some := await rows.delete_some(issuer, subject):
            for row in some:
                yield row

    async def work(rows: "GrantRows", leases: "Leases", trail: CommandRecord) -> list[str]:
        gone = []
        async for row in deleted(rows):
            trail.tell("grant.disconnected", {**_told(row), "scopes": row.scopes.split()})
            gone.append(row.provider)
            await leases.forget(name(row.key))
        return gone

    gone = _asked(loaded, work)
    if not gone:
        print(f"{issuer}:{subject} has no grant{f' at {provider}' if provider else ''}", file=sys.stderr)
        raise typer.Exit(1)
    print(
        one_line(f"forgotten here: {_named(loaded, gone)} for {issuer}:{subject}; revoke it at the provider, too"), file=sys.stderr
    )


def _named(loaded: Loaded, providers: list[str]) -> str:
    """Some of them, of those that are configured all."""
    known = loaded.settings.providers if loaded.settings is not None else {}
    first = sorted(providers, key=lambda each: each not in known)
    shown = first[: max(MOST_TOLD, sum(each in known for each in first))]
    return ", ".join(shown) + (f" and {len(first) - len(shown)} that are not configured" if len(first) > len(shown) else "")


def _doubt(loaded: Loaded, provider: str, issuer: str) -> None:
    """Say so where nobody of that issuer can ask: it may be configured later, or be a slip. Raises typer.BadParameter where its
    people use what is kept for those of a login."""
    if loaded.settings is None:
        return
    known, connect = loaded.settings.authentication.issuers, loaded.settings.providers[provider].connect
    if connect is not None and issuer in connect.same_people:
        told = (
            f"{provider} has `same_people: {{{issuer}: {connect.same_people[issuer]}}}`: say --issuer {connect.same_people[issuer]}"
        )
        raise typer.BadParameter(told, param_hint="--issuer")
    if issuer not in known:
        told = f"`authentication` knows no issuer '{issuer}' ({', '.join(known) or 'none is configured'})"
        print(f"warning: {told}: no request will use this grant", file=sys.stderr)


def _principal(issuer: str, subject: str, principal: str) -> tuple[str, str]:
    """Issuer and id, said in either way. Raises typer.BadParameter."""
    if principal:
        vouching, _, id = principal.partition(":")
        if not (vouching and id) or issuer or subject:
            raise typer.BadParameter("one principal is ISSUER:ID, alone", param_hint="--principal")
        return vouching, id
    if not (issuer and subject):
        raise typer.BadParameter("say --principal ISSUER:ID, or --issuer and --subject")
    return issuer, subject


def _told(grant: "Grant | GrantRow") -> dict[str, object]:
    """What an event says of a grant."""
    ends = None if grant.expires_at is None else datetime.fromtimestamp(grant.expires_at, UTC).isoformat(timespec="seconds")
    about = {"provider": grant.provider, "issuer": grant.issuer, "subject": grant.subject}
    return {**about, "version": grant.version, "expires_at": ends}


def _ring(loaded: Loaded) -> "Ring":
    """The key ring. Raises ConfigError where there is none that can be used."""
    if loaded.vault.ring is not None:
        return loaded.vault.ring
    told = loaded.problem((), "grants are sealed, and there is no usable key", "add `vault: {keys: [{id: …, env: …}]}`")
    raise ConfigError([problem for problem in loaded.errors if problem.path.startswith("vault")] or [told])


def _sealing(rows: "GrantRows", ring: "Ring") -> "Kept":
    from gateway.credentials.grants.kept import Kept
    from gateway.resources import Nobody, SystemClock

    return Kept(rows, ring, SystemClock(), Nobody())


def _asked(loaded: Loaded, work: Callable[["GrantRows", "Leases", CommandRecord], Awaitable[T]]) -> T:
    """What `work` gives with the grants; replicas are told. Raises typer.Exit where the database or the trail cannot."""
    trail = CommandRecord(loaded)

    async def run(database: "Database") -> T:
        from gateway.store.sql.grants import GrantRows
        from gateway.store.sql.leases import Leases
        from gateway.store.sql.schema import ready

        await ready(database)
        try:
            done = await work(GrantRows(database), Leases(database), trail)
        finally:
            await rung(loaded)
        await database.forget()
        return done

    try:
        return asked(loaded, chosen(loaded), run)
    finally:
        trail.close()


def _token(path: Path | None) -> Secret:
    """One token, without the line break at its end. Raises typer.BadParameter, without a word of it."""
    try:
        raw = sys.stdin.buffer.read(LONGEST + 1) if path is None else content(path, LONGEST)
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror or 'cannot be read'}", param_hint="--token-file") from error
    token = raw.removesuffix(b"\n").removesuffix(b"\r")
    if not token or len(token) > LONGEST or not token.isascii() or any(octet <= 0x20 or octet == 0x7F for octet in token):
        raise typer.BadParameter("a token is one word of visible ASCII, at most 64 KiB")
    return Secret(token)


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expires-in") from error
