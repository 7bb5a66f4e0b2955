"""Which addresses serve: chosen by load, ejected for failing, taken back slowly, and never none."""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.endpoint import UNKNOWN, Endpoint
from gateway.upstream.lane import Lane
from gateway.upstream.model import Upstream
from gateway.upstream.rotation import STEPS, Rotation
from gateway.upstream.target import parse_targets, resolve_by_system
from tests.fakes import SteppedClock


class Timers:
    """Timers of a loop that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self._planned: list[tuple[float, Planned, Callable[..., object], tuple[Any, ...]]] = []

    def later(self, seconds: float, call: Callable[..., object], *arguments: Any) -> asyncio.TimerHandle:
        planned = Planned()
        self._planned.append((self.clock.monotonic() + seconds, planned, call, arguments))
        return cast("asyncio.TimerHandle", planned)

    def step(self, seconds: float) -> None:
        """Let so much time pass, and what was planned within it happen in order."""
        end = self.clock.monotonic() + seconds
        while due := sorted((entry for entry in self._planned if entry[0] <= end), key=lambda entry: entry[0])[:1]:
            at, planned, call, arguments = due[0]
            self._planned.remove(due[0])
            self.clock.step(max(0.0, at - self.clock.monotonic()))
            if not planned.cancelled:
                call(*arguments)
        self.clock.step(end - self.clock.monotonic())


class Planned:
    """A timer."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Several:
    """A rotation over so many literal targets."""

    def __init__(self, count: int, **keys: Any) -> None:
        targets = [f"http://127.0.0.{number}:80" for number in range(1, count + 1)]
        model = Upstream.model_validate({"targets": targets, "allow_plaintext": True, "allow_private": True, **keys})
        self.timers = Timers()
        self.lanes = [Lane(target, model, resolve_by_system) for target in parse_targets(model)]
        self.counts: Counter[str] = Counter()
        self.rotation = Rotation(
            "tested",
            model,
            self.lanes,
            lambda name, **labels: self.counts.update([name]),
            time=self.timers.clock.monotonic,
            later=self.timers.later,
            draw=Random(1).random,
        )
        self.ends = [next(iter(lane.endpoints.values())) for lane in self.lanes]

    def fail(self, number: int, times: int = 5) -> None:
        for _ in range(times):
            self.rotation.failed(self.ends[number], "broke")

    def check(self, number: int, problem: str, times: int = 1) -> None:
        for _ in range(times):
            self.rotation.checked(self.ends[number], problem)

    def serving(self) -> list[int]:
        return [number for number, lane in enumerate(self.lanes) if lane in self.rotation.lanes]


def test_the_less_loaded_of_two_is_chosen() -> None:
    several = Several(2)
    several.lanes[0].open = 3
    assert {several.rotation.choose() for _ in range(50)} == {several.lanes[1]}


def test_equals_are_chosen_equally() -> None:
    several = Several(5)
    chosen = Counter(id(several.rotation.choose()) for _ in range(5000))
    assert len(chosen) == 5
    assert min(chosen.values()) > 800


@given(st.lists(st.integers(0, 50), min_size=2, max_size=8), st.integers(0, 1000))
def test_the_most_loaded_of_all_is_never_chosen(loads: list[int], seed: int) -> None:
    several = Several(len(loads))
    for lane, load in zip(several.lanes, loads, strict=True):
        lane.open = load
    most = max(loads)
    if loads.count(most) == 1:
        assert all(several.rotation.choose() is not several.lanes[loads.index(most)] for _ in range(40))


@given(st.integers(2, 8), st.lists(st.integers(0, 7), max_size=200))
def test_load_stays_even_when_all_are_equally_fast(count: int, ends: list[int]) -> None:
    # Requests begin at whom `choose` says and end in any order: nobody is ever far ahead of the least loaded.
    several = Several(count)
    for _ in range(20 * count):
        several.rotation.choose().open += 1
    loads = [lane.open for lane in several.lanes]
    assert max(loads) - min(loads) <= 8
    for end in ends:
        several.lanes[end % count].open = max(0, several.lanes[end % count].open - 1)
        several.rotation.choose().open += 1
    assert sum(lane.open for lane in several.lanes) >= 20 * count


