"""A configuration whose route uses principals' own grants, and what it takes: keys, a database, a provider that rotates."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import trustme

from gateway.core.secret import Secret
from gateway.credentials.grants.grant import Grant
from gateway.credentials.grants.kept import Kept
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.ring import Ring
from gateway.resources import Nobody, SystemClock
from gateway.store.sql.engine import Database
from gateway.store.sql.grants import GrantRows
from gateway.store.sql.model import Postgres, Sqlite
from gateway.store.sql.schema import migrate
from tests.minting import Asked, Mint, reply

KEY = base64.b64encode(bytes(range(32))).decode()
ENVIRON = {"VAULT_KEY": KEY, "CLIENT_SECRET": "canary-client-secret"}


class Provider:
    """What a `Mint` answers: rotates refresh tokens, and ends the grant whose old one comes back."""

    def __init__(self, refresh: str = "canary-refresh-0") -> None:
        self.valid = refresh
        self.used: set[str] = set()
        self.ended = False
        self.lifetime = 3600
        self.answered = 0

    async def __call__(self, asked: Asked) -> bytes:
        given = asked.form["refresh_token"]
        await asyncio.sleep(0)
        if self.ended or given != self.valid:
            self.ended = self.ended or given in self.used
            return reply({"error": "invalid_grant"}, 400)
        self.answered += 1
        self.used.add(given)
        self.valid = f"canary-refresh-{self.answered}"
        tokens = {"access_token": f"canary-access-{self.answered}", "refresh_token": self.valid, "expires_in": self.lifetime}
        return reply({"token_type": "Bearer", **tokens})


def granting(folder: Path, mint: Mint, database: dict[str, Any], **grant: Any) -> dict[str, Any]:
    """The parts of a configuration by which the routes to `api` use grants at the provider `tracker`."""
    ca = folder / "mint-ca.pem"
    mint.authority.cert_pem.write_to_path(str(ca))
    client = {"id": "client-1", "secret": {"env": "CLIENT_SECRET"}}
    provider = {"kind": "oauth", "token_url": mint.url(), "client": client, "dial": {"ca": str(ca), "allow_private": True}}
    return {
        "vault": {"keys": [{"id": "k1", "env": "VAULT_KEY"}]},
        "database": database,
        "providers": {"tracker": provider},
        "credentials": {"bot": {"inject": "grant", "provider": "tracker", **grant}},
    }


def issuing(answer: Provider) -> Mint:
    return Mint(trustme.CA(), answer, name="localhost")


def a_grant(subject: str = "alice", **more: Any) -> Grant:
    given = {"access": Secret(f"canary-access-of-{subject}".encode()), "client": "client-1", **more}
    return Grant("tracker", "corp", subject, **given)


class Drawer:
    """The same database, opened beside the gateway."""

    def __init__(self, model: Sqlite | Postgres) -> None:
        self.database = Database(model)
        ring = Ring([LocalKey("k1", Secret(KEY.encode()))], SystemClock.now)
        self.kept = Kept(GrantRows(self.database), ring, SystemClock(), Nobody())

    async def __aenter__(self) -> Kept:
        await migrate(self.database)
        return self.kept

    async def __aexit__(self, *_: object) -> None:
        await self.database.close()
