"""kill -9 at each step of a refresh: nothing is lost but what the provider gave and nobody stored, and nothing loops.

`make test` does once those of the steps that differ in kind; `make crash` does all of them, kills 204 gateways, and waits for a
lease's real end once for each step.
"""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.external.crashing import DAILY, STEPS, crash
from tests.external.replicas import World, world
from tests.postgres_server import PostgresServer
from tests.standalone import Standalone

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUNDS = int(os.environ.get("CRASHES", "1"))
"""For each step."""
LANES = 3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory, node: str, postgres_server: PostgresServer) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("crash"), node, postgres_server) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def survivor(shared: World) -> AsyncIterator[Standalone]:
    async with shared.gates() as gates, shared.replica("survivor", gates) as made:
        yield made


@pytest.mark.parametrize("step", STEPS if ROUNDS > 1 else DAILY)
async def test_a_gateway_killed_at_a_step_loses_only_what_the_provider_gave_and_nobody_stored(
    shared: World, survivor: Standalone, step: str
) -> None:
    lanes = asyncio.Semaphore(LANES)

    async def one(number: int) -> None:
        async with lanes:
            await crash(shared, survivor, step, number, patient=ROUNDS > 1 and number == 0)

    async with asyncio.TaskGroup() as group:
        for number in range(ROUNDS):
            group.create_task(one(number))
