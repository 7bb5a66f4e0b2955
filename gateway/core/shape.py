"""The names of a message's header fields, apart from their values.

Servers say much the same each time: the names and their order seldom change, only values do. What follows from the names
alone (what to drop, what to add, how it is written) is therefore concluded once for a shape, and values are merely picked.
"""

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Final, TypeVar

Values = tuple[bytes, ...]
K = TypeVar("K")
V = TypeVar("V")

MOST: Final = 256
"""Entries of a table: what comes from strangers is bounded, in number and, by the next two, in size."""
MOST_NAMES: Final = 64
LONGEST: Final = 1024
"""Bytes of all names of a shape together, for it to be kept."""


class Shape:
    """Names in their order, lower case. There is mostly one object for equal names, so that tables can be keyed by it.

    `kept` is false for a shape too large to be kept: what is concluded from it serves one message.
    """

    __slots__ = ("kept", "names", "present")

    def __init__(self, names: Values) -> None:
        self.names = names
        self.present = frozenset(names)
        self.kept = is_kept(names)


class Selection:
    """Some of a shape's fields: their own shape, and what picks their values; `pick` is None where it is all of them."""

    __slots__ = ("pick", "shape")

    def __init__(self, shape: Shape, keep: Callable[[bytes], bool]) -> None:
        places = [place for place, name in enumerate(shape.names) if keep(name)]
        self.shape = shape_of(tuple([shape.names[place] for place in places]))
        self.pick = None if len(places) == len(shape.names) else picker(places)


SHAPES: Final[dict[Values, Shape]] = {}
SENT: Final[dict[Values, Shape]] = {}


def shape_of(names: Values) -> Shape:
    """The shape with these names, which are in lower case."""
    return SHAPES.get(names) or keep(SHAPES, names, Shape(names))


def shape_as_sent(names: Values) -> Shape:
    """The shape with these names, in whatever case they came."""
    return SENT.get(names) or keep(SENT, names, shape_of(tuple([name.lower() for name in names])))


def split(fields: Iterable[tuple[bytes, bytes]]) -> tuple[Shape, Values]:
    """Fields as their shape and their values."""
    pairs = list(fields)
    return shape_of(tuple([name for name, _ in pairs])), tuple([value for _, value in pairs])


def picker(places: list[int]) -> Callable[[Values], Values]:
    """What picks the values at these places."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple([values[place] for place in places])


def is_kept(names: Values) -> bool:
    """Whether a shape with these names is small enough to be kept."""
    return len(names) <= MOST_NAMES and sum(map(len, names)) <= LONGEST


def keep(table: dict[Values, Shape], names: Values, shape: Shape) -> Shape:
    """Keep a shape, if it may be."""
    return remember(table, names, shape) if shape.kept else shape


def conclude(table: dict[Shape, V], shape: Shape, conclusion: V) -> V:
    """Keep what was concluded from a shape, if the shape is kept."""
    return remember(table, shape, conclusion) if shape.kept else conclusion


def remember(table: dict[K, V], key: K, value: V) -> V:
    """Keep a value in a bounded table, which starts anew when it is full."""
    if len(table) >= MOST:
        table.clear()
    table[key] = value
    return value
