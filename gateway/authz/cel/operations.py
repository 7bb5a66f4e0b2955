"""What the operators mean for values whose types are known only while evaluating.

Python's own operators are not CEL's: `True == 1`, `'a' in 'abc'` and `[1][-1]` hold in Python only. Each function returns
what the CEL specification says or raises EvaluationError.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.authz.cel.arithmetic import within_bits
from gateway.authz.cel.errors import EvaluationError
from gateway.authz.cel.limits import MAX_ITEMS, SCALARS, counted
from gateway.authz.cel.values import Duration, Timestamp, named

NUMBERS: Final = frozenset({int, float})
ORDERED: Final = frozenset({bool, str, Timestamp, Duration})
PLAIN: Final = frozenset({str, bool, float, type(None)})
MAPS: Final = (dict, Mapping)
"""`dict` first: asking an abstract class costs more than everything else here."""


def boolean(value: Any) -> bool:
    """The value, which must be a bool."""
    if value is True or value is False:
        return value
    raise EvaluationError(f"not a bool, but {named(value)}")


def equal(left: Any, right: Any) -> bool:
    """`==`: numbers by value, everything else only within its kind."""
    kind = type(left)
    if kind is type(right):
        if kind in PLAIN:
            return bool(left == right)
        if kind is int:
            return within_bits(left) == within_bits(right)
    if kind not in SCALARS and isinstance(left, (list, tuple, *MAPS)):
        counted(left, MAX_ITEMS)
    return _same(left, right)


def _same(left: Any, right: Any) -> bool:
    kind, other = type(left), type(right)
    if kind in SCALARS and other in SCALARS:
        return _same_scalars(left, right)
    if isinstance(left, list | tuple):
        return isinstance(right, list | tuple) and len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, MAPS):
        return isinstance(right, MAPS) and left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    return kind is other and bool(left == right)


def _same_scalars(left: Any, right: Any) -> bool:
    kind, other = type(left), type(right)
    if kind in NUMBERS and other in NUMBERS:
        left, right = _numbers(left, right)
        return bool(left == right)
    return kind is other and bool(left == right)


def unequal(left: Any, right: Any) -> bool:
    """`!=`."""
    return not equal(left, right)


def _numbers(left: float, right: float) -> tuple[float, float]:
    """Two numbers of one type: an int is compared with a double as a double, as the CEL conformance tests have it.

    An int of more than 64 bits, which JSON can have and CEL has not, is an error rather than near to anything.
    """
    if isinstance(left, int):
        within_bits(left)
    if isinstance(right, int):
        within_bits(right)
    return (left, right) if type(left) is type(right) else (float(left), float(right))


def _ordered(left: Any, right: Any) -> tuple[Any, Any]:
    """Two values that Python orders as CEL does. Raises EvaluationError for others."""
    kind, other = type(left), type(right)
    if kind in NUMBERS and other in NUMBERS:
        return _numbers(left, right)
    if kind is other and kind in ORDERED:
        return left, right
    raise EvaluationError(f"{named(left)} cannot be ordered with {named(right)}")


def less(left: Any, right: Any) -> bool:
    """`<`: numbers with numbers, else two of one kind."""
    left, right = _ordered(left, right)
    return bool(left < right)


def less_equal(left: Any, right: Any) -> bool:
    """`<=`, which is not the contrary of `>` where a NaN is involved."""
    left, right = _ordered(left, right)
    return bool(left <= right)


def greater(left: Any, right: Any) -> bool:
    """`>`."""
    return less(right, left)


def greater_equal(left: Any, right: Any) -> bool:
    """`>=`."""
    return less_equal(right, left)


def member(value: Any, container: Any) -> bool:
    """`in`: an equal item of a list, or a key of a map. A string has no members."""
    if isinstance(container, list | tuple):
        if type(value) is str and len(container) <= MAX_ITEMS:
            return value in container
        counted(container, MAX_ITEMS)
        return any(_same(value, item) for item in container)
    if isinstance(container, MAPS) and isinstance(value, str | int | float):
        return isinstance(value, str) and value in container
    raise EvaluationError(f"{named(container)} cannot hold {named(value)}: 'in' needs a list, or a map and its key")


def select(operand: Any, field: str) -> Any:
    """`operand.field` or `operand['field']` of a map."""
    if not isinstance(operand, MAPS):
        raise EvaluationError(f"{named(operand)} has no fields")
    try:
        return operand[field]
    except KeyError:
        raise EvaluationError("no such key") from None


def _keyed(operand: Any, key: Any) -> Any:
    if isinstance(key, str):
        return select(operand, key)
    raise EvaluationError(f"{named(key)} is no key")


def item(operand: Any, key: Any) -> Any:
    """`operand[key]` of a list, counted from 0, or of a map."""
    if not isinstance(operand, list | tuple):
        return _keyed(operand, key)
    if isinstance(key, float) and key.is_integer():
        key = int(key)
    if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key < len(operand):
        raise EvaluationError("no such index")
    return operand[key]


def has(operand: Any, field: str) -> bool:
    """`has(operand.field)`: whether the map has the key."""
    if not isinstance(operand, MAPS):
        raise EvaluationError(f"{named(operand)} has no fields")
    return field in operand


def size(value: Any) -> int:
    """`size()`: characters of a string, items of a list, entries of a map."""
    if isinstance(value, (str, list, tuple, *MAPS)):
        return len(value)
    raise EvaluationError(f"{named(value)} has no size")


COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": equal,
    "!=": unequal,
    "<": less,
    "<=": less_equal,
    ">": greater,
    ">=": greater_equal,
}
