"""Counters in this process: exact edges, bounded tables."""

import limits
import limits.storage.memory
import limits.strategies
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.memory import MAX_KEYS, SWEEP, Bucket, Fixed, Paced, Sliding, build
from gateway.store.quota import REFUSED, Algorithm, Quota

SECOND = 1_000_000
MINUTE = 60 * SECOND


def quota(algorithm: Algorithm, count: int, window: int = MINUTE) -> Quota:
    return Quota("rule", algorithm, count, window)


def test_sliding_window_admits_its_count_and_refuses_the_next_until_the_wait_it_names() -> None:
    counter = Sliding(quota("sliding", 3))
    assert [counter.take("k", 0)[0] for _ in range(4)] == [2, 1, 0, REFUSED]
    _, wait = counter.take("k", 0)
    assert wait == MINUTE
    assert counter.take("k", wait - 1)[0] == REFUSED
    assert counter.take("k", wait)[0] >= 0


def test_sliding_window_does_not_admit_a_double_count_around_an_edge() -> None:
    counter = Sliding(quota("sliding", 10))
    before = sum(counter.take("k", MINUTE - 1)[0] >= 0 for _ in range(20))
    after = sum(counter.take("k", MINUTE + SECOND)[0] >= 0 for _ in range(20))
    assert (before, after) == (10, 1)


def test_sliding_window_forgets_a_window_that_is_two_windows_old() -> None:
    counter = Sliding(quota("sliding", 2))
    counter.take("k", 0)
    counter.take("k", 0)
    assert counter.take("k", 2 * MINUTE) == (1, MINUTE)


def test_fixed_window_opens_with_the_first_request_and_closes_exactly_a_window_later() -> None:
    counter = Fixed(quota("fixed", 2))
    start = 12_345_678
    assert counter.take("k", start) == (1, MINUTE)
    assert counter.take("k", start + 1) == (0, MINUTE - 1)
    assert counter.take("k", start + MINUTE - 1) == (REFUSED, 1)
    assert counter.take("k", start + MINUTE) == (1, MINUTE)


def test_bucket_admits_its_capacity_at_once_and_then_one_an_interval() -> None:
    counter = Bucket(quota("bucket", 3, SECOND))
    assert [counter.take("k", 0) for _ in range(4)] == [(2, SECOND), (1, SECOND), (0, SECOND), (REFUSED, SECOND)]
    assert counter.take("k", SECOND - 1) == (REFUSED, 1)
    assert counter.take("k", SECOND)[0] == 0
    assert counter.take("k", SECOND)[0] == REFUSED


def test_bucket_never_holds_more_than_its_capacity() -> None:
    counter = Bucket(quota("bucket", 3, SECOND))
    counter.take("k", 0)
    assert sum(counter.take("k", 3600 * SECOND)[0] >= 0 for _ in range(10)) == 3


