"""The exact meaning of a checked tree, walked node by node.

Conditions run as generated code; this runs when that code raised, because CEL absorbs errors (`error || true` is true, in
either order), and when a trace asks for the value of a part. Slower, never different.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.authz.cel import operations, tree
from gateway.authz.cel.errors import FAULTS, EvaluationError
from gateway.authz.cel.types import Kind

Arguments = tuple[Any, ...]


def evaluate(node: tree.Tree, arguments: Arguments) -> Any:
    """The value of a node. Raises one of FAULTS where it has none."""
    return EVALUATE[type(node)](node, arguments)


def _constant(node: tree.Constant, _: Arguments) -> Any:
    return node.value


def _read(node: tree.Read, arguments: Arguments) -> Any:
    return node.variable.read(arguments)


def _field(node: tree.Field, arguments: Arguments) -> Any:
    operand = evaluate(node.operand, arguments)
    if node.operand.type.kind is Kind.NAMED:
        return operand[node.name]
    return operations.select(operand, node.name)


def _has(node: tree.Has, arguments: Arguments) -> bool:
    operand = evaluate(node.operand, arguments)
    if node.operand.type.kind is Kind.NAMED:
        return node.name in operand
    return operations.has(operand, node.name)


def _item(node: tree.Item, arguments: Arguments) -> Any:
    return operations.item(evaluate(node.operand, arguments), evaluate(node.key, arguments))


def _sequence(node: tree.Sequence, arguments: Arguments) -> list[Any]:
    return [evaluate(item, arguments) for item in node.items]


def _table(node: tree.Table, arguments: Arguments) -> dict[str, Any]:
    return {key: evaluate(item, arguments) for key, item in zip(node.keys, node.items, strict=True)}


def _negation(node: tree.Negation, arguments: Arguments) -> bool:
    return not operations.boolean(evaluate(node.operand, arguments))


def _junction(node: tree.Junction, arguments: Arguments) -> bool:
    """One deciding operand decides, wherever it stands; only without one does an error count."""
    deciding = not node.conjunction
    failed: BaseException | None = None
    for item in node.items:
        try:
            if operations.boolean(evaluate(item, arguments)) is deciding:
                return deciding
        except FAULTS as error:
            failed = failed or error
    if failed is not None:
        raise EvaluationError(str(failed)) from failed
    return not deciding


def _choice(node: tree.Choice, arguments: Arguments) -> Any:
    holds = operations.boolean(evaluate(node.test, arguments))
    return evaluate(node.then if holds else node.other, arguments)


def _comparison(node: tree.Comparison, arguments: Arguments) -> bool:
    return operations.COMPARE[node.operator](evaluate(node.left, arguments), evaluate(node.right, arguments))


def _membership(node: tree.Membership, arguments: Arguments) -> bool:
    return operations.member(evaluate(node.value, arguments), evaluate(node.container, arguments))


def _invocation(node: tree.Invocation, arguments: Arguments) -> Any:
    return node.function.call(*[evaluate(argument, arguments) for argument in node.arguments])


EVALUATE: Final[Mapping[type[Any], Callable[[Any, Arguments], Any]]] = {
    tree.Constant: _constant,
    tree.Read: _read,
    tree.Field: _field,
    tree.Has: _has,
    tree.Item: _item,
    tree.Sequence: _sequence,
    tree.Table: _table,
    tree.Negation: _negation,
    tree.Junction: _junction,
    tree.Choice: _choice,
    tree.Comparison: _comparison,
    tree.Membership: _membership,
    tree.Invocation: _invocation,
}
"""How each kind of node is evaluated."""
