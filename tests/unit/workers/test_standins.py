"""Somebody takes the connections of every place: who is lent whose sockets, whatever happens in whatever order."""

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from gateway.workers.equipment import Equipment
from gateway.workers.member import Member, State
from gateway.workers.standins import StandIns

COUNT = 3


class Worker:
    """A member that keeps what it was lent, as a worker does."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.state = State.SERVING
        self.has: set[int] = set()

    def tell(self, what: str, descriptors: Any = (), *, worker: int, keys: Any = ()) -> None:
        if what == "lend":
            assert worker not in self.has
            assert list(descriptors) == [worker]
            self.has.add(worker)
        else:
            self.has.discard(worker)


class Sockets:
    """Equipment of one listener, whose sockets are known by their place."""

    def lendable(self, slot: int) -> tuple[list[tuple[str, str]], list[int]]:
        return [("listen", "127.0.0.1:0")], [slot]


@given(st.lists(st.tuples(st.integers(0, COUNT - 1), st.sampled_from(["dies", "comes", "leaves"])), max_size=20))
def test_every_socket_has_exactly_one_taker_while_anybody_serves(steps: list[tuple[int, str]]) -> None:
    places: list[Worker | None] = [Worker(slot) for slot in range(COUNT)]
    alive = [worker for worker in places if worker is not None]
    stand_ins = StandIns()
    for slot, what in steps:
        old = places[slot]
        if what == "comes" and old is None:
            places[slot] = new = Worker(slot)
            alive.append(new)
        elif what != "comes" and old is not None:
            old.state = State.GONE if what == "dies" else State.LEAVING
            places[slot] = None
        stand_ins.cover(cast("list[Member | None]", places), cast("Equipment", Sockets()))
        serving = [worker for worker in alive if worker.state is State.SERVING]
        takers = [[worker for worker in serving if worker.slot == place or place in worker.has] for place in range(COUNT)]
        assert all(len(found) == (1 if serving else 0) for found in takers)
        assert not any(worker.has for worker in alive if worker.state is State.LEAVING)