def test_window_with_a_burst_admits_at_most_the_burst_at_once_and_the_count_in_the_window() -> None:
    counter = Paced(build(quota("fixed", 10, 10 * SECOND)), build(quota("bucket", 3, SECOND)))
    assert sum(counter.take("k", 0)[0] >= 0 for _ in range(20)) == 3
    admitted = 3 + sum(counter.take("k", tick * SECOND // 10)[0] >= 0 for tick in range(1, 100))
    assert admitted == 10


def test_refused_pace_leaves_the_window_as_it_was() -> None:
    window = Fixed(quota("fixed", 10))
    counter = Paced(window, Bucket(quota("bucket", 1, SECOND)))
    counter.take("k", 0)
    for _ in range(5):
        assert counter.take("k", 0)[0] == REFUSED
    assert window.take("k", 0)[0] == 8


def test_refused_window_leaves_the_pace_as_it_was() -> None:
    pace = Bucket(quota("bucket", 10, SECOND))
    counter = Paced(Fixed(quota("fixed", 1)), pace)
    counter.take("k", 0)
    for _ in range(5):
        assert counter.take("k", 0)[0] == REFUSED
    assert pace.take("k", 0)[0] == 8


@pytest.mark.parametrize("algorithm", ["sliding", "fixed", "bucket"])
def test_giving_back_undoes_a_take(algorithm: Algorithm) -> None:
    counter = build(quota(algorithm, 5))
    before = counter.take("k", 7)
    after = counter.take("k", 7)
    counter.give_back("k")
    assert counter.take("k", 7) == after
    assert before[0] == after[0] + 1


@pytest.mark.parametrize("algorithm", ["sliding", "fixed", "bucket"])
@given(
    count=st.integers(1, 8),
    steps=st.lists(st.integers(0, 40 * SECOND), max_size=60),
)
def test_waiting_as_told_is_enough_and_one_microsecond_less_is_not(algorithm: Algorithm, count: int, steps: list[int]) -> None:
    counter = build(quota(algorithm, count, MINUTE if algorithm != "bucket" else MINUTE // count))
    now = 1_000_000_007
    for step in steps:
        now += step
        remaining, wait = counter.take("k", now)
        assert wait > 0
        if remaining == REFUSED:
            assert counter.take("k", now + wait - 1)[0] == REFUSED
            now += wait
            assert counter.take("k", now)[0] >= 0


@pytest.mark.parametrize("algorithm", ["fixed", "bucket"])
@given(steps=st.lists(st.integers(0, 3 * SECOND), max_size=200))
def test_remaining_promises_exactly_what_comes(algorithm: Algorithm, steps: list[int]) -> None:
    counter = build(quota(algorithm, 5, 10 * SECOND if algorithm == "fixed" else 2 * SECOND))
    now = 0
    for step in steps:
        now += step
        remaining, _ = counter.take("k", now)
        if remaining > 0:
            assert counter.take("k", now)[0] == remaining - 1
        else:
            assert counter.take("k", now)[0] == REFUSED


class LibraryTime:
    """Stands in for the `time` module inside the `limits` library, our oracle."""

    def __init__(self) -> None:
        self.value = 0.0

    def time(self) -> float:
        return self.value


# Steps end on half a millisecond, and counts divide a minute: no moment falls where the library's floats and our integers
# could disagree by rounding.
BASE = 1_700_000_040


@pytest.mark.parametrize("algorithm", ["sliding", "fixed"])
@given(count=st.integers(1, 6), steps=st.lists(st.integers(0, 40_000), max_size=60))
def test_windows_admit_what_the_limits_library_admits(algorithm: Algorithm, count: int, steps: list[int]) -> None:
    assert BASE % 60 == 0
    time, library = LibraryTime(), vars(limits.storage.memory)
    real = library["time"]
    library["time"] = time
    try:
        storage = limits.storage.MemoryStorage()
        strategy = limits.strategies.SlidingWindowCounterRateLimiter if algorithm == "sliding" else None
        oracle = (strategy or limits.strategies.FixedWindowRateLimiter)(storage)
        item = limits.RateLimitItemPerMinute(count)
        counter = build(quota(algorithm, count))
        elapsed = 0
        for step in steps:
            elapsed += step
            micro = BASE * SECOND + elapsed * 1000 + 500
            time.value = micro / SECOND
            assert (counter.take("k", micro)[0] >= 0) == oracle.hit(item, "k"), (elapsed, steps)
    finally:
        storage.timer.cancel()
        library["time"] = real


@pytest.mark.parametrize("algorithm", ["sliding", "fixed", "bucket"])
def test_table_never_outgrows_its_capacity(algorithm: Algorithm) -> None:
    counter = build(quota(algorithm, 5), capacity=100)
    for index in range(5_000):
        counter.take(f"address-{index}", index)
    assert len(states(counter)) == 100


@pytest.mark.parametrize("algorithm", ["sliding", "fixed", "bucket"])
def test_idle_keys_leave_as_new_ones_come(algorithm: Algorithm) -> None:
    counter = build(quota(algorithm, 5), capacity=1_000)
    for index in range(900):
        counter.take(f"early-{index}", 0)
    for index in range(900 // SWEEP):
        counter.take(f"late-{index}", 3600 * SECOND)
    assert not [key for key in states(counter) if key.startswith("early-")]


@pytest.mark.parametrize("algorithm", ["sliding", "fixed", "bucket"])
def test_exhausted_counter_survives_a_flood_of_fresh_keys_that_fills_the_table(algorithm: Algorithm) -> None:
    counter = build(quota(algorithm, 2), capacity=50)
    while counter.take("attacker", 0)[0] >= 0:
        pass
    for index in range(500):
        counter.take(f"fresh-{index}", 0)
    assert counter.take("attacker", 0)[0] == REFUSED


def test_default_capacity_is_bounded() -> None:
    assert MAX_KEYS == 100_000


def states(counter: object) -> dict[str, object]:
    assert isinstance(counter, (Sliding, Fixed, Bucket))
    return dict(counter._states)
