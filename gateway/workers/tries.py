"""How soon a place is filled again, and when it is in vain."""

from typing import Final

SETTLED: Final = 60.0
"""Seconds after which a worker that dies had a life of its own: its death tells nothing of the next one's."""
PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds of rest by how many ended in a place young, one after the other."""
GIVE_UP: Final = 5
"""Starts in vain, one after the other and with nobody serving, after which the gateway ends."""
FAILED: Final = 1
BAD_CONFIGURATION: Final = 78


class Tries:
    """What became of workers, by place."""

    def __init__(self, count: int) -> None:
        self._young = [0] * count
        self._refused = [False] * count
        self._in_vain = 0

    def pause(self, slot: int) -> float:
        """Seconds until the next try."""
        return PAUSES[min(self._young[slot], len(PAUSES) - 1)]

    def serves(self) -> None:
        """One came up."""
        self._in_vain = 0

    def ended(self, slot: int, age: float, *, by_itself: bool) -> None:
        """One that served is gone, so many seconds after its start; `by_itself`: nobody told it to go."""
        self._young[slot] = self._young[slot] + 1 if by_itself and age < SETTLED else 0

    def failed(self, slot: int) -> None:
        """One did not come up."""
        self._young[slot] += 1
        self._in_vain += 1

    def refused(self, slot: int) -> None:
        """One cannot use the configuration: no further try before there is another."""
        self._refused[slot] = True

    def again(self) -> list[int]:
        """There is another configuration: the places that waited for it."""
        waiting = [slot for slot, refused in enumerate(self._refused) if refused]
        self._refused = [False] * len(self._refused)
        return waiting

    @property
    def verdict(self) -> int | None:
        """Where nobody serves: the exit code to give up with, None while there is hope."""
        if all(self._refused):
            return BAD_CONFIGURATION
        return FAILED if self._in_vain >= GIVE_UP else None
