"""What keeps failing is left alone for longer each time, and never for longer than was said."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.accrual import JITTER, Accrual


def test_only_failures_in_a_row_lead_to_a_pause() -> None:
    accrual = Accrual(3, 1, 10)
    assert [accrual.fail(), accrual.fail()] == [False, False]
    accrual.succeed()
    assert [accrual.fail(), accrual.fail(), accrual.fail()] == [False, False, True]


def test_after_a_pause_one_failure_is_enough_for_the_next() -> None:
    accrual = Accrual(3, 1, 10)
    accrual.pause(0)
    assert accrual.fail()


def test_pauses_grow_while_what_failed_keeps_failing() -> None:
    accrual = Accrual(1, 4, 60)
    now, pauses = 0.0, []
    for _ in range(6):
        seconds = accrual.pause(now)
        now += seconds  # and fails again at once
        pauses.append(seconds)
    for seconds, full in zip(pauses, [4, 8, 16, 32, 60, 60], strict=True):
        assert full * JITTER <= seconds <= full


def test_what_did_well_for_as_long_as_its_last_pause_begins_anew() -> None:
    accrual = Accrual(1, 4, 60)
    first = accrual.pause(0)
    second = accrual.pause(first)
    assert second > first
    assert accrual.pause(first + second + second + 0.1) <= 4


@given(
    st.floats(0.1, 1000),
    st.floats(0.1, 1000),
    st.lists(st.floats(0, 5000), max_size=60),
)
def test_a_pause_is_never_longer_than_the_longest_and_never_nothing(base: float, longest: float, gaps: list[float]) -> None:
    accrual = Accrual(1, base, longest)
    now = 0.0
    for gap in gaps:
        seconds = accrual.pause(now)
        assert 0 < min(base, longest) * JITTER <= seconds <= longest
        now += seconds + gap
