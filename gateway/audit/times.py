"""Instants and durations as the lines of the audit trail write them."""

from datetime import UTC, datetime
from typing import Final

FRACTIONS: Final = tuple(f".{number:03d}Z" for number in range(1000))
THOUSANDTHS: Final = tuple(str(number / 1000)[1:] for number in range(1000))


class Stamp:
    """Unix seconds as RFC 3339 in UTC with milliseconds. Remembers the last second, so most calls format nothing."""

    __slots__ = ("_prefix", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def text(self, time: float) -> str:
        """The instant, written out."""
        second = int(time)
        if second != self._second:
            self._prefix = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
            self._second = second
        return self._prefix + FRACTIONS[int((time - second) * 1000)]


def milliseconds(micro: int) -> str:
    """Microseconds as JSON writes their thousandth part, without a float, whose shortest form has to be searched for."""
    return f"{micro // 1000}{THOUSANDTHS[micro % 1000]}"
