"""The checked tree: names resolved, types known, literal arguments already computed. What code is made from and traces show."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from gateway.authz.cel.functions import Function
from gateway.authz.cel.syntax import Span
from gateway.authz.cel.types import Type


@dataclass(frozen=True, slots=True)
class Variable:
    """Where a declared name gets its value: `path` in the argument numbered `argument`, then `decode`, if any."""

    type: Type
    argument: int
    path: tuple[str, ...] = ()
    decode: Callable[[Any], Any] | None = None

    def read(self, arguments: tuple[Any, ...]) -> Any:
        """The value for these arguments."""
        value = arguments[self.argument]
        for name in self.path:
            value = getattr(value, name)
        return value if self.decode is None else self.decode(value)


@dataclass(frozen=True, slots=True)
class Definition:
    """A name of a `let`: its checked expression, and how many nodes it puts in where it is used."""

    tree: "Tree"
    size: int
    depth: int


@dataclass(frozen=True, slots=True)
class Constant:
    """A value known at load."""

    span: Span
    type: Type
    value: Any


@dataclass(frozen=True, slots=True)
class Read:
    """A declared variable."""

    span: Span
    type: Type
    name: str
    variable: Variable


@dataclass(frozen=True, slots=True)
class Bound:
    """What a macro is at, under the name the policy gave it. `slot` numbers the macros inside one another."""

    span: Span
    type: Type
    name: str
    slot: int


@dataclass(frozen=True, slots=True)
class Field:
    """A map's value under a name known at load."""

    span: Span
    type: Type
    operand: "Tree"
    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """A list's item or a map's value under a computed key."""

    span: Span
    type: Type
    operand: "Tree"
    key: "Tree"


@dataclass(frozen=True, slots=True)
class Has:
    """Whether a map has a key."""

    span: Span
    type: Type
    operand: "Tree"
    name: str


@dataclass(frozen=True, slots=True)
class Negation:
    """`!operand`."""

    span: Span
    type: Type
    operand: "Tree"


@dataclass(frozen=True, slots=True)
class Junction:
    """Conjunction (`&&`) or disjunction (`||`)."""

    span: Span
    type: Type
    conjunction: bool
    items: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """`test ? then : other`."""

    span: Span
    type: Type
    test: "Tree"
    then: "Tree"
    other: "Tree"


@dataclass(frozen=True, slots=True)
class Minus:
    """`-operand`."""

    span: Span
    type: Type
    operand: "Tree"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`+ - * / %`."""

    span: Span
    type: Type
    operator: str
    left: "Tree"
    right: "Tree"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`== != < <= > >=`."""

    span: Span
    type: Type
    operator: str
    left: "Tree"
    right: "Tree"


@dataclass(frozen=True, slots=True)
class Membership:
    """`value in container`."""

    span: Span
    type: Type
    value: "Tree"
    container: "Tree"


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list with items that are not all constants."""

    span: Span
    type: Type
    items: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A map with values that are not all constants."""

    span: Span
    type: Type
    keys: tuple[str, ...]
    items: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Invocation:
    """A function of the table with its arguments, the target of a method first."""

    span: Span
    type: Type
    function: Function
    arguments: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """A macro over a list or the keys of a map: `all exists exists_one filter map`.

    `test` is true for a `map` without one, `result` is the item itself for all but `map`. `weight` is what one turn costs, in
    the units of `limits`.
    """

    span: Span
    type: Type
    macro: str
    slot: int
    range: "Tree"
    test: "Tree"
    result: "Tree"
    weight: int


Datum = Constant | Read | Bound | Field | Item | Has | Sequence | Table
"""Values and parts of values."""

Operation = Negation | Junction | Choice | Minus | Arithmetic | Comparison | Membership | Invocation | Loop
"""What is computed from values."""

Tree = Datum | Operation


def below(tree: Tree) -> tuple[Tree, ...]:
    """The parts of a node, in the order written."""
    match tree:
        case Constant() | Read() | Bound():
            return ()
        case Field(operand=operand) | Has(operand=operand) | Negation(operand=operand) | Minus(operand=operand):
            return (operand,)
        case Item(operand=operand, key=key):
            return (operand, key)
        case Junction(items=items) | Sequence(items=items) | Table(items=items):
            return items
        case Choice(test=test, then=then, other=other):
            return (test, then, other)
        case Comparison(left=left, right=right) | Arithmetic(left=left, right=right):
            return (left, right)
        case Membership(value=value, container=container):
            return (value, container)
        case Invocation(arguments=arguments):
            return arguments
        case Loop(range=over, test=test, result=result):
            return (over, test, result)


def walk(tree: Tree) -> Iterator[Tree]:
    """The node and everything below it, in the order written."""
    yield tree
    for part in below(tree):
        yield from walk(part)


def depth(tree: Tree) -> int:
    """How many nodes stand below one another."""
    return 1 + max(map(depth, below(tree)), default=0)


def nesting(tree: Tree) -> int:
    """How many macros stand inside one another. What a macro goes through is not inside it."""
    if not isinstance(tree, Loop):
        return max(map(nesting, below(tree)), default=0)
    return max(nesting(tree.range), nesting(tree.test) + 1, nesting(tree.result) + 1)


def placed(tree: Tree, span: Span) -> Tree:
    """A copy that stands at another place of the source, with everything below it: a definition where it is used."""
    changes = {field.name: _placed(getattr(tree, field.name), span) for field in fields(tree)}
    return replace(tree, **{**changes, "span": span})


def _placed(part: Any, span: Span) -> Any:
    if isinstance(part, Tree):
        return placed(part, span)
    if isinstance(part, tuple):
        return tuple(_placed(item, span) for item in part)
    return part
