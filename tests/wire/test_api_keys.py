"""API keys of a database at a running gateway: changes take effect within a second, and a key counts only where it is for."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.authn import key_file
from gateway.authn.key_entry import new_entry
from gateway.authn.key_rows import Binding, Editor
from gateway.cli.bell import rung
from gateway.core.errors import Unauthenticated
from gateway.store.bell import Bell
from gateway.store.sql.engine import Database
from gateway.store.sql.keys import KeyRows
from gateway.store.sql.model import Sqlite
from tests.house import House, house
from tests.issuer import PEPPER
from tests.redis_server import RedisServer
from tests.standalone import until

ROLES = "{apiVersion: gateway/v1, kind: Roles, roles: {member: ['things:use']}}"
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: all
routes: ["*"]
rules: [{name: members, allow: any, permission: "things:use"}]
"""


class Operator:
    """Whoever changes keys, with a connection of his own."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(Sqlite(file=folder / "keys.db"))
        self.rows = KeyRows(self.database)
        self.editor = Editor(self.rows, Binding(PEPPER), time.time)

    async def create(self, **more: Any) -> tuple[str, str]:
        values: dict[str, Any] = {"prefix": "lgk", "name": "ci", "now": time.time(), "roles": ["member"], **more}
        key, entry = new_entry(PEPPER, **values)
        await self.editor.add([entry])
        return key, entry.id


def routes() -> list[dict[str, Any]]:
    names = ("things.read", "things.write", "other")
    return [{"name": name, "match": {"path": f"/{name}/**"}, "upstream": "api", "authenticate": ["api_keys"]} for name in names]


@asynccontextmanager
async def running(folder: Path, *, state: Mapping[str, Any] | None = None, **keys: Any) -> AsyncIterator[tuple[House, Operator]]:
    over: dict[str, Any] = {
        "authentication": {"api_keys": {"store": "database", "pepper": {"env": "PEPPER"}, **keys}},
        "database": {"file": "keys.db"},
        "state": state or {},
        "routes": routes(),
        "detection": {"rules": []},  # keys that do not count yet, or not from here, are tried from here
        "portal": {"tools": {"authenticate": ["api_keys"]}},
    }
    async with house(folder, policy=POLICY, roles=ROLES, environ={"PEPPER": PEPPER.decode()}, **over) as running:
        operator = Operator(folder)
        try:
            yield running, operator
        finally:
            await operator.database.close()


async def looked(at: House) -> None:
    """Let the gateway see now what it would see within a second."""
    for store in at.process.resources.stores.followed():
        await store.look()


async def asked(at: House, key: str, path: str = "/other/x") -> int:
    return (await at.get(path, headers={"X-Api-Key": key})).status


async def test_a_key_made_or_revoked_in_the_database_is_felt_within_a_second(tmp_path: Path) -> None:
    async with running(tmp_path) as (gateway, operator):
        key, id = await operator.create()

        async def counts() -> bool:
            return await asked(gateway, key) == 200

        async def counts_no_more() -> bool:
            return await asked(gateway, key) == 401

        await until(counts, "the key never counted")
        await operator.editor.revoke(id, time.time())
        await until(counts_no_more, "the key was not taken back")
        told = [event for event in await gateway.requests() if event["status"] == 200]
        assert {event["credential_id"] for event in told} == {id}
        assert key.encode() not in (tmp_path / "keys.db").read_bytes() + (tmp_path / "audit.jsonl").read_bytes()


async def test_the_bell_makes_a_change_felt_at_once(
    tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rung by a command, over the Redis of `state`: nothing else ends the pause between two looks."""
    pause = Bell.pause
    monkeypatch.setattr(Bell, "pause", lambda self, _: pause(self, 3600))
    state = {"store": {"redis": {"url": redis_server.url}}}
    async with running(tmp_path, state=state) as (gateway, operator):
        resources = gateway.process.resources

        async def listens() -> bool:
            return bool(resources.status()["stores"]["changes"]["connected"]) and resources.stores.bell.at > 0

        await until(listens, "nobody listens")
        await looked(gateway)  # after what the connection itself rang for
        key, _ = await operator.create()
        await rung(gateway.process.loaded)

        async def counts() -> bool:
            return await asked(gateway, key) == 200

        await until(counts, "the bell was not heard")


async def test_a_key_counts_only_on_its_routes_and_from_its_addresses(tmp_path: Path) -> None:
    async with running(tmp_path) as (gateway, operator):
        things, _ = await operator.create(routes=["things.*"])
        none, _ = await operator.create(routes=[])
        here, _ = await operator.create(addresses=["127.0.0.0/8"])
        elsewhere, _ = await operator.create(addresses=["10.0.0.0/8", "2001:db8::/32"])
        await looked(gateway)
        assert await asked(gateway, things, "/things.read/x") == 200
        assert await asked(gateway, things, "/things.write/x") == 200
        assert await asked(gateway, things, "/other/x") == 403
        assert await asked(gateway, things, "/things.read/x") == 200
        assert await asked(gateway, none, "/things.read/x") == 403
        assert await asked(gateway, here) == 200
        reply = await gateway.get("/other/x", headers={"X-Api-Key": elsewhere})
        assert (reply.status, reply.json()["type"]) == (401, "urn:latchgate:problem:credential-invalid")
        tools = await gateway.get("/.gateway/tools", headers={"X-Api-Key": things})
        assert sorted(tool["name"] for tool in tools.json()["tools"]) == ["things.read", "things.write"]
        events = await gateway.requests()
        assert events[2]["reason"] == "policy-denied"
        assert "not for the client's address" in next(each["detail"] for each in events if each["status"] == 401)


async def test_the_next_reload_finds_no_empty_table(tmp_path: Path) -> None:
    async with running(tmp_path) as (gateway, operator):
        key, _ = await operator.create()
        await looked(gateway)
        document = (tmp_path / "config.yaml").read_text()
        statuses = []
        for limit in ("60s", "61s"):
            (tmp_path / "config.yaml").write_text(document.replace("store: database", f"store: database\n    stale_for: {limit}"))
            reload = asyncio.create_task(gateway.process.reload())
            while not reload.done():
                statuses.append(await asked(gateway, key))
            assert await asked(gateway, key) == 200
        assert set(statuses) <= {200}


async def test_the_same_keys_go_on_counting_when_they_move_from_a_file(tmp_path: Path) -> None:
    key, entry = new_entry(PEPPER, prefix="lgk", name="old", now=time.time(), roles=["member"])
    key_file.add(tmp_path / "old.yaml", entry)
    async with running(tmp_path) as (gateway, operator):
        await operator.editor.add(key_file.load(tmp_path / "old.yaml"))
        await looked(gateway)
        assert await asked(gateway, key) == 200


def test_who_counts_failures_learns_which_key_was_tried() -> None:
    assert Unauthenticated("x", about="A" * 12).about == "A" * 12
    assert Unauthenticated("x").about is None
