"""Moments and spans of time, which Python has no types for that are fine enough. They compare with their own kind.

Nobody changes one; they are not frozen because making one is part of asking many conditions, and that costs twice as much.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NANOSECONDS: Final = 1_000_000_000
FIRST_SECOND: Final = -62_135_596_800
LAST_SECOND: Final = 253_402_300_799
MAX_NANOSECONDS: Final = 2**63 - 1
RFC3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
AMOUNT: Final = r"(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:h|ms|m|s|us|ns)"
SPAN: Final = re.compile(rf"([+-]?)((?:{AMOUNT}){{1,16}}|0)", re.ASCII)
PART: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?(h|ms|m|s|us|ns)", re.ASCII)
UNITS: Final = {"h": 3600 * NANOSECONDS, "m": 60 * NANOSECONDS, "s": NANOSECONDS, "ms": 1_000_000, "us": 1_000, "ns": 1}


@dataclass(slots=True, unsafe_hash=True)
class Timestamp:
    """A moment, in nanoseconds since 1970-01-01T00:00:00Z."""

    nanoseconds: int

    def __lt__(self, other: "Timestamp") -> bool:
        return self.nanoseconds < other.nanoseconds

    def __le__(self, other: "Timestamp") -> bool:
        return self.nanoseconds <= other.nanoseconds

    @classmethod
    def of(cls, seconds: float) -> "Timestamp":
        """From Unix time. Raises ValueError outside the years 1 to 9999, as the CEL specification bounds timestamps."""
        if not FIRST_SECOND <= seconds < LAST_SECOND + 1:
            raise ValueError("a timestamp is in the years 1 to 9999")
        return cls(int(seconds * NANOSECONDS))

    @classmethod
    def at(cls, nanoseconds: int) -> "Timestamp":
        """From nanoseconds. Raises ValueError outside the years 1 to 9999."""
        if not FIRST_SECOND * NANOSECONDS <= nanoseconds < (LAST_SECOND + 1) * NANOSECONDS:
            raise ValueError("a timestamp is in the years 1 to 9999")
        return cls(nanoseconds)

    @classmethod
    def parse(cls, text: str) -> "Timestamp":
        """From RFC 3339 text. Raises ValueError."""
        found = RFC3339.fullmatch(text)
        if found is None:
            raise ValueError("a timestamp is written like 2026-11-21T10:58:00Z")
        offset = "+00:00" if found[3] == "Z" else found[3]
        moment = datetime.fromisoformat(found[1] + offset)
        seconds = (moment - EPOCH) // timedelta(seconds=1)
        return cls.at(seconds * NANOSECONDS + int((found[2] or "0").ljust(9, "0")))

    def __str__(self) -> str:
        seconds, fraction = divmod(self.nanoseconds, NANOSECONDS)
        text = (EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()
        return f"{text}.{fraction:09d}Z" if fraction else f"{text}Z"


@dataclass(slots=True, unsafe_hash=True)
class Duration:
    """A span of time, in nanoseconds."""

    nanoseconds: int

    def __lt__(self, other: "Duration") -> bool:
        return self.nanoseconds < other.nanoseconds

    def __le__(self, other: "Duration") -> bool:
        return self.nanoseconds <= other.nanoseconds

    @classmethod
    def at(cls, nanoseconds: int) -> "Duration":
        """Raises ValueError for what does not fit in 64 bits, about 292 years."""
        if not -MAX_NANOSECONDS - 1 <= nanoseconds <= MAX_NANOSECONDS:
            raise ValueError("a duration is 292 years at most")
        return cls(nanoseconds)

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """From numbers with units, `1h30m`, `-1.5s`. Raises ValueError, also for what is finer than a nanosecond."""
        found = SPAN.fullmatch(text)
        if found is None:
            raise ValueError("a duration is written like 300s, 1h30m or 1.5s, in h, m, s, ms, us, ns")
        total = sum(_nanoseconds(*part) for part in PART.findall(found[2]))
        return cls.at(-total if found[1] == "-" else total)

    def __str__(self) -> str:
        seconds, fraction = divmod(abs(self.nanoseconds), NANOSECONDS)
        text = f"{seconds}.{fraction:09d}".rstrip("0") if fraction else f"{seconds}"
        return f"{'-' if self.nanoseconds < 0 else ''}{text}s"


def _nanoseconds(whole: str, fraction: str, unit: str) -> int:
    scaled = int((whole or "0") + fraction) * UNITS[unit]
    nanoseconds, rest = divmod(scaled, 10 ** len(fraction))
    if rest:
        raise ValueError("a duration is not finer than a nanosecond")
    return int(nanoseconds)


_NAMES: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "a bool",
    int: "an int",
    float: "a double",
    str: "a string",
    list: "a list",
    tuple: "a list",
    dict: "a map",
    Timestamp: "a timestamp",
    Duration: "a duration",
}


def named(value: Any) -> str:
    """The kind of a value, in words, for an error: never the value itself."""
    return _NAMES.get(type(value), "a map" if isinstance(value, Mapping) else "a value of another kind")
