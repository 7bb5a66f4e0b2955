"""A configuration whose route to `api` uses a secret of the database, and the database opened beside the gateway."""

import base64
import time
from pathlib import Path
from typing import Any, Self

from gateway.core.secret import Secret
from gateway.credentials.stored.drawer import Drawer, Facts, revoke
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.ring import Ring
from gateway.store.sql.engine import Database
from gateway.store.sql.model import Postgres, Sqlite
from gateway.store.sql.schema import migrate
from gateway.store.sql.secrets import SecretRows

KEYS = {"k1": base64.b64encode(bytes(range(32))).decode(), "k2": base64.b64encode(bytes(range(100, 132))).decode()}
ENVIRON = {"VAULT_KEY": KEYS["k1"], "NEXT_KEY": KEYS["k2"]}
ONE_KEY = {"keys": [{"id": "k1", "env": "VAULT_KEY"}]}
BOTH_KEYS = {"keys": [{"id": "k2", "env": "NEXT_KEY"}, *ONE_KEY["keys"]]}


def ring(*ids: str) -> Ring:
    return Ring([LocalKey(id, Secret(KEYS[id].encode())) for id in ids or ("k1",)], time.time)


def storing(database: dict[str, Any], name: str = "bot", **vault: Any) -> dict[str, Any]:
    """The parts of a configuration by which `api` is shown the stored secret `name`."""
    secret = {"inject": "bearer", "secret": {"sealed": name}}
    return {"vault": {**ONE_KEY, **vault}, "database": database, "credentials": {"bot": secret}}


class Beside:
    """The same database, as an operator's command has it."""

    def __init__(self, model: Sqlite | Postgres | Path, *ids: str) -> None:
        self.database = Database(Sqlite(file=model) if isinstance(model, Path) else model)
        self.rows = SecretRows(self.database)
        self.drawer = Drawer(self.rows, ring(*ids), time.time)

    async def __aenter__(self) -> Self:
        await migrate(self.database)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.database.close()

    async def put(self, name: str, value: str) -> None:
        await self.drawer.put(name, Secret(value.encode()), Facts())

    async def revoke(self, name: str) -> None:
        assert await revoke(self.rows, name, time.time())
