"""What is revoked by command is refused by every replica: told at once over Redis, found within a second without it."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from gateway.cli import grants
from gateway.store.sql.model import Sqlite
from tests.granting import ENVIRON, Drawer, Provider, a_grant, granting, issuing
from tests.house import Upstream
from tests.redis_server import RedisServer
from tests.standalone import Standalone, standalone, until


async def command(replica: Standalone, *arguments: str) -> str:
    """`gateway grants` as an operator calls it; what it says on standard error."""
    options = ["--config", str(replica.folder / "config.yaml")]
    play = partial(CliRunner().invoke, grants.app, [*arguments, *options], env={**ENVIRON, "UPSTREAM_TOKEN": "t"})
    result = await asyncio.to_thread(play)
    assert result.exit_code == 0, result.output
    return result.stderr


async def status(replica: Standalone, subject: str) -> int:
    return (await replica.get("/things/1", token=replica.keys.token(subject))).status


async def refused(replicas: list[Standalone], subject: str) -> None:
    """Until all of them refuse."""

    async def everywhere() -> bool:
        return {await status(replica, subject) for replica in replicas} == {403}

    await until(everywhere, f"{subject}'s grant is used on")


async def test_a_revocation_by_command_is_felt_on_every_replica_with_redis_and_without(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    file = tmp_path / "store.db"
    for name in "ab":
        (tmp_path / name).mkdir()
    async with issuing(Provider()) as mint, Upstream() as upstream, Drawer(Sqlite(file=file)) as kept:
        parts: dict[str, Any] = granting(tmp_path, mint, {"file": str(file)})
        parts["rate_limits"] = {"store": {"redis": {"url": redis_server.url}}}
        for subject in ("alice", "bob"):
            await kept.put(a_grant(subject))
        async with (
            standalone(tmp_path / "a", upstream, environ=ENVIRON, **parts) as one,
            standalone(tmp_path / "b", upstream, environ=ENVIRON, **parts) as other,
        ):
            replicas = [one, other]

            async def hear() -> bool:
                pages = [(await each.get("/readyz?verbose", listener="admin")).json() for each in replicas]
                return all(page["stores"]["changes"]["connected"] for page in pages)

            await until(hear, "the replicas do not listen")
            assert {await status(each, subject) for each in replicas for subject in ("alice", "bob")} == {200}
            await command(one, "revoke", "--principal", "corp:alice")
            await refused(replicas, "alice")
            assert {await status(each, "bob") for each in replicas} == {200}

            redis_server.kill()
            assert {await status(each, "bob") for each in replicas} == {200}
            told = await command(other, "revoke", "--principal", "corp:bob")
            assert "they notice within a second" in told
            await refused(replicas, "bob")
        events = [json.loads(line) for name in "ab" for line in (tmp_path / name / "audit.jsonl").read_text().splitlines()]
        gone = [(each["provider"], each["subject"]) for each in events if each["event"] == "grant.disconnected"]
        assert gone == [("tracker", "alice"), ("tracker", "bob")]
