"""Moments and networks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.cel.errors import EvaluationError
from gateway.authz.cel.values import Network, Timestamp


@pytest.mark.parametrize(
    ("network", "address", "inside"),
    [
        ("10.0.0.0/8", "10.255.255.255", True),
        ("10.0.0.0/8", "11.0.0.0", False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:0a01:0203", True),
        ("10.0.0.0/8", "::10.1.2.3", False),
        ("::ffff:10.0.0.0/104", "10.1.2.3", True),
        ("0.0.0.0/0", "::1", False),
        ("::/0", "10.0.0.1", False),
        ("2001:db8::/32", "2001:DB8::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("203.0.113.9/32", "203.0.113.9", True),
    ],
)
def test_a_network_contains_the_addresses_of_its_own_family(network: str, address: str, inside: bool) -> None:
    assert Network(network).contains(address) is inside


@pytest.mark.parametrize(
    "address",
    ["", "10.1", "010.0.0.1", "0x0a000001", "10.0.0.1 ", "10.0.0.1/32", "fe80::1%eth0", "10.0.0.1\0", "\u0661.0.0.1", "\ud800"],
)
def test_what_is_no_address_is_an_error_and_not_outside(address: str) -> None:
    with pytest.raises(EvaluationError):
        Network("10.0.0.0/8").contains(address)


@pytest.mark.parametrize(
    "text", ["10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "010.0.0.0/8", "::/129", "", "/", "10.0.0.0/8 ", "fe80::%1/64", "10.0.0.0/-1"]
)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Network(text)


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


def test_networks_are_equal_by_their_range() -> None:
    assert Network("10.0.0.0/8") == Network("::ffff:10.0.0.0/104")
    assert Network("10.0.0.0/8") != Network("10.0.0.0/9")
    assert len({Network("10.0.0.0/8"), Network("::ffff:10.0.0.0/104")}) == 1
