"""What a counter store is asked to count: one quota, and the protocol of a store that several processes share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Algorithm = Literal["sliding", "fixed", "bucket"]
Taken = tuple[int, int]
"""What one unit's taking left: (remaining units, microseconds until one more). Remaining is -1 where it was refused."""

REFUSED = -1


@dataclass(frozen=True, slots=True)
class Quota:
    """One quantity that is counted per key, in whole microseconds so that no edge depends on rounding.

    sliding: `count` in any `window`, estimated by weighting the previous window (windows aligned to the store's clock).
    fixed:   `count` in a `window` that opens with the key's first request.
    bucket:  `count` at once, one more every `window` microseconds (GCRA).
    """

    name: str
    algorithm: Algorithm
    count: int
    window: int


class SharedCounters(Protocol):
    """Counters outside this process."""

    async def spend(self, quotas: Sequence[Quota], keys: Sequence[str]) -> list[Taken]:
        """Take one unit of every quota for its key, or of none if one refuses. Raises DependencyDown.

        Remaining is what is left afterwards, so where one quota refused, the others show what they had before.
        """
        ...
