"""Moments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.cel.values import Timestamp


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
        ("9999-12-31T23:59:59Z", 253_402_300_799 * 10**9),
        ("0001-01-01T00:00:00Z", -62_135_596_800 * 10**9),
    ],
)
def test_a_timestamp_is_read_to_the_nanosecond(text: str, nanoseconds: int) -> None:
    assert Timestamp.parse(text).nanoseconds == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-13-01T00:00:00Z",
        "2026-01-01T00:00:60Z",
        "2026-01-01 00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00.Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-00:01",
        "2026-01-01T00:00:00z",
        "",
    ],
)
def test_what_is_no_rfc_3339_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"timestamp|must be in|range"):
        Timestamp.parse(text)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_a_value_error(text: str) -> None:
    try:
        Timestamp.parse(text)
    except ValueError:
        return


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_a_timestamp_is_shown_as_it_is_read(seconds: int) -> None:
    assert Timestamp.parse(str(Timestamp.of(seconds))) == Timestamp.of(seconds)


@pytest.mark.parametrize("seconds", [253_402_300_800, -62_135_596_801, float("nan"), float("inf")])
def test_times_outside_the_calendar_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="years 1 to 9999"):
        Timestamp.of(seconds)
