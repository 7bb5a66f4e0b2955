"""Names: which a policy may choose for something of its own, and what to say about those that are not known."""

from difflib import get_close_matches
from typing import Final

from gateway.authz.cel import syntax
from gateway.authz.cel.environment import Environment
from gateway.authz.cel.functions import OUTSIDE
from gateway.authz.cel.lexer import NAME
from gateway.authz.cel.parser import CONSTANTS, RESERVED

BUILT_IN: Final = frozenset({"has", "inSet", "all", "exists", "exists_one", "existsOne", "filter", "map"})


def collides(name: str, environment: Environment) -> str:
    """Why a policy may not call something of its own by this name; "" where it may."""
    if not NAME.fullmatch(name) or name in RESERVED or name in CONSTANTS or name == "in":
        return f"{name!r} cannot be a name"
    if name in {variable.partition(".")[0] for variable in environment.variables}:
        return f"{name!r} is a name of the language already"
    if name in environment.functions or name in OUTSIDE or name in BUILT_IN:
        return f"{name!r} is a function"
    return ""


def known(name: str, names: list[str]) -> str:
    """A hint: the closest name, else all of them."""
    close = get_close_matches(name, names, 1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"


def dotted(node: syntax.Node) -> str:
    """`a.b.c` as written; "" for anything else than names and dots."""
    match node:
        case syntax.Name(name=name):
            return name
        case syntax.Select(operand=operand, field=field):
            start = dotted(operand)
            return f"{start}.{field}" if start else ""
        case _:
            return ""
