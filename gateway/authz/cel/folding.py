"""What is known at load is computed at load: parts of constants alone, branches that are never taken.

Nothing else changes: an expression means the same before and after, errors included. A part of constants that has no value is
refused, because it would be an error on every request.
"""

from dataclasses import replace

from gateway.authz.cel import tree
from gateway.authz.cel.errors import FAULTS, ConstantError
from gateway.authz.cel.evaluate import evaluate
from gateway.authz.cel.types import BOOL


def folded(node: tree.Tree, place: int, what: str = "") -> tree.Tree:
    """The node, or its value where all its parts are constants. Raises ConstantError at `place` where it has none."""
    if not all(isinstance(part, tree.Constant) for part in tree.below(node)):
        return node
    try:
        value = evaluate(node, ())
    except FAULTS as error:
        raise ConstantError(f"{what}{': ' if what else ''}{error}", place) from error
    return tree.Constant(node.span, node.type, tuple(value) if isinstance(value, list) else value)


def shortened(node: tree.Junction) -> tree.Tree:
    """`false && …` is false and `true || …` is true, whatever else stands there; the contrary changes nothing and is left out."""
    deciding = not node.conjunction
    if any(_is(item, deciding) for item in node.items):
        return tree.Constant(node.span, BOOL, deciding)
    left = tuple(item for item in node.items if not _is(item, not deciding))
    return replace(node, items=left) if left else tree.Constant(node.span, BOOL, not deciding)


def chosen(node: tree.Choice) -> tree.Tree:
    """`true ? a : b` is a."""
    if _is(node.test, True):
        return node.then
    return node.other if _is(node.test, False) else node


def _is(node: tree.Tree, value: bool) -> bool:
    return isinstance(node, tree.Constant) and node.value is value
