"""What the operators mean for values whose types are known only while evaluating.

Python's own operators are not CEL's: `True == 1`, `'a' in 'abc'` and `[1][-1]` hold in Python only. Each function returns
what the CEL specification says or raises EvaluationError.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.authz.cel.errors import EvaluationError
from gateway.authz.cel.networks import AddressSet, Network
from gateway.authz.cel.values import Timestamp

MAPS: Final = (dict, Mapping)
"""`dict` first: asking an abstract class costs more than everything else here."""


def boolean(value: Any) -> bool:
    """The value, which must be a bool."""
    if value is True or value is False:
        return value
    raise EvaluationError("not a bool")


def equal(left: Any, right: Any) -> bool:
    """`==`: numbers by value, everything else only within its kind."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list | tuple):
        return isinstance(right, list | tuple) and len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, MAPS):
        return isinstance(right, MAPS) and left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, int | float) and isinstance(right, int | float):
        left, right = _numbers(left, right)
    return bool(left == right)


def unequal(left: Any, right: Any) -> bool:
    """`!=`."""
    return not equal(left, right)


def _numbers(left: float, right: float) -> tuple[float, float]:
    """Two numbers of one type: an int is compared with a double as a double, as the CEL conformance tests have it."""
    return (left, right) if type(left) is type(right) else (float(left), float(right))


def _ordered(left: Any, right: Any) -> tuple[Any, Any]:
    """Two values that Python orders as CEL does. Raises EvaluationError for others."""
    for kind in (bool, str, Timestamp):
        if isinstance(left, kind) and isinstance(right, kind):
            return left, right
    if (
        isinstance(left, int | float)
        and isinstance(right, int | float)
        and not isinstance(left, bool)
        and not isinstance(right, bool)
    ):
        return _numbers(left, right)
    raise EvaluationError("cannot be ordered")


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
        return any(equal(value, item) for item in container)
    if isinstance(container, MAPS) and isinstance(value, str | int | float):
        return isinstance(value, str) and value in container
    raise EvaluationError("'in' needs a list, or a map and what could be its key")


def select(operand: Any, field: str) -> Any:
    """`operand.field` or `operand['field']` of a map."""
    if not isinstance(operand, MAPS):
        raise EvaluationError("has no fields")
    try:
        return operand[field]
    except KeyError:
        raise EvaluationError("no such key") from None


def item(operand: Any, key: Any) -> Any:
    """`operand[key]` of a list, counted from 0, or of a map."""
    if not isinstance(operand, list | tuple):
        return select(operand, _string(key))
    if isinstance(key, float) and key.is_integer():
        key = int(key)
    if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key < len(operand):
        raise EvaluationError("no such index")
    return operand[key]


def has(operand: Any, field: str) -> bool:
    """`has(operand.field)`: whether the map has the key."""
    if not isinstance(operand, MAPS):
        raise EvaluationError("has no fields")
    return field in operand


def size(value: Any) -> int:
    """`size()`: characters of a string, items of a list, entries of a map."""
    if isinstance(value, (str, list, tuple, *MAPS)):
        return len(value)
    raise EvaluationError("has no size")


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise EvaluationError("not a string")


def starts_with(value: Any, prefix: Any) -> bool:
    """`value.startsWith(prefix)`."""
    return _string(value).startswith(_string(prefix))


def ends_with(value: Any, suffix: Any) -> bool:
    """`value.endsWith(suffix)`."""
    return _string(value).endswith(_string(suffix))


def contains(value: Any, part: Any) -> bool:
    """`value.contains(part)`."""
    return _string(part) in _string(value)


def contains_address(network: Any, address: Any) -> bool:
    """`cidr('…').containsIP(address)`, `inSet(address, '…')`."""
    if not isinstance(network, Network | AddressSet):
        raise EvaluationError("not a network")
    return network.contains(address)


def timestamp(value: Any) -> Timestamp:
    """`timestamp(value)`: RFC 3339 text or Unix seconds. Raises ValueError or EvaluationError."""
    if isinstance(value, Timestamp):
        return value
    if isinstance(value, str):
        return Timestamp.parse(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Timestamp.of(value)
    raise EvaluationError("not a timestamp")


COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": equal,
    "!=": unequal,
    "<": less,
    "<=": less_equal,
    ">": greater,
    ">=": greater_equal,
}
