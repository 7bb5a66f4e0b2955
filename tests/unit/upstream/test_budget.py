"""Retries stay a fifth of what is answered, however they are asked for."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.budget import RESERVE, Budget
from gateway.upstream.model import RetryBudget
from tests.fakes import SteppedClock


def test_a_fifth_of_the_answered_requests_may_be_sent_again() -> None:
    budget = Budget(RetryBudget(min_retries_per_second=0), 100, SteppedClock().monotonic)
    assert not budget.spend(0)
    assert sum(budget.spend(50) for _ in range(50)) == 10
    assert sum(budget.spend(60) for _ in range(50)) == 2


def test_where_there_are_few_requests_a_few_retries_pass_all_the_same() -> None:
    clock = SteppedClock()
    budget = Budget(RetryBudget(min_retries_per_second=2), 100, clock.monotonic)
    assert sum(budget.spend(0) for _ in range(50)) == 2 * RESERVE
    clock.step(3)
    assert sum(budget.spend(0) for _ in range(50)) == 6


def test_a_long_quiet_time_does_not_fill_the_bucket_beyond_its_rim() -> None:
    clock = SteppedClock()
    budget = Budget(RetryBudget(), 10, clock.monotonic)
    clock.step(86400)
    assert sum(budget.spend(1_000_000) for _ in range(50)) == 10


@given(
    st.integers(0, 20),
    st.integers(0, 100),
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 5)), max_size=200),
)
def test_over_any_time_retries_stay_within_the_share_the_rate_and_one_bucket(
    percent: int, rate: int, most: int, turns: list[tuple[int, float]]
) -> None:
    clock = SteppedClock()
    budget = Budget(RetryBudget(budget_percent=percent, min_retries_per_second=rate), most, clock.monotonic)
    answered, passed, retries = 0, 0.0, 0
    for more, seconds in turns:
        clock.step(seconds)
        answered, passed = answered + more, passed + seconds
        retries += sum(budget.spend(answered) for _ in range(3))
        assert retries <= most + answered * percent / 100 + passed * rate + 1e-6
