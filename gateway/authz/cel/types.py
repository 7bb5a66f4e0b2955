"""The types of the language. Keys of maps are strings here; `headers` is a map that can only be asked by name."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Kind(StrEnum):
    """The kinds a type can be of."""

    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    STRING = "string"
    NULL = "null"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    ADDRESS = "ip"
    NETWORK = "cidr"
    SET = "set"
    LIST = "list"
    MAP = "map"
    NAMED = "headers"
    DYN = "dyn"


@dataclass(frozen=True, slots=True)
class Type:
    """A kind, and of a list or map what it contains."""

    kind: Kind
    element: "Type | None" = None

    def __str__(self) -> str:
        if self.kind is Kind.LIST and self.element:
            return f"list({self.element})"
        if self.kind is Kind.MAP and self.element:
            return f"map(string, {self.element})"
        return self.kind.value


ORDERED: Final = frozenset({Kind.INT, Kind.DOUBLE, Kind.STRING, Kind.BOOL, Kind.TIMESTAMP, Kind.DURATION})

BOOL: Final = Type(Kind.BOOL)
INT: Final = Type(Kind.INT)
DOUBLE: Final = Type(Kind.DOUBLE)
STRING: Final = Type(Kind.STRING)
NULL: Final = Type(Kind.NULL)
TIMESTAMP: Final = Type(Kind.TIMESTAMP)
DURATION: Final = Type(Kind.DURATION)
ADDRESS: Final = Type(Kind.ADDRESS)
NETWORK: Final = Type(Kind.NETWORK)
SET: Final = Type(Kind.SET)
NAMED: Final = Type(Kind.NAMED, STRING)
DYN: Final = Type(Kind.DYN)


def list_of(element: Type) -> Type:
    """A list whose items are all of `element`, or of anything for DYN."""
    return Type(Kind.LIST, element)


def map_of(element: Type) -> Type:
    """A map from strings to `element`."""
    return Type(Kind.MAP, element)


def fits(left: Type, right: Type) -> bool:
    """Whether a value of one type could be one of the other; DYN could be anything."""
    if Kind.DYN in (left.kind, right.kind):
        return True
    if left.kind is not right.kind:
        return False
    return left.element is None or right.element is None or fits(left.element, right.element)


def joined(types: list[Type]) -> Type:
    """The one type of all, else DYN."""
    return types[0] if types and all(type == types[0] for type in types) else DYN


def literal(value: Any) -> Type:
    """The type of a literal's value."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return INT
    return DOUBLE if isinstance(value, float) else STRING


def orderable(left: Type, right: Type) -> bool:
    """Whether `<` may stand between values of two types."""
    kinds = {left.kind, right.kind} - {Kind.DYN}
    return kinds <= ORDERED and len(kinds) <= 1


def added(operator: str, left: Type, right: Type) -> Type | None:
    """The type of arithmetic on two types, None where there is none; DYN where it shows while evaluating only."""
    if operator == "+" and Kind.LIST in (left.kind, right.kind) and {left.kind, right.kind} <= {Kind.LIST, Kind.DYN}:
        return list_of(joined([left.element or DYN, right.element or DYN])) if fits(left, right) else None
    found = [
        result
        for operators, first, second, result in ARITHMETIC
        if operator in operators and fits(left, first) and fits(right, second)
    ]
    return joined(found) if found else None


ARITHMETIC: Final = (
    ("+-*/%", INT, INT, INT),
    ("+-*/", DOUBLE, DOUBLE, DOUBLE),
    ("+", STRING, STRING, STRING),
    ("+", list_of(DYN), list_of(DYN), list_of(DYN)),
    ("+-", TIMESTAMP, DURATION, TIMESTAMP),
    ("+", DURATION, TIMESTAMP, TIMESTAMP),
    ("+-", DURATION, DURATION, DURATION),
    ("-", TIMESTAMP, TIMESTAMP, DURATION),
)
"""What arithmetic there is: operators, types of the two sides, type of the result."""
