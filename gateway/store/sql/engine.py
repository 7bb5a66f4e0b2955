"""Opens the database and asks it. Bounded everywhere: connections, waiting for one, connecting, each statement.

What goes wrong becomes DependencyDown, named by kind alone: drivers quote values in their messages.
"""

import asyncio
import os
import sqlite3
import ssl
import stat
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import URL, Executable, event
from sqlalchemy.engine import CursorResult, Row
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.config.regular import same_if_any
from gateway.core.errors import DependencyDown
from gateway.core.ports import SecretSource
from gateway.store.sql.address import parse
from gateway.store.sql.model import Postgres, Sqlite

SQLITE_CONNECTIONS: Final = 2
LAST_WORD: Final = 0.1
"""Seconds in which the thread of a SQLite connection that was never made still tells its event loop that it ends."""
BUSY_SECONDS: Final = 5.0
BUSY_POLL: Final = 0.02
# FULL: a refresh token that a provider has rotated must survive the machine, not only the process. What is deleted is overwritten.
PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "secure_delete=ON",
    "trusted_schema=OFF",
    f"busy_timeout={BUSY_SECONDS * 1000:.0f}",
)


class Database:
    """One open database. Connections are made when they are needed; it belongs to the event loop that asks first."""

    def __init__(self, model: Sqlite | Postgres, password: SecretSource | None = None) -> None:
        """`password` is read at each connection. Nothing is opened yet. Raises ValueError for unusable TLS files."""
        self.model = model
        self._has_failed = False
        self._engine = _sqlite(model) if isinstance(model, Sqlite) else _postgres(model, password)

    def claim(self) -> None:
        """Make a SQLite file that is not there, and see that it is ours alone. Raises ValueError."""
        if isinstance(self.model, Sqlite):
            private(self.model.file)

    @property
    def kind(self) -> str:
        return "sqlite" if isinstance(self.model, Sqlite) else "postgresql"

    async def rows(self, statement: Executable, values: dict[str, Any] | None = None) -> Sequence[Row[Any]]:
        """What a question gives; what it wrote is committed. Raises DependencyDown."""
        async with self.transaction() as connection:
            return (await connection.execute(statement, values)).fetchall()

    async def write(self, statement: Executable) -> int:
        """How many rows were written, durably. Raises DependencyDown; whether something was written is then not known."""
        async with self.transaction() as connection:
            result: CursorResult[Any] = await connection.execute(statement)
            return result.rowcount

    async def run(self, work: Callable[[Any], Any]) -> Any:
        """`work` with a blocking connection, in a transaction of its own. Raises DependencyDown and whatever `work` raises."""
        async with self.transaction() as connection:
            return await connection.run_sync(work)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A connection, committed at the end. Raises DependencyDown."""
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            self._has_failed = True
            raise DependencyDown(f"database: {_kind(error)}") from error

    async def forget(self) -> bool:
        """See that a SQLite file's log keeps nothing that was deleted; False where somebody is still reading it. What a PostgreSQL
        keeps of deleted rows goes with its next vacuum. Raises DependencyDown."""
        if self.kind != "sqlite":
            return True
        async with self.transaction() as connection:
            busy, *_ = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).one()
            return bool(busy == 0)

    async def close(self) -> None:
        await self._engine.dispose()
        if self._has_failed and self.kind == "sqlite":
            await asyncio.sleep(LAST_WORD)


def _kind(error: BaseException) -> str:
    """What may be told of a failure: its kind, and the server's five-letter code, never its message."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return type(error).__name__
    code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None)
    kind = type(error.orig.__cause__ or error.orig).__name__
    return f"{kind} {code}" if code else kind


def private(path: Path) -> None:
    """Make the file for its owner alone, or see that it is so. Raises ValueError.

    One that is there is not opened: to close it would let go of every lock that this process has on it (POSIX fcntl), and the
    next one to close the database would take the log away from under our connections.
    """
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        status = path.stat()
    except OSError as error:
        raise ValueError(f"{path} cannot be opened: {error.strerror or 'input error'}") from error
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path} cannot be opened: it is no regular file")
    if status.st_mode & 0o077:
        raise ValueError(f"{path} may be read or written by other accounts: chmod 600 {path}")


def _sqlite(model: Sqlite) -> AsyncEngine:
    # `rw`: a file that is not there is not made by who reads, with whatever mode the process happens to have.
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=f"file:{quote(str(model.file))}", query={"mode": "rw", "uri": "true"}),
        pool_size=SQLITE_CONNECTIONS,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    return engine


def _prepare(connection: Any, _: Any) -> None:
    connection.run_async(_prepared)


async def _prepared(connection: Any) -> None:
    # What is not UTF-8 spoils its own row, not the answer: see `rows.read`.
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    until = time.monotonic() + BUSY_SECONDS
    for pragma in PRAGMAS:
        await _set(connection, pragma, until)


async def _set(connection: Any, pragma: str, until: float) -> None:
    """SQLite waits for no lock where that could be in vain, as when several change a new file to WAL: then it is asked again."""
    while True:
        try:
            async with connection.execute(f"PRAGMA {pragma}"):
                return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
        await asyncio.sleep(BUSY_POLL)


def _postgres(model: Postgres, password: SecretSource | None) -> AsyncEngine:
    address = parse(model.url)
    tls = None if address.local or model.allow_plaintext else _tls(model)
    limits = {"statement_timeout": model.statement_timeout, "idle_in_transaction_session_timeout": model.statement_timeout * 2}

    async def connect() -> Any:
        import asyncpg

        return await asyncpg.connect(
            host=address.host,
            port=address.port,
            database=address.database,
            user=model.username,
            password=password.current().reveal().decode() if password is not None else None,
            ssl=tls if tls is not None else False,
            timeout=model.connect_timeout,
            command_timeout=model.statement_timeout * 2,
            server_settings={"application_name": "latchgate"} | {name: f"{limit * 1000:.0f}" for name, limit in limits.items()},
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=model.connections,
        max_overflow=0,
        pool_timeout=model.connect_timeout,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,
    )


def _tls(model: Postgres) -> ssl.SSLContext:
    """Verifies chain and name (`verify-full`). Raises ValueError for unusable files."""
    chosen = model.tls
    try:
        with (
            same_if_any(chosen.ca) as authorities,
            same_if_any(chosen.client_certificate) as chain,
            same_if_any(chosen.client_key) as key,
        ):
            context = ssl.create_default_context(cafile=authorities)
            if chain is not None:
                context.load_cert_chain(chain, key)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"unusable TLS files for the database: {error.strerror or type(error).__name__}") from error
    return context
