"""`gateway operators`: the accounts of those who use the admin listener, kept in the database.

A password comes from standard input or a prompt, never from an argument, which other processes could see.
"""

import getpass
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, TypeVar

import orjson
import typer

from gateway.authn.issuers import strong_secret
from gateway.authn.login.seal import Seal
from gateway.authn.operators_model import LocalOperators, Operators
from gateway.authn.strength import SHORTEST
from gateway.cli.options import Config, EnvFile
from gateway.cli.record import CommandRecord, operator
from gateway.cli.stored import ask
from gateway.cli.terminal import aligned, one_line
from gateway.config.regular import content
from gateway.core.errors import ConfigError
from gateway.operators.account import ROLES, Account, Role
from gateway.operators.books import BOOTSTRAP_SECONDS, Books, Unknown
from gateway.operators.passwords import LONGEST, Passwords, Threads, Unfit
from gateway.operators.roll import Altered, Roll
from gateway.settings import Loaded, load
from gateway.store.sql.engine import Database
from gateway.store.sql.operators import OperatorRows

T = TypeVar("T")
HEAD = ("NAME", "ROLE", "STATE", "FACTORS", "PASSWORD OF", "MADE BY")
LONGEST_FILE = 256 * 1024

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="The accounts of those who use the admin listener (admin.operators.local).",
)

Name = Annotated[str, typer.Argument(metavar="NAME")]
AsRole = Annotated[str, typer.Option(metavar="viewer|operator", help="A viewer reads, an operator changes, too.")]


@app.command()
def bootstrap(config: Config = None, env_file: EnvFile = None) -> None:
    """Print a token, once, that makes the first account within 30 minutes: POST /operators/bootstrap."""
    loaded = loaded_with_operators(config, env_file)
    with closing(CommandRecord(loaded)) as trail:
        token = edited(loaded, lambda books: books.token())
        if token is None:
            print("there are accounts already: `gateway operators create` makes another", file=sys.stderr)
            raise typer.Exit(1)
        print(f"it counts once, within {BOOTSTRAP_SECONDS // 60} minutes, and is shown once:", file=sys.stderr)
        print(token)
        trail.tell("operator.account", {"action": "bootstrap.token"})


@app.command()
def create(name: Name, role: AsRole = "viewer", config: Config = None, env_file: EnvFile = None) -> None:
    """Make an account; its password, from standard input or asked for, is to be changed at the first login."""
    given, loaded = role_of(role), loaded_with_operators(config, env_file)
    password = asked_for(name)
    changed(loaded, "created", lambda books: books.create(name, given, password, operator()))


@app.command("list")
def list_(
    json: Annotated[bool, typer.Option("--json", help="As JSON, without hashes.")] = False,
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Show all accounts, never their hashes."""
    loaded = loaded_with_operators(config, env_file)

    async def work(database: Database) -> tuple[list[Account], list[str]]:
        found, altered = await roll_of(loaded, database).every()
        return [held.account for held in found], altered

    accounts, altered = ask(loaded, work)
    if json:
        print(orjson.dumps([each.shown() for each in accounts], option=orjson.OPT_INDENT_2).decode())
    else:
        for line in aligned([HEAD, *(row(each) for each in accounts)]):
            print(line)
    for name in altered:
        told = "does not open under this key: see who may write the database, then delete the row"
        print(one_line(f"the row {name} {told}"), file=sys.stderr)


@app.command()
def disable(name: Name, config: Config = None, env_file: EnvFile = None) -> None:
    """Let an account count no more; its sessions end within a second."""
    changed(loaded_with_operators(config, env_file), "disabled", lambda books: books.disable(name, disabled=True))


@app.command()
def enable(name: Name, config: Config = None, env_file: EnvFile = None) -> None:
    """Let it count again."""
    changed(loaded_with_operators(config, env_file), "enabled", lambda books: books.disable(name, disabled=False))


@app.command()
def reset(
    name: Name,
    factors: Annotated[bool, typer.Option("--factors", help="Take the second factors away, too.")] = False,
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Give an account another password, to be changed at the next login; its sessions end."""
    loaded, password = loaded_with_operators(config, env_file), asked_for(name)
    changed(loaded, "reset", lambda books: books.reset(name, password, factors=factors))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="Lines of NAME:HASH, bcrypt with a cost of at most 12, as `htpasswd -B` writes.")],
    role: AsRole = "viewer",
    config: Config = None,
    env_file: EnvFile = None,
) -> None:
    """Make accounts with the passwords they have elsewhere, all of them or none; each hash becomes argon2id at the next login."""
    given, loaded = role_of(role), loaded_with_operators(config, env_file)
    lines = [line.strip() for line in content(file, LONGEST_FILE).decode("utf-8", "replace").splitlines()]
    entries = [(name, encoded) for name, _, encoded in (line.partition(":") for line in lines if line)]
    with closing(CommandRecord(loaded)) as trail:
        accounts = edited(loaded, lambda books: books.adopt(entries, given, operator()))
        print(f"{len(accounts)} accounts are in the database; delete {file}", file=sys.stderr)
        for account in accounts:
            trail.tell("operator.account", {"account": account.name, "role": account.role, "action": "imported"})


