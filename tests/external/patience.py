"""What takes half a minute to show, by the real clock: for `make crash`, not among the tests of every day."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.external.replicas import Gates, World, ask, world
from tests.gate import Stop
from tests.house import Reply
from tests.postgres_server import PostgresServer
from tests.standalone import Standalone, until


@dataclass(frozen=True)
class Two:
    """A gateway behind gates that a test stops, and another one."""

    world: World
    gates: Gates
    one: Standalone
    other: Standalone

    async def found(self) -> dict[str, int]:
        told: dict[str, int] = await self.world.provider.told("grants/alice")
        return told


@pytest.fixture
async def two(tmp_path: Path, node: str, postgres_server: PostgresServer) -> AsyncIterator[Two]:
    async with (
        world(tmp_path, node, postgres_server) as shared,
        shared.gates() as gates,
        shared.gates() as open_gates,
        shared.replica("one", gates) as one,
        shared.replica("other", open_gates) as other,
    ):
        await shared.keep("alice", await shared.provider.made("alice"), expired=True)
        yield Two(shared, gates, one, other)


async def asked(replica: Standalone) -> Reply | None:
    """None where it does not answer within ten seconds."""
    with suppress(TimeoutError):
        return await ask(replica, "alice")
    return None


async def answers(replica: Standalone, status: int) -> None:
    async def it_does() -> bool:
        reply = await asked(replica)
        return reply is not None and reply.status == status

    await until(it_does, f"no {status} comes")


async def test_who_is_stopped_between_its_lease_and_the_provider_for_longer_than_the_lease_does_not_ask(two: Two) -> None:
    two.gates.database.stop(Stop("COMMIT SELECT grants", 3, answered=True))
    asking = asyncio.create_task(asked(two.one))
    await two.gates.database.reached.wait()
    two.one.process.send_signal(signal.SIGSTOP)
    try:
        two.gates.database.go_on()
        await answers(two.other, 503)
        await answers(two.other, 200)
    finally:
        two.one.process.send_signal(signal.SIGCONT)
    await asking
    await answers(two.one, 200)
    assert await two.found() == {"refreshed": 1, "refused": 0, "revoked": 0}


async def test_a_provider_that_answers_too_late_costs_the_grant_and_is_asked_once_more_and_no_further(two: Two) -> None:
    two.gates.provider.stop(Stop("request", answered=True))
    await answers(two.one, 503)
    await answers(two.other, 403)
    two.gates.provider.go_on()
    for replica in (two.one, two.other) * 2:
        await answers(replica, 403)
    reply = await ask(two.other, "alice")
    assert (reply.json()["action"], reply.json()["problem"]) == ("reconnect", "interrupted")
    assert await two.found() == {"refreshed": 1, "refused": 1, "revoked": 1}
