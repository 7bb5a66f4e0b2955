"""A request as a plain call: begun at once, resumed at once, a task where it must wait for anything else."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import pytest

from gateway.server.run import Run
from gateway.upstream.owner import Owner


class Carried:
    """A run and what became of it."""

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.ends = 0
        self.run = Run(asyncio.get_running_loop(), coroutine, self.ended)
        self.run.step()

    def ended(self) -> None:
        self.ends += 1


def an_owner() -> Owner:
    """As a connection makes it."""
    owner = Owner(loop=asyncio.get_running_loop())
    owner.wake = None
    return owner


async def test_what_need_not_wait_is_over_when_the_call_returns() -> None:
    seen = []

    async def request() -> None:
        seen.append("ran")

    carried = Carried(request())
    assert (seen, carried.ends, carried.run.task) == (["ran"], 1, None)


async def test_an_owner_s_waiter_goes_on_within_told_and_not_before() -> None:
    owner = an_owner()
    seen = []

    async def request() -> None:
        seen.append(await owner)

    carried = Carried(request())
    owner.set_result("answer")
    assert (seen, carried.ends) == ([], 0)
    owner.told()
    assert (seen, carried.ends, carried.run.task) == (["answer"], 1, None)
    owner.told()
    await asyncio.sleep(0)
    assert carried.ends == 1


async def test_an_owner_s_error_is_raised_where_it_was_awaited() -> None:
    owner = an_owner()
    seen: list[object] = []

    async def request() -> None:
        try:
            await owner
        except ValueError as error:
            seen.append(error.args)

    carried = Carried(request())
    owner.set_exception(ValueError("gone"))
    owner.told()
    assert (seen, carried.ends) == ([("gone",)], 1)


async def test_whoever_waits_for_anything_else_becomes_a_task_with_everything_a_task_can() -> None:
    seen = []

    async def request() -> None:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await asyncio.sleep(0.001)
        owner = an_owner()
        asyncio.get_running_loop().call_soon(owner.set_result, None)
        await owner  # a future like any other, for a task
        seen.append(asyncio.current_task())

    carried = Carried(request())
    task = carried.run.task
    assert task is not None
    assert carried.ends == 0
    await task
    assert (seen[1], carried.ends) == (task, 1)
    assert seen[0] is not task


@pytest.mark.parametrize("turns", [0, 1, 3])
@pytest.mark.parametrize("waits_for", ["owner", "future", "turn"])
async def test_a_run_that_is_given_up_sees_it_where_it_waits_and_ends_once(waits_for: str, turns: int) -> None:
    loop = asyncio.get_running_loop()
    owner, future = an_owner(), loop.create_future()
    seen = []

    async def request() -> None:
        try:
            if waits_for == "turn":
                await asyncio.sleep(0)
            await (owner if waits_for == "owner" else future)
        finally:
            seen.append("cleaned up")

    carried = Carried(request())
    for _ in range(turns):
        await asyncio.sleep(0)
    carried.run.cancel()
    if carried.run.task is not None:
        await asyncio.wait([carried.run.task], timeout=60)
    assert (seen, carried.ends) == (["cleaned up"], 1)
    carried.run.cancel()
    assert carried.ends == 1


@pytest.mark.parametrize("late", [False, True])
async def test_a_bug_is_logged_and_ends_the_run(late: bool, caplog: pytest.LogCaptureFixture) -> None:
    owner = an_owner()

    async def request() -> None:
        if late:
            await owner
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        carried = Carried(request())
        owner.set_result(None)
        owner.told()
    assert carried.ends == 1
    assert [record.getMessage() for record in caplog.records] == ["bug outside the pipeline"]


async def test_an_error_thrown_in_while_it_waits_as_a_task_reaches_the_coroutine() -> None:
    seen = []

    async def request() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            seen.append("and waited once more")
            raise

    carried = Carried(request())
    assert carried.run.task is not None
    await asyncio.sleep(0)
    carried.run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await carried.run.task
    assert (seen, carried.ends) == (["cancelled", "and waited once more"], 1)
