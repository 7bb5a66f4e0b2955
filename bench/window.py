"""How long a new pair exists nowhere but in one process: `python -m bench.window`.

From the moment a provider on this machine has sent its answer to a refresh until the pair is committed, in milliseconds, over
COUNT refreshes one after the other. Who dies in between loses the grant at a provider that rotates refresh tokens.
"""

import asyncio
import base64
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from gateway.config.values import SecretRef
from gateway.core.ports import SecretSource
from gateway.core.secret import Secret
from gateway.credentials.grants.exchange import asking
from gateway.credentials.grants.grant import Grant, Key
from gateway.credentials.grants.kept import Kept
from gateway.credentials.grants.model import Provider
from gateway.credentials.grants.refresh import Refresher
from gateway.credentials.vault.keys import LocalKey
from gateway.credentials.vault.ring import Ring
from gateway.fetch import HttpFetch
from gateway.resources import Nobody, SystemClock
from gateway.store.sql.engine import Database
from gateway.store.sql.grants import GrantRows
from gateway.store.sql.leases import Leases
from gateway.store.sql.model import Postgres, Sqlite
from gateway.store.sql.schema import migrate
from tests.postgres_server import SUPERUSER, PostgresServer

COUNT: Final = 300
FIRST: Final = 20
"""Not counted: connections are made, and code is loaded."""


@dataclass
class Endpoint:
    """A token endpoint that rotates, and remembers when it had answered."""

    answered: float = 0.0
    port: int = 0
    given: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        self.given += 1
        tokens = {"access_token": f"access-{self.given}", "refresh_token": f"refresh-{self.given}", "expires_in": 3600}
        body = json.dumps({"token_type": "Bearer", **tokens}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        self.answered = time.perf_counter()
        await writer.drain()
        writer.close()


@dataclass
class Timed:
    """A store that tells when it began to write, and when that was committed."""

    kept: Kept
    writes: list[tuple[float, float]] = field(default_factory=list)

    async def get(self, key: Key) -> Grant | None:
        return await self.kept.get(key)

    async def put(self, grant: Grant) -> Grant:
        began = time.perf_counter()
        stored = await self.kept.put(grant)
        self.writes.append((began, time.perf_counter()))
        return stored


def no_secret(reference: SecretRef) -> SecretSource:
    raise LookupError("the client of this bench has no secret")


async def measured(model: Sqlite | Postgres) -> list[tuple[float, float]]:
    """For each refresh the seconds from the answer to the commit, and those of them that writing took."""
    endpoint, database, fetch = Endpoint(), Database(model), HttpFetch(user_agent="bench")
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
    dial = {"allow_private": True, "allow_plaintext": True}
    provider = Provider.model_validate({"kind": "oauth", "token_url": url, "client": {"id": "bench", "auth": "none"}, "dial": dial})
    ring = Ring([LocalKey("k1", Secret(base64.b64encode(os.urandom(32))))], SystemClock.now)
    store = Timed(Kept(GrantRows(database), ring, SystemClock(), Nobody()))
    ask = asking(provider, fetch, SystemClock(), no_secret)
    refresher = Refresher(ask, store, Leases(database), SystemClock(), Nobody())
    found = []
    try:
        await migrate(database)
        tokens = Secret(b"access-0"), Secret(b"refresh-0")
        grant = await store.kept.put(Grant("bench", "corp", "alice", *tokens, client="bench"))
        for _ in range(COUNT + FIRST):
            newer = await refresher.refreshed(grant)
            assert newer is not None
            assert newer.is_live
            grant = newer
            began, ended = store.writes[-1]
            found.append((ended - endpoint.answered, ended - began))
    finally:
        server.close()
        await fetch.close()
        await database.close()
    return found[FIRST:]


@asynccontextmanager
async def databases() -> AsyncIterator[dict[str, Sqlite | Postgres]]:
    """Both as they are to be run: what is committed has reached the disk."""
    folder = Path(tempfile.mkdtemp(prefix="window-"))
    server = PostgresServer(durable=True)
    try:
        server.start()
        postgres = Postgres.model_validate({"url": server.url(server.database()), "username": SUPERUSER})
        yield {"SQLite": Sqlite(file=folder / "store.db"), "PostgreSQL on this machine": postgres}
    finally:
        server.stop()
        shutil.rmtree(folder)


async def main() -> None:
    print(f"Milliseconds from a provider's answer to the commit, {COUNT} refreshes; the load was {os.getloadavg()[0]:.1f}.\n")
    print("| database | median | 99th of 100 | worst | median of writing alone |")
    print("|---|---|---|---|---|")
    async with databases() as models:
        for name, model in models.items():
            times = await measured(model)
            whole, writing = sorted(each for each, _ in times), [each for _, each in times]
            row = (median(whole), whole[int(len(whole) * 0.99)], whole[-1], median(writing))
            print(f"| {name} | " + " | ".join(f"{seconds * 1000:.1f}" for seconds in row) + " |")


if __name__ == "__main__":
    asyncio.run(main())
