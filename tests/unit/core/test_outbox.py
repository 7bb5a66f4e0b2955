"""Writes of one turn: together, in order, each once, and never for longer than the turn."""

import asyncio
import gc
from collections.abc import Callable
from typing import cast
from weakref import ref

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.outbox import LARGE, TOGETHER, Outbox, Outlet, outbox_of


class Loop:
    """Remembers what is to be called at the next turn."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()


class Pipe:
    """A transport that remembers, and can be gone or broken."""

    def __init__(self, log: list[tuple[int, bytes]], number: int) -> None:
        self._log = log
        self._number = number
        self.gone = self.broken = False

    def is_closing(self) -> bool:
        return self.gone

    def write(self, data: bytes) -> None:
        if self.broken:
            self.broken = False
            raise RuntimeError("broken")
        self._log.append((self._number, data))


class Office:
    """Some outlets of one outbox."""

    def __init__(self, outlets: int = 3, busy: int = 2) -> None:
        self.loop, self.log = Loop(), cast("list[tuple[int, bytes]]", [])
        self.outbox = Outbox(self.loop)
        self.outbox.busy = busy
        self.pipes = [Pipe(self.log, number) for number in range(outlets)]
        self.outlets = [Outlet(pipe, self.outbox) for pipe in self.pipes]


def test_a_request_that_is_alone_does_not_wait() -> None:
    office = Office(busy=1)
    office.outlets[0].send_soon(b"a")
    assert (office.log, office.loop.soon) == ([(0, b"a")], [])


def test_what_others_write_too_goes_out_when_the_turn_ends() -> None:
    office = Office()
    for outlet in office.outlets:
        outlet.send_soon(b"a")
    assert (office.log, len(office.loop.soon)) == ([], 1)
    office.loop.turn()
    assert (office.log, office.loop.soon) == ([(0, b"a"), (1, b"a"), (2, b"a")], [])


def test_many_do_not_wait_for_the_end_of_the_turn() -> None:
    office = Office(outlets=TOGETHER + 1)
    for outlet in office.outlets:
        outlet.send_soon(b"a")
    assert len(office.log) == TOGETHER
    office.loop.turn()
    assert len(office.log) == TOGETHER + 1


def test_a_burst_goes_out_by_itself() -> None:
    office = Office()
    office.outlets[0].send_soon(b"x" * (LARGE + 1))
    assert len(office.log) == 1


def test_one_that_holds_lets_nothing_leave_before_it_was_called() -> None:
    office = Office(outlets=TOGETHER + 2, busy=0)
    told: list[int] = []
    office.outbox.hold(lambda: told.append(len(office.log)))
    office.outlets[0].send_soon(b"x" * (LARGE + 1))
    office.outlets[0].send_soon(b"behind it")
    assert (office.log, told) == ([], [])
    office.loop.turn()
    assert told == [0]
    assert office.log == [(0, b"x" * (LARGE + 1) + b"behind it")]


def test_one_that_holds_never_sends_what_was_added_last() -> None:
    """Its request has not ended yet when it is added: what is told of it comes a moment later."""
    office = Office(outlets=TOGETHER + 2, busy=0)
    office.outbox.hold(lambda: None)
    for number, outlet in enumerate(office.outlets):
        outlet.send_soon(b"a")
        assert (number, b"a") not in office.log
    office.loop.turn()
    assert len(office.log) == TOGETHER + 2


def test_what_is_sent_at_once_does_not_overtake_what_is_held() -> None:
    office = Office(busy=0)
    told: list[int] = []
    office.outbox.hold(lambda: told.append(len(office.log)))
    office.outlets[0].send_soon(b"a")
    office.outlets[0].send(b"b")
    assert (office.log, told) == ([(0, b"a"), (0, b"b")], [0])


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["send", "send_soon", "flush", "turn"]), st.integers(0, 3))))
def test_each_connection_gets_its_bytes_once_and_in_order(steps: list[tuple[int, str, int]]) -> None:
    office = Office()
    given: dict[int, bytes] = {0: b"", 1: b"", 2: b""}
    for number, (place, what, busy) in enumerate(steps):
        office.outbox.busy = busy
        data = b"<%d>" % number
        if what == "turn":
            office.loop.turn()
        elif what == "flush":
            office.outlets[place].flush()
        else:
            getattr(office.outlets[place], what)(data)
            given[place] += data
    office.loop.turn()
    assert {place: b"".join(data for at, data in office.log if at == place) for place in given} == given
    assert not any(outlet.waiting for outlet in office.outlets)


def test_one_that_fails_does_not_keep_the_others() -> None:
    office = Office()
    for outlet in office.outlets:
        outlet.send_soon(b"a")
    office.pipes[1].broken = True
    with pytest.raises(RuntimeError, match="broken"):
        office.loop.turn()
    office.loop.turn()
    assert office.log == [(0, b"a"), (2, b"a")]
    office.outlets[1].send_soon(b"b")
    office.loop.turn()
    assert office.log[2:] == [(1, b"b")]


def test_nothing_is_written_to_one_who_is_gone() -> None:
    office = Office()
    office.outlets[0].send_soon(b"a")
    office.pipes[0].gone = True
    office.loop.turn()
    office.outlets[0].send(b"b")
    assert office.log == []


async def test_a_loop_has_one_outbox() -> None:
    loop = asyncio.get_running_loop()
    assert outbox_of(loop) is outbox_of(loop)
    assert outbox_of(loop).busy == 0


def test_an_outbox_ends_with_its_loop() -> None:
    for make in (asyncio.new_event_loop, uvloop.new_event_loop):
        loop = make()
        outbox = ref(outbox_of(loop))
        loop.close()
        del loop
        gc.collect()
        assert outbox() is None
