"""What is left of a condition where not everything it reads is known: true, false, without a value, or a formula over the parts
that cannot be told.

Such a part (an `Atom`) is the same in two policies where it is written alike, so that what one of them answered says something
about the other. Any kind of node that reads something unknown is an atom, but for `!`, `&&`, `||` and a `? :` whose test is known:
these decide by what is known where CEL lets them.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final

from gateway.authz.cel import tree
from gateway.authz.cel.errors import FAULTS, CostError
from gateway.authz.cel.evaluate import Arguments, evaluate
from gateway.authz.cel.limits import MAX_SPENT, Purse
from gateway.authz.cel.operations import boolean

UNTOLD: Final = frozenset({"span", "type", "variable"})
"""What two nodes that mean the same may differ in."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A part that is not known: `shape` tells it from others, `reads` are the names it reads that nobody knows.

    One that is `sure` to have a value is true or false; any other may also have none.
    """

    shape: str
    reads: tuple[str, ...]
    sure: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """`!operand`."""

    operand: "Formula"


@dataclass(frozen=True, slots=True)
class Together:
    """`&&` of all items, or `||`."""

    conjunction: bool
    items: tuple["Formula", ...]


Formula = bool | None | Atom | Not | Together
"""A condition's outcome, None for "no value", or what it depends on."""

COSTLY: Final = Atom("costs too much", ("not evaluated: costs too much",))
"""Stands for a part that was not evaluated to its end, where a purse is given."""

World = Mapping[Atom, bool | None]
"""One way the atoms could be."""


STRICT: Final = (tree.Comparison, tree.Arithmetic, tree.Membership, tree.Invocation, tree.Minus, tree.Field, tree.Item)
"""What has no value where one of its parts has none; `&&`, `||`, `? :` and macros may do without."""


class Residuals:
    """Makes formulas, and remembers what each expression reads and looks like.

    All evaluations spend from the `purse` together; without one each has its own, and what costs too much has no value.
    """

    def __init__(self, purse: Purse | None = None) -> None:
        self._purse = purse
        self._reads: dict[int, tuple[tree.Tree, frozenset[str]]] = {}
        self._atoms: dict[tuple[int, frozenset[str]], Atom] = {}

    def spending(self, purse: Purse) -> "Residuals":
        """The same memory with another purse."""
        other = Residuals(purse)
        other._reads, other._atoms = self._reads, self._atoms
        return other

    def reads(self, node: tree.Tree) -> frozenset[str]:
        """The names an expression reads, dots included."""
        known = self._reads.get(id(node))
        if known is None:
            found = frozenset(part.name for part in tree.walk(node) if isinstance(part, tree.Read))
            known = self._reads[id(node)] = (node, found)
        return known[1]

    def of(self, node: tree.Tree, arguments: Arguments, known: frozenset[str]) -> Formula:
        """The formula of an expression, of whose names only `known` are to be had from the arguments."""
        if self.reads(node) <= known:
            return self._value(node, arguments)
        match node:
            case tree.Negation(operand=operand):
                return negated(self.of(operand, arguments, known))
            case tree.Junction(conjunction=conjunction, items=items):
                return together(conjunction, [self.of(item, arguments, known) for item in items])
            case tree.Choice(test=test, then=then, other=other) if self.reads(test) <= known:
                chosen = self._value(test, arguments)
                return self.of(then if chosen else other, arguments, known) if isinstance(chosen, bool) else chosen
            case _ if (fault := self._fault(node, arguments, known)) is not False:
                return fault
            case _:
                return self._atom(node, self.reads(node) - known)

    def _fault(self, node: tree.Tree, arguments: Arguments, known: frozenset[str]) -> Formula:
        """None where a known part has no value and so this has none, whatever the rest is; False where nobody knows."""
        for part in tree.below(node) if isinstance(node, STRICT) else ():
            is_known = self.reads(part) <= known
            found = self._faulty(part, arguments) if is_known else self._fault(part, arguments, known)
            if found is not False:
                return found
        return False

    def _faulty(self, node: tree.Tree, arguments: Arguments) -> Formula:
        try:
            evaluate(node, arguments, self._purse or [MAX_SPENT])
        except CostError:
            return None if self._purse is None else COSTLY
        except FAULTS:
            return None
        return False

    def _value(self, node: tree.Tree, arguments: Arguments) -> bool | Atom | None:
        try:
            return boolean(evaluate(node, arguments, self._purse or [MAX_SPENT]))
        except CostError:
            return None if self._purse is None else COSTLY
        except FAULTS:
            return None

    def _atom(self, node: tree.Tree, missing: frozenset[str]) -> Atom:
        key = (id(node), missing)
        found = self._atoms.get(key)
        if found is None:
            found = self._atoms[key] = Atom(shape(node), tuple(sorted(missing)))
        return found


def negated(operand: Formula) -> Formula:
    """`!` of a formula."""
    if isinstance(operand, bool):
        return not operand
    return None if operand is None else Not(operand)


def together(conjunction: bool, items: list[Formula]) -> Formula:
    """`&&` or `||` of formulas, where one item that decides is enough."""
    deciding = not conjunction
    if any(item is deciding for item in items):
        return deciding
    left = list(dict.fromkeys(item for item in items if not isinstance(item, bool)))
    if not left:
        return conjunction
    return left[0] if len(left) == 1 else Together(conjunction, tuple(left))


def outcome(formula: Formula, world: World) -> bool | None:
    """What a formula gives in a world."""
    if formula is None or isinstance(formula, bool):
        return formula
    match formula:
        case Atom():
            return world[formula]
        case Not(operand=operand):
            found = outcome(operand, world)
            return None if found is None else not found
        case Together(conjunction=conjunction, items=items):
            values = [outcome(item, world) for item in items]
            deciding = not conjunction
            if deciding in [value for value in values if value is not None]:
                return deciding
            return None if None in values else conjunction


def atoms(formula: Formula) -> Iterator[Atom]:
    """The parts that are not known, in the order written."""
    match formula:
        case Atom():
            yield formula
        case Not(operand=operand):
            yield from atoms(operand)
        case Together(items=items):
            for item in items:
                yield from atoms(item)
        case _:
            return


def shape(node: tree.Tree) -> str:
    """What makes two expressions the same, wherever they are written."""
    return repr(_shape(node))


def mark(node: tree.Tree) -> str:
    """A short name of what an expression means."""
    return hashlib.sha256(shape(node).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _shape(part: Any) -> Any:
    if is_dataclass(part) and not isinstance(part, type):
        told = [_shape(getattr(part, field.name)) for field in fields(part) if field.name not in UNTOLD]
        return (type(part).__name__, *told)
    if isinstance(part, tuple | list):
        return tuple(_shape(item) for item in part)
    return (type(part).__name__, part)
