"""The exact meaning of a checked tree, walked node by node.

Conditions run as generated code; this runs when that code raised, because CEL absorbs errors (`error || true` is true, in
either order), and when a trace asks for the value of a part. Slower, never different.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from gateway.authz.cel import arithmetic, cost, operations, tree
from gateway.authz.cel.errors import FAULTS, CostError, EvaluationError
from gateway.authz.cel.limits import ASKED, FAULT, MAX_SPENT, Purse, charged, items, purse_of, spend
from gateway.authz.cel.types import Kind

Arguments = tuple[Any, ...]


class Frame:
    """What an evaluation knows: the values it is asked with, what its macros are at, and what they may still spend."""

    __slots__ = ("arguments", "bound", "purse")

    def __init__(self, arguments: Arguments, purse: Purse | None) -> None:
        self.arguments = arguments
        self.bound: dict[int, Any] = {}
        self.purse = purse_of(arguments[ASKED] if len(arguments) > ASKED else None) if purse is None else purse


def evaluate(node: tree.Tree, arguments: Arguments, purse: Purse | None = None) -> Any:
    """The value of a node; its macros spend from the access request's purse, or from this one. Raises one of FAULTS where it has
    no value."""
    return _value(node, Frame(arguments, purse))


def turns(node: tree.Loop, arguments: Arguments) -> Iterator[tuple[Any, bool | None]]:
    """Each item of a macro with what its test gives, None where that has no value, for people. Raises one of FAULTS."""
    frame = Frame(arguments, [MAX_SPENT])
    for item in _turns(node, frame):
        try:
            held = operations.boolean(_value(node.test, frame))
        except CostError:
            raise
        except FAULTS:
            yield item, None
        else:
            yield item, held


def _value(node: tree.Tree, frame: Frame) -> Any:
    return EVALUATE[type(node)](node, frame)


def _call(node: tree.Tree, frame: Frame, call: Callable[..., Any], *arguments: tree.Tree) -> Any:
    """A function of values; inside a macro it spends by their sizes."""
    values = [_value(argument, frame) for argument in arguments]
    if frame.bound and (scale := cost.scale(node)):
        return charged(frame.purse, scale, call, *values)
    return call(*values)


def _constant(node: tree.Constant, _: Frame) -> Any:
    return node.value


def _read(node: tree.Read, frame: Frame) -> Any:
    return node.variable.read(frame.arguments)


def _bound(node: tree.Bound, frame: Frame) -> Any:
    return frame.bound[node.slot]


def _field(node: tree.Field, frame: Frame) -> Any:
    operand = _value(node.operand, frame)
    if node.operand.type.kind is Kind.NAMED:
        return operand[node.name]
    return operations.select(operand, node.name)


def _has(node: tree.Has, frame: Frame) -> bool:
    operand = _value(node.operand, frame)
    if node.operand.type.kind is Kind.NAMED:
        return node.name in operand
    return operations.has(operand, node.name)


def _item(node: tree.Item, frame: Frame) -> Any:
    return operations.item(_value(node.operand, frame), _value(node.key, frame))


def _sequence(node: tree.Sequence, frame: Frame) -> list[Any]:
    return [_value(item, frame) for item in node.items]


def _table(node: tree.Table, frame: Frame) -> dict[str, Any]:
    return {key: _value(item, frame) for key, item in zip(node.keys, node.items, strict=True)}


def _negation(node: tree.Negation, frame: Frame) -> bool:
    return not operations.boolean(_value(node.operand, frame))


class _Verdict:
    """What several bools give together: one that decides, decides, wherever it stands; only without one does an error count."""

    __slots__ = ("_deciding", "_failed")

    def __init__(self, *, deciding: bool) -> None:
        self._deciding = deciding
        self._failed: BaseException | None = None

    def decided(self, node: tree.Tree, frame: Frame) -> bool:
        """Whether this one decides. Keeps its error."""
        try:
            return operations.boolean(_value(node, frame)) is self._deciding
        except CostError:
            raise
        except FAULTS as error:
            if frame.bound:  # else there are no more of them than the condition has parts
                spend(frame.purse, FAULT)
            self._failed = self._failed or error
            return False

    def otherwise(self) -> bool:
        """What holds when none decided. Raises EvaluationError when one had no value."""
        if self._failed is not None:
            raise EvaluationError(str(self._failed)) from self._failed
        return not self._deciding


def _junction(node: tree.Junction, frame: Frame) -> bool:
    deciding = not node.conjunction
    verdict = _Verdict(deciding=deciding)
    return deciding if any(verdict.decided(item, frame) for item in node.items) else verdict.otherwise()


def _choice(node: tree.Choice, frame: Frame) -> Any:
    holds = operations.boolean(_value(node.test, frame))
    return _value(node.then if holds else node.other, frame)


def _minus(node: tree.Minus, frame: Frame) -> Any:
    return arithmetic.negate(_value(node.operand, frame))


def _arithmetic(node: tree.Arithmetic, frame: Frame) -> Any:
    return _call(node, frame, arithmetic.OPERATE[node.operator], node.left, node.right)


def _comparison(node: tree.Comparison, frame: Frame) -> Any:
    return _call(node, frame, operations.COMPARE[node.operator], node.left, node.right)


def _membership(node: tree.Membership, frame: Frame) -> Any:
    return _call(node, frame, operations.member, node.value, node.container)


def _invocation(node: tree.Invocation, frame: Frame) -> Any:
    return _call(node, frame, node.function.call, *node.arguments)


def _turns(node: tree.Loop, frame: Frame) -> Iterator[Any]:
    """Each item, while the macro is at it."""
    for item in items(frame.purse, _value(node.range, frame), node.weight):
        frame.bound[node.slot] = item
        yield item


def _loop(node: tree.Loop, frame: Frame) -> Any:
    """The macro, with what an outer one is at kept, also when an error ends it."""
    outer = dict(frame.bound)
    try:
        return _LOOPS[node.macro](node, frame)
    finally:
        frame.bound = outer


def _quantified(node: tree.Loop, frame: Frame) -> bool:
    """`all`, `exists`: one item decides, and errors of others are absorbed."""
    deciding = node.macro == "exists"
    verdict = _Verdict(deciding=deciding)
    return deciding if any(verdict.decided(node.test, frame) for _ in _turns(node, frame)) else verdict.otherwise()


def _kept(node: tree.Loop, frame: Frame) -> list[Any]:
    """`filter` and `map`. An error is one, wherever it stands."""
    tested = (operations.boolean(_value(node.test, frame)) for _ in _turns(node, frame))
    return [_value(node.result, frame) for holds in tested if holds]


def _one(node: tree.Loop, frame: Frame) -> bool:
    return len(_kept(node, frame)) == 1


_LOOPS: Final[Mapping[str, Callable[[tree.Loop, Frame], Any]]] = {
    "all": _quantified,
    "exists": _quantified,
    "exists_one": _one,
    "filter": _kept,
    "map": _kept,
}

EVALUATE: Final[Mapping[type[Any], Callable[[Any, Frame], Any]]] = {
    tree.Constant: _constant,
    tree.Read: _read,
    tree.Bound: _bound,
    tree.Field: _field,
    tree.Has: _has,
    tree.Item: _item,
    tree.Sequence: _sequence,
    tree.Table: _table,
    tree.Negation: _negation,
    tree.Junction: _junction,
    tree.Choice: _choice,
    tree.Minus: _minus,
    tree.Arithmetic: _arithmetic,
    tree.Comparison: _comparison,
    tree.Membership: _membership,
    tree.Invocation: _invocation,
    tree.Loop: _loop,
}
"""How each kind of node is evaluated."""
