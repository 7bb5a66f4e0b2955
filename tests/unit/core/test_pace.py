"""The time a client has left: what it gives buys more, and only while it is waited for does it pass."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.pace import Pace

SECONDS = st.floats(min_value=0, max_value=100)


def test_at_first_there_is_the_grace() -> None:
    assert Pace(240, 5.0, 30.0).wait(100.0) == 105.0


def test_waiting_on_moves_nothing() -> None:
    pace = Pace(240, 5.0, 30.0)
    assert [pace.wait(now) for now in (100.0, 101.0, 104.0)] == [105.0] * 3


def test_each_byte_buys_its_share_of_a_second() -> None:
    pace = Pace(240, 5.0, 30.0)
    pace.wait(100.0)
    pace.gave(480, 103.0)
    assert pace.wait(103.0) == 103.0 + 2.0 + 2.0


def test_nobody_can_save_up_more_than_the_longest_pause() -> None:
    pace = Pace(240, 5.0, 30.0)
    pace.gave(1 << 30, 100.0)
    assert pace.wait(100.0) == 130.0


def test_time_does_not_pass_while_nobody_waits() -> None:
    pace = Pace(240, 5.0, 30.0)
    pace.wait(100.0)
    pace.gave(240, 101.0)
    assert pace.wait(500.0) == 500.0 + 5.0


def test_the_grace_is_no_longer_than_the_longest_pause() -> None:
    assert Pace(240, 5.0, 0.5).wait(0.0) == 0.5


def test_without_a_rate_any_byte_buys_the_longest_pause() -> None:
    pace = Pace(0, 5.0, 30.0)
    assert pace.wait(100.0) == 130.0
    pace.gave(1, 129.0)
    assert pace.wait(129.0) == 159.0


@given(st.integers(1, 10_000), SECONDS, SECONDS, st.lists(st.tuples(st.integers(0, 5000), SECONDS), max_size=20))
def test_over_any_time_a_client_gives_at_least_the_rate_but_for_one_pause(
    rate: int, grace: float, most: float, steps: list[tuple[int, float]]
) -> None:
    pace, now, given_bytes = Pace(rate, grace, most), 0.0, 0
    for size, seconds in steps:
        if pace.wait(now) < now + seconds:
            break
        now += seconds
        pace.gave(size, now)
        given_bytes += size
    assert now <= given_bytes / rate + min(grace, most) + 1e-6
