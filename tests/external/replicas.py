"""Gateways as processes of their own that share one PostgreSQL, the grants of one real OpenID provider, and its API as upstream."""

import base64
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from gateway.core.secret import Secret
from gateway.credentials.grants.grant import Grant
from gateway.credentials.grants.kept import Kept
from gateway.store.sql.model import Postgres
from tests.external.mock import run
from tests.external.oidc import CLIENT, CLIENT_SECRET, OpenIdProvider, openid_provider
from tests.gate import Gate, Http, Sql, gate
from tests.granting import Drawer
from tests.house import Reply, Upstream
from tests.postgres_server import SUPERUSER, PostgresServer
from tests.standalone import Standalone, standalone

ENVIRON = {"VAULT_KEY": base64.b64encode(bytes(range(32))).decode(), "CLIENT_SECRET": CLIENT_SECRET}
LEASE = 31
"""Seconds by which the database's clock is moved where a lease has to end."""


@dataclass(frozen=True)
class Gates:
    """What stands between one gateway and the rest of the world."""

    database: Gate
    provider: Gate
    api: Gate

    def cut(self) -> None:
        for each in (self.database, self.provider, self.api):
            each.cut(refuse=True)


@dataclass(frozen=True)
class World:
    """One database and one provider, for as many replicas as a test wants."""

    folder: Path
    socket: str
    database: str
    provider: OpenIdProvider
    drawer: Drawer

    @property
    def kept(self) -> Kept:
        return self.drawer.kept

    @asynccontextmanager
    async def gates(self) -> AsyncIterator[Gates]:
        async with (
            gate(self.socket, Sql) as database,
            gate(self.provider.port, Http) as provider,
            gate(self.provider.api, Http) as api,
        ):
            yield Gates(database, provider, api)

    @asynccontextmanager
    async def replica(self, name: str, gates: Gates, **over: Any) -> AsyncIterator[Standalone]:
        """One gateway that serves."""
        folder = self.folder / name
        folder.mkdir()
        dial = {"allow_private": True, "allow_plaintext": True}
        client = {"id": CLIENT, "secret": {"env": "CLIENT_SECRET"}}
        url = f"http://127.0.0.1:{gates.provider.port}/token"
        database = {"url": f"postgresql://127.0.0.1:{gates.database.port}/{self.database}", "username": SUPERUSER}
        parts: dict[str, Any] = {
            "vault": {"keys": [{"id": "k1", "env": "VAULT_KEY"}]},
            "database": {**database, "allow_plaintext": True, "statement_timeout": "60s"},
            "providers": {"tracker": {"kind": "oauth", "token_url": url, "client": client, "dial": dial}},
            "credentials": {"bot": {"inject": "grant", "provider": "tracker"}},
            "log": {"level": "warning"},
        }
        async with standalone(folder, Upstream(port=gates.api.port), environ=ENVIRON, **{**parts, **over}) as made:
            yield made

    async def keep(self, subject: str, tokens: dict[str, Any], *, expired: bool) -> Grant:
        """Store what the provider gave, as if its access token had ended or as if it were new."""
        ends = time.time() + (-10 if expired else 3600)
        secrets = Secret(tokens["access_token"].encode()), Secret(tokens["refresh_token"].encode())
        grant = Grant("tracker", "corp", subject, *secrets, client=CLIENT, expires_at=ends)
        return await self.kept.put(replace(grant, version=await self.kept.version(grant.key)))

    async def grant(self, subject: str) -> Grant:
        """As it is stored now."""
        grant = await self.kept.get(("tracker", "corp", subject))
        assert grant is not None
        return grant

    async def expire(self, subject: str) -> None:
        """The grant's access token has ended, as far as the database knows."""
        grant = await self.grant(subject)
        await self.kept.put(replace(grant, expires_at=time.time() - 10))

    async def leases_end(self, subject: str) -> None:
        """What the passing of half a minute does to whoever died with a lease."""
        statement = text("UPDATE leases SET until = until - :seconds WHERE name LIKE :whose")
        await self.drawer.database.write(statement.bindparams(seconds=LEASE, whose=f"%:{subject}"))


@asynccontextmanager
async def world(folder: Path, node: str, server: PostgresServer) -> AsyncIterator[World]:
    name = server.database()
    drawer = Drawer(Postgres.model_validate({"url": server.url(name), "username": SUPERUSER}))
    async with openid_provider(node, folder) as provider, drawer:
        yield World(folder, f"{server.folder}/.s.PGSQL.{server.port}", name, provider, drawer)


async def ask(replica: Standalone, subject: str) -> Reply:
    return await replica.get("/things/1", token=replica.keys.token(subject))


async def added(replica: Standalone, folder: Path, subject: str, tokens: dict[str, Any], *options: str) -> None:
    """`gateway grants add`, with the configuration of a gateway."""
    files = {name: folder / f"{name}-{subject}" for name in ("access_token", "refresh_token")}
    for name, file in files.items():
        file.write_text(tokens[name])
    principal = ("--provider", "tracker", "--issuer", "corp", "--subject", subject)
    tokens_of = ("--token-file", str(files["access_token"]), "--refresh-token-file", str(files["refresh_token"]))
    command = (sys.executable, "-m", "gateway", "grants", "add", *principal, *tokens_of, *options)
    await run(*command, "--config", str(replica.folder / "config.yaml"), UPSTREAM_TOKEN="t", **ENVIRON)
