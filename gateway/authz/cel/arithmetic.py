"""`+ - * / %` and the unary `-`, by the CEL specification: 64-bit integers that never wrap, no mixing of types.

The functions ending in `_int` are for operands known to be ints; the others look.
"""

from collections.abc import Callable, Mapping
from math import copysign, inf, nan
from typing import Any, Final

from gateway.authz.cel.errors import EvaluationError
from gateway.authz.cel.limits import MAX_ITEMS, MAX_TEXT
from gateway.authz.cel.values import Duration, Timestamp, named

MAX_INT: Final = 2**63 - 1
MIN_INT: Final = -(2**63)


def within_bits(value: int) -> int:
    """The value, which must be a 64-bit integer."""
    if MIN_INT <= value <= MAX_INT:
        return value
    raise EvaluationError("integer overflow")


def add_int(left: int, right: int) -> int:
    return within_bits(left + right)


def subtract_int(left: int, right: int) -> int:
    return within_bits(left - right)


def multiply_int(left: int, right: int) -> int:
    return within_bits(left * right)


def divide_int(left: int, right: int) -> int:
    """Toward zero."""
    if right == 0:
        raise EvaluationError("divided by zero")
    quotient = abs(left) // abs(right)
    return within_bits(quotient if (left < 0) is (right < 0) else -quotient)


def modulo_int(left: int, right: int) -> int:
    """With the sign of the left operand."""
    return left - right * divide_int(left, right)


def divide_double(left: float, right: float) -> float:
    """IEEE 754, where Python raises."""
    if right:
        return left / right
    return nan if not left or left != left else copysign(inf, left) * copysign(1.0, right)


def join_text(left: str, right: str) -> str:
    """Two strings in one."""
    if len(left) + len(right) > MAX_TEXT:
        raise EvaluationError("the string becomes too long")
    return left + right


def join_lists(left: Any, right: Any) -> list[Any]:
    """Two lists in one."""
    if len(left) + len(right) > MAX_ITEMS:
        raise EvaluationError("the list becomes too long")
    return [*left, *right]


def negate_int(value: int) -> int:
    return within_bits(-value)


def negate(value: Any) -> Any:
    """`-value`."""
    if type(value) is float:
        return -value
    if type(value) is int:
        return within_bits(-within_bits(value))
    raise EvaluationError(f"'-' needs a number, not {named(value)}")


def add(left: Any, right: Any) -> Any:
    """`left + right`."""
    if type(left) is int and type(right) is int:
        return within_bits(within_bits(left) + within_bits(right))
    if type(left) is float and type(right) is float:
        return left + right
    if type(left) is str and type(right) is str:
        return join_text(left, right)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return join_lists(left, right)
    if isinstance(left, Duration) and isinstance(right, Timestamp):
        left, right = right, left
    if isinstance(left, Timestamp | Duration) and isinstance(right, Duration):
        return type(left).at(left.nanoseconds + right.nanoseconds)
    raise _unfit("+", left, right)


def subtract(left: Any, right: Any) -> Any:
    """`left - right`."""
    if isinstance(left, Timestamp) and isinstance(right, Timestamp):
        return Duration.at(left.nanoseconds - right.nanoseconds)
    if isinstance(left, Timestamp | Duration) and isinstance(right, Duration):
        return type(left).at(left.nanoseconds - right.nanoseconds)
    return _numeric("-", left, right, subtract_int, float.__sub__)


def multiply(left: Any, right: Any) -> Any:
    """`left * right`."""
    return _numeric("*", left, right, multiply_int, float.__mul__)


def divide(left: Any, right: Any) -> Any:
    """`left / right`."""
    return _numeric("/", left, right, divide_int, divide_double)


def modulo(left: Any, right: Any) -> Any:
    """`left % right`, of ints only."""
    if type(left) is int and type(right) is int:
        return modulo_int(within_bits(left), within_bits(right))
    raise _unfit("%", left, right)


def _numeric(
    operator: str, left: Any, right: Any, ints: Callable[[int, int], int], doubles: Callable[[float, float], float]
) -> int | float:
    if type(left) is int and type(right) is int:
        return ints(within_bits(left), within_bits(right))
    if type(left) is float and type(right) is float:
        return doubles(left, right)
    raise _unfit(operator, left, right)


def _unfit(operator: str, left: Any, right: Any) -> EvaluationError:
    return EvaluationError(f"{operator!r} does not fit {named(left)} and {named(right)}")


OPERATE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {"+": add, "-": subtract, "*": multiply, "/": divide, "%": modulo}
"""For operands of any type."""
INTS: Final[Mapping[str, Callable[[int, int], int]]] = {
    "+": add_int,
    "-": subtract_int,
    "*": multiply_int,
    "/": divide_int,
    "%": modulo_int,
}
"""For two ints."""
