"""The functions a condition may call: one entry a function. Whatever is not here is refused at load.

A function to come is a row here and, where it must be as fast as an operator, one in `codegen.INLINE`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.authz.cel import operations
from gateway.authz.cel.networks import Network
from gateway.authz.cel.types import BOOL, INT, NETWORK, TIMESTAMP, Kind, Type

SIZED: Final = frozenset({Kind.STRING, Kind.LIST, Kind.MAP})
TEXT: Final = frozenset({Kind.STRING})


@dataclass(frozen=True, slots=True)
class Function:
    """What the checker and the code generator know of a function.

    `parameters` are the kinds each argument may have, the target of a method first. `literal` functions take constants only
    and run at load; others run at load when their arguments happen to be constants. At load, ValueError is a load error.
    """

    name: str
    parameters: tuple[frozenset[Kind], ...]
    result: Type
    call: Callable[..., Any]
    method: bool = True
    plain: bool = False
    literal: bool = False


FUNCTIONS: Final[Mapping[str, Function]] = {
    function.name: function
    for function in (
        Function("startsWith", (TEXT, TEXT), BOOL, operations.starts_with),
        Function("endsWith", (TEXT, TEXT), BOOL, operations.ends_with),
        Function("contains", (TEXT, TEXT), BOOL, operations.contains),
        Function("size", (SIZED,), INT, operations.size, plain=True),
        Function("cidr", (TEXT,), NETWORK, Network, method=False, plain=True, literal=True),
        Function("containsIP", (frozenset({Kind.NETWORK}), TEXT), BOOL, operations.contains_address),
        Function(
            "timestamp",
            (frozenset({Kind.STRING, Kind.INT, Kind.TIMESTAMP}),),
            TIMESTAMP,
            operations.timestamp,
            method=False,
            plain=True,
        ),
    )
}

IN_SET: Final = Function("inSet", (frozenset({Kind.SET}), TEXT), BOOL, operations.contains_address, method=False, plain=True)
"""Not in the table: its second argument is looked up in the environment, and stands first in the tree."""

WORDS: Final = """
all exists exists_one existsOne filter map transformList transformMap bind optMap optFlatMap
matches find findAll lowerAscii upperAscii split join replace substring trim indexOf lastIndexOf charAt format reverse quote
within glob ip isIP isCIDR containsCIDR duration getHours getMinutes getSeconds getMilliseconds getDate getDayOfMonth
getDayOfWeek getDayOfYear getMonth getFullYear int uint double string bool bytes dyn type
"""
LATER: Final = frozenset(WORDS.split())
"""Names that readers of CEL know: they are refused as not available rather than as unknown."""
