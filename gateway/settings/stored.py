"""The secrets of a configuration that lie in its database: read at load, all that it names at once, and opened.

A database that is away keeps nobody from starting: its secrets have no value until who follows it has found them there.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from gateway.config import shape
from gateway.config.secrets import Secrets
from gateway.core.errors import DependencyDown
from gateway.core.ports import SecretSource
from gateway.credentials.cloud.blocking import awaited
from gateway.credentials.stored.source import REVOKED, StoredSource
from gateway.credentials.vault.fault import Fault, NotOpened
from gateway.store.sql.model import Database, Postgres, Sqlite

if TYPE_CHECKING:
    from gateway.credentials.vault.ring import Ring
    from gateway.store.sql.secrets import SecretRow


def database_of(value: Any) -> Sqlite | Postgres | None:
    """The database of a configuration in which something else is wrong, so that nobody is told to seal what lies there; None
    where it has none that can be used."""
    try:
        model: Sqlite | Postgres = TypeAdapter(Database).validate_python(shape.item(value, "database"))
    except ValidationError:
        return None
    return model


class Stored:
    """What `names` gives, looked up in the database when the first of them is asked for. `faults` are rows that do not open."""

    def __init__(self, model: Sqlite | Postgres, secrets: Secrets, ring: "Ring | None", names: Callable[[], Sequence[str]]) -> None:
        self.sources: dict[str, StoredSource] = {}
        self.faults: dict[str, Fault] = {}
        self._wrong: dict[str, str] = {}
        self._model = model
        self._secrets = secrets
        self._ring = ring
        self._names = names
        self._is_read = False

    def __call__(self, name: str) -> StoredSource | None:
        """The source of a secret; None where the database has none of that name. Raises ValueError for one that does not open."""
        if not self._is_read:
            self._is_read = True  # first: the password of the database may be asked for on the way
            self._read()
        if name in self._wrong:
            raise ValueError(self._wrong[name])
        return self.sources.get(name)

    def _read(self) -> None:
        names = self._names()
        try:
            password = self._model.password if isinstance(self._model, Postgres) else None
            rows = rows_now(self._model, None if password is None else self._secrets(password), names)
        except (DependencyDown, ValueError) as error:
            why = error.detail if isinstance(error, DependencyDown) else str(error)
            self.sources = {name: StoredSource(name, self._model, f"cannot be read now: {why}") for name in names}
            return
        for row in rows:
            self._take(row)

    def _take(self, row: "SecretRow") -> None:
        from gateway.credentials.stored.drawer import at, is_revoked

        source = StoredSource(row.name, self._model)
        if is_revoked(row):
            source.refuse(REVOKED, row.version)
        elif self._ring is None:
            self._wrong[row.name] = f"'{row.name}' lies sealed in the database: the keys of `vault.keys` are needed"
            return
        else:
            try:
                opened = self._ring.open(at(row.name, row.version), row.sealed)
            except NotOpened as error:
                self.faults[row.name] = error.fault
                self._wrong[row.name] = f"'{row.name}' in the database does not open: {error}"
                return
            except DependencyDown as error:
                self._wrong[row.name] = f"'{row.name}' in the database cannot be opened now: {error.detail}"
                return
            source.take(opened.secret, row.version, time.monotonic(), row.expires_at)
        self.sources[row.name] = source


def rows_now(model: Sqlite | Postgres, password: SecretSource | None, names: Sequence[str]) -> "Sequence[SecretRow]":
    """The named rows, by a connection of their own. Raises DependencyDown, and ValueError for unusable TLS files."""
    from gateway.store.sql.engine import Database
    from gateway.store.sql.secrets import SecretRows

    if isinstance(model, Sqlite) and not model.file.exists():
        return ()  # the first start makes it

    async def read() -> "Sequence[SecretRow]":
        database = Database(model, password)
        try:
            return await SecretRows(database).of(names)
        finally:
            await database.close()

    return awaited(read)
