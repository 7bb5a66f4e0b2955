"""Parts of moments and durations, in a time zone; and `within()`, the hours of a week.

Zones are literals, looked up at load: a name of the IANA time zone database, or an offset like +02:00.
"""

import re
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.authz.cel.errors import EvaluationError
from gateway.authz.cel.values import NANOSECONDS, Duration, Timestamp

OFFSET: Final = re.compile(r"([+-]?)([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
ZONE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
DAYS: Final = {"Mon": 0, "Tue": 1, "Wed": 2, "Thu": 3, "Fri": 4, "Sat": 5, "Sun": 6}
DAY: Final = 24 * 60
WEEK: Final = 7 * DAY
MAX_WINDOWS: Final = 32
WINDOW: Final = re.compile(
    r"(?:(Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:-(Mon|Tue|Wed|Thu|Fri|Sat|Sun))?)?"
    r"(?:(?:^|(?<=[a-z]) )([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9]))?",
    re.ASCII,
)


def zone(name: str) -> tzinfo:
    """The zone of a name or offset. Raises ValueError."""
    if found := OFFSET.fullmatch(name):
        minutes = int(found[2]) * 60 + int(found[3])
        return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))
    if not ZONE.fullmatch(name):
        raise ValueError(f"{name!r} is no time zone: write a name like 'Europe/Berlin' or an offset like '+02:00'")
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        hint = "" if _has_zones() else "; this machine has no time zone database: install the package tzdata"
        raise ValueError(f"unknown time zone {name!r}{hint}") from error


def _has_zones() -> bool:
    try:
        ZoneInfo("Europe/Berlin")
    except (ZoneInfoNotFoundError, OSError):
        return False
    return True


def _local(value: Timestamp, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(value.nanoseconds // NANOSECONDS, zone)


FIELDS: Final[dict[str, Callable[[datetime], int]]] = {
    "getFullYear": lambda local: local.year,
    "getMonth": lambda local: local.month - 1,
    "getDate": lambda local: local.day,
    "getDayOfMonth": lambda local: local.day - 1,
    "getDayOfWeek": lambda local: local.isoweekday() % 7,
    "getDayOfYear": lambda local: local.timetuple().tm_yday - 1,
    "getHours": lambda local: local.hour,
    "getMinutes": lambda local: local.minute,
    "getSeconds": lambda local: local.second,
}
SPANS: Final = {"getHours": 3600 * NANOSECONDS, "getMinutes": 60 * NANOSECONDS, "getSeconds": NANOSECONDS}


def accessor(name: str) -> Callable[..., int]:
    """`value.getHours()` and its like: of a moment in a zone, UTC unless told; of a duration the whole of it in that unit."""
    return _milliseconds if name == "getMilliseconds" else partial(_field, FIELDS[name], SPANS.get(name))


def _field(read: Callable[[datetime], int], unit: int | None, value: Any, zone: tzinfo = UTC) -> int:
    if isinstance(value, Timestamp):
        return read(_local(value, zone))
    if isinstance(value, Duration) and unit:
        return _toward_zero(value.nanoseconds, unit)
    raise EvaluationError("not a timestamp")


def _milliseconds(value: Any, _zone: tzinfo = UTC) -> int:
    """The part below a second, also of a duration."""
    if isinstance(value, Timestamp):
        return value.nanoseconds % NANOSECONDS // 1_000_000
    if isinstance(value, Duration):
        whole = _toward_zero(value.nanoseconds, 1_000_000)
        return whole - 1000 * _toward_zero(whole, 1000)
    raise EvaluationError("not a timestamp")


def _toward_zero(value: int, unit: int) -> int:
    return value // unit if value >= 0 else -(-value // unit)


class Windows:
    """Hours of a week, by the clock on the wall: `Mon-Fri 09:00-17:00, Sat 22:00-02:00, Sun`."""

    __slots__ = ("_ends", "_starts", "source")

    def __init__(self, text: str) -> None:
        """A window that ends before it starts runs over midnight and belongs to the day it starts on. Raises ValueError."""
        self.source = text
        parts = [" ".join(part.split()) for part in text.split(",")]
        if len(parts) > MAX_WINDOWS:
            raise ValueError(f"there may be {MAX_WINDOWS} windows")
        minutes = sorted(found for part in parts for found in _ranges(part))
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in minutes:
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def __repr__(self) -> str:
        return f"Windows({self.source!r})"

    def hold(self, local: datetime) -> bool:
        """Whether a local time lies in one of them: from the first minute to before the last."""
        minute = local.weekday() * DAY + local.hour * 60 + local.minute
        place = bisect_right(self._starts, minute) - 1
        return place >= 0 and minute < self._ends[place]


def _ranges(part: str) -> list[tuple[int, int]]:
    """Minutes of the week from Monday 00:00, each start with its end."""
    found = WINDOW.fullmatch(part)
    if found is None or not part:
        raise ValueError(f"{part!r} is no window: write 'Mon-Fri 09:00-17:00', 'Sat' or '22:00-06:00', with commas between")
    start, end = (0, DAY) if found[3] is None else (int(found[3]) * 60 + int(found[4]), int(found[5]) * 60 + int(found[6]))
    if start == end or end > DAY:
        raise ValueError(f"{part!r} has no length, or ends after 24:00")
    length = end - start if end > start else end + DAY - start
    return [piece for day in _days(found[1], found[2]) for piece in _wrapped(day * DAY + start, length)]


def _days(first: str | None, last: str | None) -> list[int]:
    if first is None:
        return list(range(7))
    start = DAYS[first]
    return [(start + number) % 7 for number in range((DAYS[last or first] - start) % 7 + 1)]


def _wrapped(start: int, length: int) -> list[tuple[int, int]]:
    """A range that may run over the end of the week."""
    end = start + length
    return [(start, end)] if end <= WEEK else [(start, WEEK), (0, end - WEEK)]


def within(value: Any, windows: Windows, zone: tzinfo) -> bool:
    """`within(env.now, 'Mon-Fri 09:00-17:00', 'Europe/Berlin')`."""
    if not isinstance(value, Timestamp):
        raise EvaluationError("not a timestamp")
    return windows.hold(_local(value, zone))
