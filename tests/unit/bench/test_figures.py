"""Medians and ratios of repeated measurements."""

from hypothesis import given
from hypothesis import strategies as st

from bench.figures import median, percentile, ratio, spread


def test_ratios_are_taken_round_by_round() -> None:
    """A round in which the whole machine was slow halves both, and the ratio stays."""
    ours = [{"rps": 50.0}, {"rps": 25.0}, {"rps": 52.0}]
    theirs = [{"rps": 100.0}, {"rps": 50.0}, {"rps": 104.0}]
    assert ratio(ours, theirs, "rps") == 0.5


def test_what_was_not_measured_has_no_figure() -> None:
    assert median([], "rps") is None
    assert median([{"other": 1.0}], "rps") is None
    assert ratio([{"rps": 1.0}], [], "rps") is None
    assert ratio([{"rps": 1.0}], [{"rps": 0.0}], "rps") is None
    assert spread([], "rps") is None


def test_the_spread_is_the_widest_deviation_from_the_median() -> None:
    assert spread([{"rps": 90.0}, {"rps": 100.0}, {"rps": 130.0}], "rps") == 0.3


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (50.0, 99.0, 100.0)


@given(st.lists(st.floats(0, 1e9), min_size=1), st.sampled_from([0.0, 0.5, 0.99, 1.0]))
def test_at_least_the_share_does_not_exceed_the_percentile(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
