"""The syntax tree: what was written, before names and types are known.

Each node keeps its place in the source as (start, end) and the depth of the tree below it, so that the depth limit holds
for chains as well as for parentheses.
"""

from collections.abc import Iterator
from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, string, bool or null."""

    span: Span
    value: int | float | str | bool | None
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier."""

    span: Span
    name: str
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`."""

    span: Span
    depth: int
    operand: "Node"
    field: str
    place: int


@dataclass(frozen=True, slots=True)
class Index:
    """`operand[key]`."""

    span: Span
    depth: int
    operand: "Node"
    key: "Node"


@dataclass(frozen=True, slots=True)
class Not:
    """`!operand`."""

    span: Span
    depth: int
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Negative:
    """`-operand`, of anything but a number."""

    span: Span
    depth: int
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Logic:
    """`a && b && c` or `a || b || c`; an equal operator on the left is taken in, so chains stay flat."""

    span: Span
    depth: int
    operator: str
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Binary:
    """A comparison, `in`, or arithmetic. `place` is where the operator stands."""

    span: Span
    depth: int
    operator: str
    left: "Node"
    right: "Node"
    place: int


@dataclass(frozen=True, slots=True)
class Conditional:
    """`test ? then : other`."""

    span: Span
    depth: int
    test: "Node"
    then: "Node"
    other: "Node"


@dataclass(frozen=True, slots=True)
class Items:
    """`[a, b]`."""

    span: Span
    depth: int
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Entries:
    """`{'a': 1}`."""

    span: Span
    depth: int
    entries: tuple[tuple["Node", "Node"], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """`name(arguments)` or `target.name(arguments)`; macros too, until the checker tells them apart."""

    span: Span
    depth: int
    name: str
    target: "Node | None"
    arguments: tuple["Node", ...]
    place: int


Node = Literal | Name | Select | Index | Not | Negative | Logic | Binary | Conditional | Items | Entries | Call


def below(node: Node) -> tuple[Node, ...]:
    """The parts of a node, in the order written."""
    match node:
        case Literal() | Name():
            return ()
        case Select(operand=operand) | Not(operand=operand) | Negative(operand=operand):
            return (operand,)
        case Index(operand=operand, key=key):
            return (operand, key)
        case Logic(items=items) | Items(items=items):
            return items
        case Binary(left=left, right=right):
            return (left, right)
        case Conditional(test=test, then=then, other=other):
            return (test, then, other)
        case Entries(entries=entries):
            return tuple(part for entry in entries for part in entry)
        case Call(target=target, arguments=arguments):
            return arguments if target is None else (target, *arguments)


def names(node: Node) -> Iterator[Name]:
    """Every name that an expression uses as a value, in the order written."""
    if isinstance(node, Name):
        yield node
    for part in below(node):
        yield from names(part)
