"""Failures that are remembered: who failed, when, and against whom. Bounded, and not emptied by a flood of others."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

MOST_MARKS: Final = 65_536
"""Failures that one ledger remembers at most: some 16 MB."""
MOST_PROVED: Final = 64
Mark = tuple[float, str]
"""When (monotonic seconds), and the other side: the identity an address tried, or the address that tried an identity."""


class Entry:
    """What one address did, or was done to one identity, within the window: the last failures, oldest first.

    `strikes` counts the delays so far. `proved` are the addresses from which an identity succeeded since somebody failed for it.
    `told` is whether operators know.
    """

    __slots__ = ("marks", "proved", "strikes", "told")

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.proved: OrderedDict[str, None] = OrderedDict()
        self.strikes = 0
        self.told = False

    def reaches(self, threshold: int, since: float) -> bool:
        """Whether it failed `threshold` times from then on."""
        marks = self.marks
        return len(marks) >= threshold and marks[-threshold][0] >= since

    def prove(self, address: str) -> None:
        """An identity succeeded from there. Of MOST_PROVED addresses the one that was silent longest is forgotten."""
        self.proved[address] = None
        self.proved.move_to_end(address)
        if len(self.proved) > MOST_PROVED:
            self.proved.popitem(last=False)


class Ledger:
    """Entries by key: addresses or identities. `entries` is the same dictionary for ever, empty where nobody failed.

    Where it is full, the entry with the fewest failures leaves, of equals the one that has been quiet longest. Who failed n times
    is therefore forgotten only for as many others, who each failed n times, as there is room for.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._begin(1, 0.0)

    def adopt(self, most: int, window: float) -> None:
        """Remember the last `most` failures of each within `window` seconds. Other numbers than before: begin anew."""
        if (most, window) != (self.most, self.window):
            self.entries.clear()
            self._begin(most, window)

    def _begin(self, most: int, window: float) -> None:
        self.most, self.window = most, window
        self.capacity = MOST_MARKS // most
        self._levels: list[OrderedDict[str, None]] = [OrderedDict() for _ in range(most + 1)]

    def add(self, key: str, other: str, now: float) -> tuple[Entry, bool]:
        """Note a failure; its entry, and whether another had to leave for it."""
        entry, left = self.entries.get(key), False
        if entry is None:
            left = self._make_room()
            entry = self.entries[key] = Entry()
        else:
            del self._levels[len(entry.marks)][key]
        since = now - self.window
        entry.marks = [mark for mark in (*entry.marks, (now, other))[-self.most :] if mark[0] >= since]
        self._levels[len(entry.marks)][key] = None
        return entry, left

    def forgive(self, key: str, other: str) -> None:
        """Take the failures against `other` out of an entry: it has succeeded there."""
        entry = self.entries.get(key)
        if entry is None or not any(mark[1] == other for mark in entry.marks):
            return
        del self._levels[len(entry.marks)][key]
        entry.marks = [mark for mark in entry.marks if mark[1] != other]
        if entry.marks:
            self._levels[len(entry.marks)][key] = None
        else:
            del self.entries[key]

    def drop(self, key: str) -> bool:
        """Forget an entry; whether there was one."""
        entry = self.entries.pop(key, None)
        if entry is not None:
            del self._levels[len(entry.marks)][key]
        return entry is not None

    def sweep(self, now: float) -> None:
        """Forget everybody who has been quiet for a window."""
        for key in list(self._quiet(now - self.window)):
            self.drop(key)

    def _make_room(self) -> bool:
        if len(self.entries) < self.capacity:
            return False
        level = next(level for level in self._levels if level)
        self.drop(next(iter(level)))
        return True

    def _quiet(self, since: float) -> Iterator[str]:
        """Each level is in the order of the last failures, but for entries that were forgiven one."""
        for level in self._levels:
            for key in level:
                if self.entries[key].marks[-1][0] >= since:
                    break
                yield key
