"""API keys of a SQLite file, as a gateway follows them and as an operator changes them."""

from pathlib import Path
from typing import Any, Self

from sqlalchemy import text

from gateway.authn.api_keys import KeyHolders
from gateway.authn.key_entry import new_entry
from gateway.authn.key_rows import Binding, Editor
from gateway.authn.key_table import KeyTable
from gateway.authn.model import ApiKeys
from gateway.authn.strength import StrongSecret
from gateway.core.errors import GatewayError
from gateway.store.sql.engine import Database
from gateway.store.sql.keys import KeyRows
from gateway.store.sql.model import Sqlite
from gateway.store.sql.schema import migrate
from tests.issuer import PEPPER, Counted, FixedSecret, FrozenClock, grant

MODEL = ApiKeys.model_validate({"store": "database", "pepper": {"env": "PEPPER"}})


class Table:
    """One gateway's view of a database of keys."""

    def __init__(self, file: Path) -> None:
        self.database = Database(Sqlite(file=file))
        self.rows = KeyRows(self.database)
        self.clock = FrozenClock()
        self.metrics = Counted()
        self.pepper = FixedSecret(PEPPER)
        self.told: list[tuple[str, str, str]] = []
        self.editor = Editor(self.rows, Binding(PEPPER), self.clock.now)
        self.table = self.gateway()

    def gateway(self) -> KeyTable:
        """Another gateway on the same database."""
        return KeyTable(MODEL, StrongSecret(self.pepper), self.rows, self.clock, self.metrics, self.tell)

    async def __aenter__(self) -> Self:
        await migrate(self.database)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.table.close()
        await self.database.close()

    def tell(self, event: str, **fields: str) -> None:
        self.told.append((event, fields["id"], fields["fault"]))

    async def create(self, **more: Any) -> tuple[str, str]:
        """A key and its id."""
        values: dict[str, Any] = {"prefix": "lgk", "name": "ci", "now": self.clock.now(), **more}
        key, entry = new_entry(PEPPER, **values)
        await self.editor.add([entry])
        return key, entry.id

    async def sql(self, statement: str, **values: Any) -> int:
        return await self.database.write(text(statement).bindparams(**values))

    def roles(self, key: str, *, table: KeyTable | None = None, client: str = "") -> tuple[str, ...] | str:
        """The roles a key gives, or why it gives none."""
        try:
            return KeyHolders(table or self.table, grant).authenticate(key.encode(), client).roles
        except GatewayError as error:
            return str(error.reason)
