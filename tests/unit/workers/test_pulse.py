"""Workers are asked what they count; one that does not answer is ended."""

import asyncio
from typing import Any

import pytest

from gateway.telemetry.instruments import ACTIVE, REQUESTS
from gateway.telemetry.merge import Sums, pack
from gateway.telemetry.series import Family
from gateway.workers.channel import GoneError
from gateway.workers.member import State
from gateway.workers.pulse import Pulse


class Worker:
    """A member that tells what the test says, or nothing."""

    def __init__(self, slot: int, count: float | None, nonsense: Any = None) -> None:
        self.nonsense = nonsense
        self.slot = self.serial = slot
        self.pid = 100 + slot
        self.state = State.SERVING
        self.count = count

    async def ask(self, what: str, *, timeout: float) -> dict[str, Any]:
        assert what == "measure"
        if self.count is None:
            raise GoneError
        if self.nonsense is not None:
            return {"families": self.nonsense}
        return {"families": pack([Family(REQUESTS, (((), self.count),)), Family(ACTIVE, (((), 1.0),))])}


class Crew:
    def __init__(self, *workers: Any) -> None:
        self.alive = self.serving = list(workers)
        self.sums = Sums()
        self.killed: list[Any] = []

    def is_in_place(self, member: Any) -> bool:
        return True

    def kill(self, member: Any) -> None:
        self.killed.append(member)


def requests(crew: Crew) -> float:
    (family,) = [family for family in crew.sums.join([]) if family.instrument is REQUESTS]
    ((_, value),) = family.points
    assert isinstance(value, float)
    return value


async def test_what_everybody_counts_is_added_up() -> None:
    crew = Crew(Worker(0, 3.0), Worker(1, 4.0))
    await Pulse(crew).measure()
    assert requests(crew) == 7


async def test_of_one_that_does_not_answer_counts_what_it_told_last() -> None:
    crew = Crew(Worker(0, 3.0), Worker(1, 4.0))
    await Pulse(crew).measure()
    crew.alive[0].count, crew.alive[1].count = None, 5.0
    await Pulse(crew).measure()
    assert (requests(crew), crew.killed) == (8, [])


@pytest.mark.parametrize(
    "nonsense", [1, [1], [["a"]], [["no.such.instrument", []]], [[["x"], []]], [["gateway.requests", [[[], "x"]]]]]
)
async def test_nonsense_of_one_does_not_keep_the_others_from_being_counted(nonsense: Any) -> None:
    crew = Crew(Worker(0, 3.0), Worker(1, 4.0, nonsense))
    await Pulse(crew).measure()
    assert requests(crew) == 3


async def test_one_that_hangs_is_ended_and_one_that_is_gone_is_left_alone() -> None:
    hung, gone, well = Worker(0, None), Worker(1, None), Worker(2, 1.0)
    gone.state = State.GONE
    crew = Crew(hung, gone, well)
    watching = asyncio.create_task(Pulse(crew, every=0.01).watch())
    async with asyncio.timeout(20):
        while not crew.killed:
            await asyncio.sleep(0.005)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert set(crew.killed) == {hung}
