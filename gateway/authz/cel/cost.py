"""What an expression costs, estimated at load from its parts."""

from typing import Final

from gateway.authz.cel import tree
from gateway.authz.cel.functions import Function
from gateway.authz.cel.limits import MAX_TEXT, SCALE
from gateway.authz.cel.types import DYN, Kind

HEADER: Final = 300
"""A header is looked for among all that came."""
SMALL: Final = 32
DECODED: Final = 30
NESTED: Final = frozenset({Kind.DYN, Kind.LIST, Kind.MAP})


def scale(node: tree.Tree) -> int:
    """How a node's cost grows with the texts and lists it is given, see `Function.sized`; 0 for not at all."""
    match node:
        case tree.Invocation(function=function):
            return function.sized
        case tree.Comparison(left=left, right=right):
            return SCALE if left.type.kind in NESTED and right.type.kind in NESTED else 0
        case tree.Membership(container=tree.Constant(value=tuple() | dict() as known)) if len(known) < SMALL:
            return 0
        case tree.Membership():
            return SCALE
        case tree.Arithmetic(type=type):
            return 0 if type.kind in (Kind.INT, Kind.DOUBLE) else SCALE
        case _:
            return 0


def weight(node: tree.Tree) -> int:
    """What one evaluation costs, without sizes."""
    return _own(node) + sum(map(weight, tree.below(node)))


def worst(node: tree.Tree) -> int:
    """What one evaluation costs with the largest texts and lists, loops apart: these spend while they run."""
    if isinstance(node, tree.Loop):
        return _own(node) + worst(node.range)
    return _own(node) + (MAX_TEXT >> scale(node) if scale(node) else 0) + sum(map(worst, tree.below(node)))


def _own(node: tree.Tree) -> int:
    match node:
        case tree.Read(variable=variable):
            return 1 if variable.decode is None else DECODED
        case tree.Field(operand=operand) | tree.Has(operand=operand):
            return HEADER if operand.type.kind is Kind.NAMED else 1
        case tree.Invocation(function=Function(weight=cost)):
            return cost
        case tree.Loop():
            return 10
        case tree.Constant() | tree.Bound():
            return 0
        case _:
            return 3 if node.type == DYN else 2