def changed(loaded: Loaded, action: str, change: Callable[[Books], Awaitable[Account]]) -> None:
    """One account changed, and told."""
    with closing(CommandRecord(loaded)) as trail:
        account = edited(loaded, change)
        print(f"{account.name} ({account.role}) is {action}", file=sys.stderr)
        trail.tell("operator.account", {"account": account.name, "role": account.role, "action": action})


def edited(loaded: Loaded, change: Callable[[Books], Awaitable[T]]) -> T:
    """What a change gives. What cannot be done is one line and exit 1."""

    async def work(database: Database) -> T:
        model, key = model_of(loaded), strong_secret(loaded.secrets, model_of(loaded).key, "admin.operators.key", SHORTEST)
        passwords = Passwords(key, model.local or LocalOperators(), Threads())
        try:
            return await change(Books(roll_of(loaded, database), passwords, Seal([key], "operator"), time.time))
        except Unknown as error:
            raise ValueError(one_line(f"no operator is called {error.args[0]}")) from error
        except Altered as error:
            raise ValueError(one_line(f"the row {error.args[0]} does not open under this key: it was altered")) from error
        except Unfit as error:
            raise ValueError(one_line(str(error))) from error

    return ask(loaded, work)


def roll_of(loaded: Loaded, database: Database) -> Roll:
    """The accounts. Raises ConfigError for a weak or missing key."""
    key = strong_secret(loaded.secrets, model_of(loaded).key, "admin.operators.key", SHORTEST)
    return Roll(OperatorRows(database), key, time.time, {})


def loaded_with_operators(config: list[Path] | None, env_file: list[Path] | None) -> Loaded:
    """The configuration as far as it can be read: secrets that only the gateway needs may be missing here. Raises ConfigError."""
    loaded = load(config or [], env_file or [])
    if loaded.settings is None:
        raise ConfigError(loaded.errors)
    model_of(loaded)
    return loaded


def model_of(loaded: Loaded) -> Operators:
    """Raises ConfigError where operators are not configured."""
    model = loaded.settings.admin.operators if loaded.settings is not None else None
    if model is None or model.local is None:
        hint = "add `operators: {origin: …, key: …, local: {}}` (docs/how-to/operators.md)"
        raise ConfigError([loaded.problem(("admin",), "operators are not configured", hint)])
    return model


def role_of(text: str) -> Role:
    """Raises typer.BadParameter."""
    for role in ROLES:
        if role == text:
            return role
    raise typer.BadParameter("viewer or operator", param_hint="--role")


def asked_for(name: str) -> str:
    """A new password: typed twice, or the first line of standard input. Raises typer.Exit."""
    if not sys.stdin.isatty():
        return sys.stdin.readline(LONGEST * 4).rstrip("\r\n")
    password = getpass.getpass(f"password of {one_line(name)}: ")
    if getpass.getpass("again: ") != password:
        print("these are two", file=sys.stderr)
        raise typer.Exit(1)
    return password


def row(account: Account) -> tuple[str, ...]:
    """A line of the list."""
    state = "disabled" if account.disabled else "to change" if account.must_change else "active"
    day = time.strftime("%Y-%m-%d", time.gmtime(account.changed_at))
    return account.name, account.role, state, ",".join(account.factors) or "-", day, account.created_by
