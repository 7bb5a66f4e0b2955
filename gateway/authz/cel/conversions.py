"""int() double() string() bool() duration() timestamp(): only what the CEL specification pins exactly; the rest is an error.

Engines differ in what else they read as a number (` 5`, `+5`, `inf`, `0x10`) and in how they write doubles and times: these
are refused.
"""

import re
from typing import Any, Final

from gateway.authz.cel.arithmetic import MAX_INT, within_bits
from gateway.authz.cel.errors import EvaluationError
from gateway.authz.cel.networks import Address, Network
from gateway.authz.cel.values import NANOSECONDS, Duration, Timestamp

INTEGER: Final = re.compile(r"-?[0-9]{1,19}", re.ASCII)
NUMBER: Final = re.compile(r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
BOOLS: Final = {
    **dict.fromkeys(("1", "t", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "false", "FALSE", "False"), False),
}


def integer(value: Any) -> int:
    """`int(value)`: of a decimal string, of a double toward zero, of a timestamp in Unix seconds."""
    match value:
        case bool():
            raise EvaluationError("a bool is no int")
        case int():
            return within_bits(value)
        case float() if -(2.0**63) < value < 2.0**63:
            return int(value)
        case str() if INTEGER.fullmatch(value):
            return within_bits(int(value))
        case Timestamp():
            return value.nanoseconds // NANOSECONDS
        case _:
            raise EvaluationError("not an int")


def double(value: Any) -> float:
    """`double(value)`: of a decimal string or an int, the nearest one."""
    match value:
        case float():
            return value
        case int() if not isinstance(value, bool):
            return float(within_bits(value))
        case str() if NUMBER.fullmatch(value):
            found = float(value)
            if abs(found) == float("inf"):
                raise EvaluationError("too large for a double")
            return found
        case _:
            raise EvaluationError("not a double")


def string(value: Any) -> str:
    """`string(value)`: of an int, a bool, an address or a network."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(within_bits(value))
        case Address() | Network():
            return str(value)
        case _:
            raise EvaluationError("has no exact text")


def boolean(value: Any) -> bool:
    """`bool(value)`: of the words the specification lists."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in BOOLS:
        return BOOLS[value]
    raise EvaluationError("not a bool")


def timestamp(value: Any) -> Timestamp:
    """`timestamp(value)`: RFC 3339 text or Unix seconds. Raises ValueError or EvaluationError."""
    if isinstance(value, Timestamp):
        return value
    if isinstance(value, str):
        return Timestamp.parse(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INT:
        return Timestamp.of(value)
    raise EvaluationError("not a timestamp")


def duration(value: Any) -> Duration:
    """`duration(value)`: numbers with units. Raises ValueError or EvaluationError."""
    if isinstance(value, Duration):
        return value
    if isinstance(value, str):
        return Duration.parse(value)
    raise EvaluationError("not a duration")
