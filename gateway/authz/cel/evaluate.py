"""The exact meaning of a checked tree, walked node by node.

Conditions run as generated code; this runs when that code raised, because CEL absorbs errors (`error || true` is true, in
either order), and when a trace asks for the value of a part. Slower, never different.
"""

from typing import Any, Final

from gateway.authz.cel import operations, tree
from gateway.authz.cel.errors import FAULTS, EvaluationError
from gateway.authz.cel.types import Kind

COMPARE: Final = {
    "==": operations.equal,
    "!=": operations.unequal,
    "<": operations.less,
    "<=": operations.less_equal,
    ">": operations.greater,
    ">=": operations.greater_equal,
}


def evaluate(node: tree.Tree, arguments: tuple[Any, ...]) -> Any:
    """The value of a node. Raises one of FAULTS where it has none."""
    match node:
        case tree.Negation():
            return not operations.boolean(evaluate(node.operand, arguments))
        case tree.Junction():
            return _junction(node, arguments)
        case tree.Choice():
            holds = operations.boolean(evaluate(node.test, arguments))
            return evaluate(node.then if holds else node.other, arguments)
        case tree.Comparison():
            return COMPARE[node.operator](evaluate(node.left, arguments), evaluate(node.right, arguments))
        case tree.Membership():
            return operations.member(evaluate(node.value, arguments), evaluate(node.container, arguments))
        case tree.Invocation():
            return node.function.call(*(evaluate(argument, arguments) for argument in node.arguments))
        case _:
            return _datum(node, arguments)


def _datum(node: tree.Datum, arguments: tuple[Any, ...]) -> Any:
    """The value of a node that is no operation on values but a value, or a part of one."""
    match node:
        case tree.Constant():
            return node.value
        case tree.Read():
            return node.variable.read(arguments)
        case tree.Field():
            return _field(node, arguments)
        case tree.Has():
            return _has(node, arguments)
        case tree.Item():
            return operations.item(evaluate(node.operand, arguments), evaluate(node.key, arguments))
        case tree.Sequence():
            return [evaluate(item, arguments) for item in node.items]
        case tree.Table():
            return {key: evaluate(item, arguments) for key, item in zip(node.keys, node.items, strict=True)}


def _field(node: tree.Field, arguments: tuple[Any, ...]) -> Any:
    operand = evaluate(node.operand, arguments)
    if node.operand.type.kind is Kind.NAMED:
        return operand[node.name]
    return operations.select(operand, node.name)


def _has(node: tree.Has, arguments: tuple[Any, ...]) -> bool:
    operand = evaluate(node.operand, arguments)
    if node.operand.type.kind is Kind.NAMED:
        return node.name in operand
    return operations.has(operand, node.name)


def _junction(node: tree.Junction, arguments: tuple[Any, ...]) -> bool:
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
