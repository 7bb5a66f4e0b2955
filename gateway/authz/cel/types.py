"""The types of the language. Keys of maps are strings here; `headers` is a map that can only be asked by name."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """The kinds a type can be of."""

    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    STRING = "string"
    NULL = "null"
    TIMESTAMP = "timestamp"
    NETWORK = "cidr"
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


BOOL: Final = Type(Kind.BOOL)
INT: Final = Type(Kind.INT)
DOUBLE: Final = Type(Kind.DOUBLE)
STRING: Final = Type(Kind.STRING)
NULL: Final = Type(Kind.NULL)
TIMESTAMP: Final = Type(Kind.TIMESTAMP)
NETWORK: Final = Type(Kind.NETWORK)
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
