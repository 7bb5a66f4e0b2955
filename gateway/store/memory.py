"""Counters in this process: one bounded table for each quota, no locks, no awaits.

All times are whole microseconds of one monotonic clock, so a step of the wall clock neither frees nor blocks anybody.

Tables are bounded. A new key looks at the two oldest entries and drops what is idle; where the table is full, the oldest
entry leaves, except that entries which used up their quota get a second chance first. To win his own counter back an
attacker must therefore bring as many fresh keys as the table holds, each of which costs a request, within one window.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from gateway.store.quota import REFUSED, Quota, Taken

MAX_KEYS: Final = 100_000
SWEEP: Final = 2
CHANCES: Final = 8

State = TypeVar("State")


class Counter(Protocol):
    """One quota's counters, by key."""

    def take(self, key: str, now: int) -> Taken:
        """Take one unit; remaining is -1 when there is none, and then nothing was taken."""
        ...

    def give_back(self, key: str) -> None:
        """Undo the last `take` of this key, in the same instant."""
        ...


def make_room(
    states: OrderedDict[str, State], capacity: int, idle: Callable[[State], bool], spent: Callable[[State], bool]
) -> None:
    """Drop idle entries while looking at few, so that one more key fits into the table."""
    for _ in range(min(SWEEP, len(states))):
        key, state = next(iter(states.items()))
        if idle(state):
            del states[key]
        else:
            states.move_to_end(key)
    if len(states) < capacity:
        return
    for _ in range(CHANCES):
        key, state = next(iter(states.items()))
        if not spent(state):
            break
        states.move_to_end(key)
    states.popitem(last=False)


class Sliding:
    """`count` in any window, estimated: what the previous window held counts by the share of it still in sight."""

    __slots__ = ("_capacity", "_count", "_find", "_states", "_window")

    def __init__(self, quota: Quota, capacity: int = MAX_KEYS) -> None:
        self._count = quota.count
        self._window = quota.window
        self._capacity = capacity
        self._states: OrderedDict[str, list[int]] = OrderedDict()  # key -> [end of the window, previous count, current count]
        self._find = self._states.get

    def take(self, key: str, now: int) -> Taken:
        find = self._find
        state = find(key)
        if state is None:
            state = self._open(key, now)
        elif now >= state[0]:
            self._turn(state, now)
        end, previous, current = state
        left = end - 1 - now
        if not previous:
            if current >= self._count:
                return REFUSED, until(self._count - 1, 0, current, left, self._window)
            state[2] = current + 1
            return self._count - current - 1, left + 1
        used = previous * left // self._window + current
        if used >= self._count:
            return REFUSED, until(self._count - 1, previous, current, left, self._window)
        state[2] = current + 1
        return self._count - used - 1, until(used, previous, current + 1, left, self._window)

    def give_back(self, key: str) -> None:
        self._states[key][2] -= 1

    def _turn(self, state: list[int], now: int) -> None:
        """The next window, or a later one: windows are the same for all keys."""
        state[1] = state[2] if now < state[0] + self._window else 0
        state[2] = 0
        state[0] = now - now % self._window + self._window

    def _open(self, key: str, now: int) -> list[int]:
        count, window = self._count, self._window
        make_room(
            self._states,
            self._capacity,
            lambda state: state[0] + window <= now,
            lambda state: state[1] >= count or state[2] >= count,
        )
        state = self._states[key] = [now - now % window + window, 0, 0]
        return state


def until(target: int, previous: int, current: int, left: int, window: int) -> int:
    """Microseconds until a sliding count is at most `target`, if nothing more is taken; `left` is what remains of the window.

    The weighted count falls as `left` does, and the current window becomes the previous one where it ends. The count is above
    `target` now, so where `current` is not, `previous` is more than nothing.
    """
    if current <= target:
        return max(left - ((target - current + 1) * window - 1) // previous, 0)
    return left + window - min(((target + 1) * window - 1) // current, window - 1)


class Fixed:
    """`count` in a window that opens with a key's first request."""

    __slots__ = ("_capacity", "_count", "_find", "_states", "_window")

    def __init__(self, quota: Quota, capacity: int = MAX_KEYS) -> None:
        self._count = quota.count
        self._window = quota.window
        self._capacity = capacity
        self._states: OrderedDict[str, list[int]] = OrderedDict()  # key -> [end of the window, count]
        self._find = self._states.get

    def take(self, key: str, now: int) -> Taken:
        find = self._find
        state = find(key)
        if state is None:
            state = self._open(key, now)
        elif now >= state[0]:
            state[0] = now + self._window
            state[1] = 0
        if state[1] >= self._count:
            return REFUSED, state[0] - now
        state[1] += 1
        return self._count - state[1], state[0] - now

    def give_back(self, key: str) -> None:
        self._states[key][1] -= 1

    def _open(self, key: str, now: int) -> list[int]:
        count = self._count
        make_room(self._states, self._capacity, lambda state: state[0] <= now, lambda state: state[1] >= count)
        state = self._states[key] = [now + self._window, 0]
        return state


class Bucket:
    """`count` at once, one more every `window` microseconds: the generic cell rate algorithm (ITU-T I.371), one number a key."""

    __slots__ = ("_capacity", "_depth", "_find", "_interval", "_states")

    def __init__(self, quota: Quota, capacity: int = MAX_KEYS) -> None:
        self._interval = quota.window
        self._depth = quota.count * quota.window
        self._capacity = capacity
        self._states: OrderedDict[str, int] = OrderedDict()  # key -> when the bucket will be full again
        self._find = self._states.get

    def take(self, key: str, now: int) -> Taken:
        find = self._find
        full = find(key)
        if full is None:
            self._make_room(now)
            full = now
        elif full < now:
            full = now
        filled = full + self._interval - now
        if filled > self._depth:
            return REFUSED, filled - self._depth
        self._states[key] = full + self._interval
        remaining = (self._depth - filled) // self._interval
        return remaining, filled - self._depth + (remaining + 1) * self._interval

    def give_back(self, key: str) -> None:
        self._states[key] -= self._interval

    def _make_room(self, now: int) -> None:
        nearly = self._depth - self._interval
        make_room(self._states, self._capacity, lambda full: full <= now, lambda full: full - now > nearly)


class Paced:
    """A window and a pace together: both admit, or neither counts."""

    __slots__ = ("_pace", "_window")

    def __init__(self, window: Counter, pace: Counter) -> None:
        self._window = window
        self._pace = pace

    def take(self, key: str, now: int) -> Taken:
        window = self._window.take(key, now)
        pace = self._pace.take(key, now)
        taken = tighter(window, pace)
        if taken[0] == REFUSED:
            if window[0] != REFUSED:
                self._window.give_back(key)
            if pace[0] != REFUSED:
                self._pace.give_back(key)
        return taken

    def give_back(self, key: str) -> None:
        self._window.give_back(key)
        self._pace.give_back(key)


def tighter(one: Taken, other: Taken) -> Taken:
    """Of two quotas' answers the one that binds: fewer remaining, and of equals the longer wait."""
    if one[0] != other[0]:
        return one if one[0] < other[0] else other
    return one if one[1] >= other[1] else other


def build(quota: Quota, capacity: int = MAX_KEYS) -> Counter:
    """The counters of one quota."""
    match quota.algorithm:
        case "sliding":
            return Sliding(quota, capacity)
        case "fixed":
            return Fixed(quota, capacity)
        case "bucket":
            return Bucket(quota, capacity)
