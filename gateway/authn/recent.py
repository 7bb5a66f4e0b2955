"""A bounded map that forgets what was not asked for lately. No I/O, no clock."""

from typing import Generic, TypeVar, final

K = TypeVar("K")
V = TypeVar("V")


@final
class Recent(Generic[K, V]):
    """Two generations of half the bound each: when the young one is full, the old one is dropped and it takes its place.

    A look-up of a young entry is one dictionary access; an old entry that is asked for becomes young again.
    """

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, bound: int) -> None:
        self._half = max(bound // 2, 1)
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        found = self._young.get(key)
        if found is not None:
            return found
        found = self._old.pop(key, None)
        if found is not None:
            self.put(key, found)
        return found

    def put(self, key: K, value: V) -> None:
        if len(self._young) >= self._half and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def drop(self, key: K) -> None:
        self._young.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        self._young.clear()
        self._old.clear()

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())
