"""Time zones, and hours of a week by the clock on the wall."""

import pytest

from gateway.authz.cel.calendar import Windows, within, zone
from gateway.authz.cel.values import Timestamp

BERLIN = "Europe/Berlin"


def inside(windows: str, moment: str, place: str = BERLIN) -> bool:
    return within(Timestamp.parse(moment), Windows(windows), zone(place))


@pytest.mark.parametrize(
    ("windows", "moment", "expected"),
    [
        ("Mon-Fri 09:00-17:00", "2026-06-01T07:00:00Z", True),  # Monday, 09:00 in Berlin
        ("Mon-Fri 09:00-17:00", "2026-06-01T06:59:59.999Z", False),
        ("Mon-Fri 09:00-17:00", "2026-06-01T14:59:59.999999999Z", True),
        ("Mon-Fri 09:00-17:00", "2026-06-01T15:00:00Z", False),
        ("Mon-Fri 09:00-17:00", "2026-06-06T10:00:00Z", False),  # Saturday
        ("Mon-Fri 09:00-17:00, Sat 10:00-12:00", "2026-06-06T09:00:00Z", True),
        ("Sat,Sun", "2026-06-07T21:59:59Z", True),
        ("Sat,Sun", "2026-06-07T22:00:00Z", False),  # Monday in Berlin
        ("Fri-Mon", "2026-06-01T10:00:00Z", True),
        ("Fri-Mon", "2026-06-02T10:00:00Z", False),
        ("22:00-06:00", "2026-06-01T21:00:00Z", True),
        ("22:00-06:00", "2026-06-01T03:59:00Z", True),
        ("22:00-06:00", "2026-06-01T04:00:00Z", False),
        ("Sun 22:00-06:00", "2026-06-01T03:00:00Z", True),  # Monday 05:00, of the window that began on Sunday
        ("Mon 22:00-06:00", "2026-06-01T03:00:00Z", False),
        ("Mon 00:00-24:00", "2026-06-01T21:59:00Z", True),
        ("  Mon-Fri   09:00-17:00 ", "2026-06-01T08:00:00Z", True),
        # The clock goes forward on 2026-03-29 at 02:00, to 03:00: half past two never comes.
        ("Sun 02:00-03:00", "2026-03-29T00:59:59Z", False),
        ("Sun 02:00-03:00", "2026-03-29T01:00:00Z", False),
        ("Sun 03:00-04:00", "2026-03-29T01:00:00Z", True),
        # It goes back on 2026-10-25 at 03:00, to 02:00: half past two comes twice.
        ("Sun 02:00-03:00", "2026-10-25T00:30:00Z", True),
        ("Sun 02:00-03:00", "2026-10-25T01:30:00Z", True),
        ("Sun 02:00-03:00", "2026-10-25T02:00:00Z", False),
    ],
)
def test_windows_go_by_the_clock_on_the_wall(windows: str, moment: str, expected: bool) -> None:
    assert inside(windows, moment) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mon-",
        "Montag",
        "mon",
        "9:00-17:00",
        "09:00",
        "09:00-09:00",
        "10:00-24:30",
        "25:00-26:00",
        "Mon09:00-10:00",
        "Mon-Fri-Sat",
        "Mon,",
        "*",
        "Mon," * 40 + "Mon",
    ],
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Windows(text)


@pytest.mark.parametrize(
    ("place", "hour"), [("UTC", 12), ("+02:00", 14), ("-09:30", 2), ("02:00", 14), ("Asia/Kathmandu", 17), ("America/New_York", 8)]
)
def test_a_zone_is_a_name_or_an_offset(place: str, hour: int) -> None:
    assert inside(f"{hour:02}:00-{hour + 1:02}:00", "2026-06-01T12:00:00Z", place)


@pytest.mark.parametrize(
    "place",
    [
        "",
        "Berlin",
        "+2:00",
        "+24:00",
        "../etc/passwd",
        "/etc/localtime",
        "Europe//Berlin",
        "Europe/Berlin\0",
        "posixrules/..",
        "+02:60",
    ],
)
def test_what_is_no_zone_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match="zone"):
        zone(place)
