"""`gateway database`: bring the tables up to date, and see what there is."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from gateway.cli.options import Config, EnvFile
from gateway.core.errors import ConfigError, DependencyDown
from gateway.settings import Loaded, load
from gateway.store.sql.model import Postgres, Sqlite

if TYPE_CHECKING:
    from gateway.store.sql.engine import Database

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="The database of sealed secrets and grants."
)


@app.command()
def migrate(config: Config = None, env_file: EnvFile = None) -> None:
    """Bring the tables up to date, as the role `database.migrate` where there is one, and let the serving role use them."""
    loaded = loaded_as_far_as_it_goes(config, env_file)
    model = chosen(loaded)

    async def work(database: "Database") -> str:
        from gateway.store.sql.schema import NEWEST
        from gateway.store.sql.schema import migrate as run

        before = await run(database, model.username if isinstance(model, Postgres) and model.migrate else None)
        return f"nothing to do: the schema is {NEWEST}" if before == NEWEST else f"migrated from {before or 'nothing'} to {NEWEST}"

    print(asked(loaded, model, work, migrating=True), file=sys.stderr)


@app.command()
def status(config: Config = None, env_file: EnvFile = None) -> None:
    """Tell the schema and the role; exit 1 where `gateway serve` would refuse the schema."""
    loaded = loaded_as_far_as_it_goes(config, env_file)

    async def work(database: "Database") -> tuple[str, bool, str]:
        from gateway.store.sql.schema import NEWEST, found

        standing = await database.run(found)
        return standing.revision, standing.superuser, NEWEST

    revision, mighty, newest = asked(loaded, there(chosen(loaded)), work)
    print(f"schema {revision or 'none'}, this gateway needs {newest}")
    if mighty:
        print("warning: the role is a superuser; serve with one that owns nothing")
    if revision != newest:
        raise typer.Exit(1)


def loaded_as_far_as_it_goes(config: Config, env_file: EnvFile) -> Loaded:
    """The configuration; secrets that only the gateway needs may be missing here. Raises ConfigError."""
    loaded = load(config or [], env_file or [])
    if loaded.settings is None:
        raise ConfigError(loaded.errors)
    return loaded


def chosen(loaded: Loaded) -> Sqlite | Postgres:
    """The configured database. Raises ConfigError where there is none."""
    model = loaded.settings.database if loaded.settings is not None else None
    if model is None:
        raise ConfigError([loaded.problem((), "no database is configured", "add `database: {file: latchgate.db}`")])
    return model


def there(model: Sqlite | Postgres) -> Sqlite | Postgres:
    """The same, for a command that only looks. Raises typer.Exit where there is no file yet."""
    if isinstance(model, Sqlite) and not model.file.exists():
        print(f"{model.file} does not exist yet: `gateway database migrate` makes it", file=sys.stderr)
        raise typer.Exit(1)
    return model


def asked(loaded: Loaded, model: Sqlite | Postgres, work: "Callable[[Database], Awaitable[T]]", *, migrating: bool = False) -> T:
    """What `work` gives with the database open. What it cannot do is one line and exit 1. Raises ConfigError for wrong settings."""
    from gateway.store.sql.engine import Database
    from gateway.store.sql.rows import Conflict
    from gateway.store.sql.schema import WrongSchema
    from gateway.store.sql.schema import migrating as as_migrator

    if migrating and isinstance(model, Postgres):
        model = as_migrator(model)
    try:
        reference = model.password if isinstance(model, Postgres) else None
        database = Database(model, loaded.secrets(reference) if reference is not None else None)
    except ValueError as error:
        raise ConfigError([loaded.problem(("database",), str(error))]) from error

    async def run() -> T:
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(run())
    except (DependencyDown, ValueError, WrongSchema, Conflict) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
