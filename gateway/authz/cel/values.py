"""Moments, which Python has no type for that is fine enough. Immutable; they compare only with their own kind."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NANOSECONDS: Final = 1_000_000_000
FIRST_SECOND: Final = -62_135_596_800
LAST_SECOND: Final = 253_402_300_799
RFC3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A moment, in nanoseconds since 1970-01-01T00:00:00Z."""

    nanoseconds: int

    @classmethod
    def of(cls, seconds: float) -> "Timestamp":
        """From Unix time. Raises ValueError outside the years 1 to 9999, as the CEL specification bounds timestamps."""
        if not FIRST_SECOND <= seconds < LAST_SECOND + 1:
            raise ValueError("a timestamp is in the years 1 to 9999")
        return cls(int(seconds * NANOSECONDS))

    @classmethod
    def parse(cls, text: str) -> "Timestamp":
        """From RFC 3339 text. Raises ValueError."""
        found = RFC3339.fullmatch(text)
        if found is None:
            raise ValueError("a timestamp is written like 2026-11-21T10:58:00Z")
        offset = "+00:00" if found[3] == "Z" else found[3]
        moment = datetime.fromisoformat(found[1] + offset)
        seconds = (moment - EPOCH) // timedelta(seconds=1)
        if not FIRST_SECOND <= seconds <= LAST_SECOND:
            raise ValueError("a timestamp is in the years 1 to 9999")
        return cls(seconds * NANOSECONDS + int((found[2] or "0").ljust(9, "0")))

    def __str__(self) -> str:
        seconds, fraction = divmod(self.nanoseconds, NANOSECONDS)
        text = (EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()
        return f"{text}.{fraction:09d}Z" if fraction else f"{text}Z"