def test_failures_in_a_row_eject_and_time_brings_back() -> None:
    several = Several(3)
    several.fail(0, 4)
    assert several.serving() == [0, 1, 2]
    several.fail(0, 1)
    assert several.serving() == [1, 2]
    assert several.ends[0].resting
    assert several.counts["gateway.upstream.ejections"] == 1
    several.timers.step(5)
    assert several.serving() == [0, 1, 2]
    assert not several.ends[0].resting


def test_after_an_ejection_one_failure_ejects_for_longer() -> None:
    several = Several(2)
    several.fail(0)
    several.timers.step(5)
    several.fail(0, 1)
    several.timers.step(8.5)
    assert several.serving() == [1]
    several.timers.step(1.5)
    assert several.serving() == [0, 1]


def test_failures_of_what_is_ejected_already_do_not_prolong_it() -> None:
    several = Several(2)
    several.fail(0, 30)
    assert several.ends[0].accrual.pauses == 1
    several.timers.step(5)
    assert several.serving() == [0, 1]


def test_the_last_one_is_never_ejected() -> None:
    several = Several(1)
    several.fail(0, 50)
    assert several.serving() == [0]


def test_no_more_than_the_share_is_ejected_at_once() -> None:
    several = Several(5, outlier_detection={"max_ejection_percent": 40})
    for number in range(5):
        several.fail(number)
    assert len(several.serving()) == 3
    none = Several(5, outlier_detection={"max_ejection_percent": 0})
    none.fail(0, 50)
    assert len(none.serving()) == 5


@given(
    st.integers(1, 6),
    st.integers(0, 99),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["fail", "gone", "good", "bad", "wait"])), max_size=80),
)
def test_whatever_happens_somebody_serves_and_who_rests_does_not(count: int, percent: int, steps: list[tuple[int, str]]) -> None:
    several = Several(count, outlier_detection={"max_ejection_percent": percent}, health_check={"path": "/"})
    for number, what in steps:
        match what:
            case "fail":
                several.fail(number % count)
            case "gone":
                several.rotation.failed(several.ends[number % count], "nobody", at_once=True)
            case "good" | "bad":
                several.check(number % count, "" if what == "good" else "bad", 3)
            case _:
                several.timers.step(7)
        assert several.serving()
        assert sum(end.ejected for end in several.ends) < max(2, count)
        assert all(end.resting != (number in several.serving()) for number, end in enumerate(several.ends))
        assert all(0 < end.weight <= 1 for end in several.ends)
        assert several.rotation.choose() in several.rotation.lanes


def test_an_address_that_comes_back_is_given_its_share_step_by_step() -> None:
    several = Several(2, slow_start="10s")
    several.fail(0)
    several.timers.step(5)
    several.lanes[1].open = 8
    assert several.rotation.choose() is several.lanes[1]  # nine for a whole share is less than one for a tenth
    several.lanes[1].open = 10
    assert several.rotation.choose() is several.lanes[0]
    weights = []
    for _ in range(STEPS):
        weights.append(round(several.ends[0].weight, 1))
        several.timers.step(1)
    assert weights == sorted(weights)
    assert (weights[0], several.ends[0].weight) == (0.1, 1.0)


def test_without_slow_start_the_share_is_whole_at_once() -> None:
    several = Several(2, slow_start="0s")
    several.fail(0)
    several.timers.step(5)
    assert several.ends[0].weight == 1.0


def test_an_address_is_unhealthy_after_so_many_checks_and_healthy_after_others() -> None:
    several = Several(2, health_check={"path": "/", "unhealthy_threshold": 3, "healthy_threshold": 2})
    several.check(0, "answered 500", 2)
    several.check(0, "")
    several.check(0, "answered 500", 2)
    assert several.serving() == [0, 1]
    several.check(0, "answered 500")
    assert several.serving() == [1]
    assert several.ends[0].status()["state"] == "unhealthy"
    several.check(0, "")
    several.check(0, "answered 500")
    several.check(0, "")
    assert several.serving() == [1]
    several.check(0, "")
    assert several.serving() == [0, 1]
    assert several.ends[0].weight < 1


def test_a_passed_check_does_not_shorten_an_ejection() -> None:
    several = Several(2, health_check={"path": "/"})
    several.fail(0)
    several.check(0, "", 10)
    assert several.serving() == [1]
    several.timers.step(5)
    assert several.serving() == [0, 1]


def test_when_nobody_is_healthy_the_check_is_not_believed() -> None:
    several = Several(2, health_check={"path": "/", "unhealthy_threshold": 1})
    several.check(0, "answered 404")
    several.check(1, "answered 404")
    assert (several.serving(), several.rotation.panicking) == ([0, 1], True)
    assert not any(end.resting for end in several.ends)


def test_with_a_higher_threshold_panic_begins_earlier_and_with_none_never() -> None:
    early = Several(4, panic_threshold=50, health_check={"path": "/", "unhealthy_threshold": 1})
    early.check(0, "bad")
    early.check(1, "bad")
    assert early.serving() == [2, 3]
    early.check(2, "bad")
    assert early.serving() == [0, 1, 2, 3]
    never = Several(2, panic_threshold=0, health_check={"path": "/", "unhealthy_threshold": 1})
    never.check(0, "bad")
    never.check(1, "bad")
    assert never.serving() == []


def test_those_that_do_not_serve_are_the_last_resort_for_a_connection() -> None:
    several = Several(3)
    several.fail(0)
    orders = [several.rotation.order() for _ in range(20)]
    assert all(order[-1] is several.lanes[0] and len(order) == 3 for order in orders)


def test_one_that_failed_just_now_is_tried_last_of_all() -> None:
    several = Several(3)
    several.fail(1)
    assert all(several.rotation.order(several.lanes[0])[-1] is several.lanes[0] for _ in range(20))


class Named:
    """One target whose name is resolved by hand."""

    def __init__(self) -> None:
        model = Upstream.model_validate({"url": "https://api.example"})
        self.timers = Timers()
        (target,) = parse_targets(model)
        self.lane = Lane(target, model, resolve_by_system)
        self.rotation = Rotation(
            "tested", model, [self.lane], lambda *_, **__: None, time=self.timers.clock.monotonic, later=self.timers.later
        )

    def resolves(self, *ips: str) -> None:
        self.lane.addresses.known = ips
        self.rotation.moved(self.lane)

    def ends(self) -> dict[str, Endpoint]:
        return self.lane.endpoints


def test_the_log_tells_which_of_two_targets_on_one_machine_changed(caplog: pytest.LogCaptureFixture) -> None:
    ports = [f"http://127.0.0.1:{port}" for port in (9001, 9002)]
    several = Several(2, targets=ports)
    several.check(1, "health check: 503", 1)
    [record] = [vars(record) for record in caplog.records]
    assert (record["target"], record["address"], record["state"]) == (ports[1], "127.0.0.1", "unhealthy")


def test_each_address_of_a_name_is_ejected_by_itself() -> None:
    named = Named()
    assert list(named.ends()) == [UNKNOWN]
    named.resolves("192.0.2.1", "192.0.2.2")
    for _ in range(5):
        named.rotation.failed(named.ends()["192.0.2.1"], "broke")
    assert [end.state() for end in named.ends().values()] == ["ejected", "serving"]
    assert [end.ip for end in named.lane.candidates()] == ["192.0.2.2", "192.0.2.1"]


def test_new_connections_go_to_the_address_that_has_fewest() -> None:
    named = Named()
    named.resolves("192.0.2.1", "192.0.2.2", "192.0.2.3")
    named.ends()["192.0.2.1"].open = named.ends()["192.0.2.3"].open = 2
    assert named.lane.candidates()[0].ip == "192.0.2.2"


def test_a_changed_name_keeps_what_is_known_of_addresses_that_stay() -> None:
    named = Named()
    named.resolves("192.0.2.1", "192.0.2.2")
    old, stays = named.ends()["192.0.2.1"], named.ends()["192.0.2.2"]
    assert (old.weight, stays.weight) == (1, 1)  # at the beginning all are equal
    named.resolves("192.0.2.2", "192.0.2.3")
    assert named.ends()["192.0.2.2"] is stays
    assert (old.gone, old.resting, stays.resting) == (True, True, False)
    assert named.ends()["192.0.2.3"].weight < 1
    named.rotation.failed(old, "late")
    assert not old.ejected


def test_an_address_that_is_gone_comes_back_as_if_it_were_new() -> None:
    named = Named()
    named.resolves("192.0.2.1", "192.0.2.2")
    for _ in range(5):
        named.rotation.failed(named.ends()["192.0.2.1"], "broke")
    named.resolves("192.0.2.2")
    named.resolves("192.0.2.1", "192.0.2.2")
    named.timers.step(60)
    assert [end.state() for end in named.ends().values()] == ["serving", "serving"]
