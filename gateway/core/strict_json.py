"""JSON as RFC 8259 has it, and nothing that two parsers could read differently (RFC 7493, I-JSON).

The upstream parses the same bytes again with a parser we do not know. Where parsers differ, what was validated here would not
be what is obeyed there; such documents are refused.
"""

import json
import re
from math import isfinite
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 64
HALF: Final = re.compile(r"\\u[dD]")
"""What may be the escape of half a surrogate pair."""


class InvalidJson(ValueError):
    """Not a document we accept; the text is a keyword that names the rule: json, duplicate, member, number, string, depth."""


REASONS: Final = {
    "json": "it is not UTF-8",
    "duplicate": "a member comes twice in one object",
    "member": "the name of a member holds NUL",
    "number": "a number that not every parser reads alike",
    "string": "a string with half a surrogate pair",
    "depth": f"more than {MAX_DEPTH} levels",
}


def explained(error: InvalidJson) -> str:
    """What is wrong with a document that somebody on our side wrote: `line:column: reason` where the parser tells a place."""
    cause = error.__cause__
    if isinstance(cause, json.JSONDecodeError):
        return f"{cause.lineno}:{cause.colno}: {cause.msg}"
    return REASONS.get(str(error), str(error))


def parse(body: bytes) -> Any:
    """The document's value. Raises InvalidJson.

    Refused: invalid UTF-8 and a byte order mark; a member that comes twice in one object, also in other letter case (Go's
    parser takes the last of either), or whose name holds NUL; NaN, Infinity, and numbers beyond a double; unpaired surrogates;
    more than 64 levels.
    """
    try:
        text = body.decode("utf-8")
        value = json.loads(text, object_pairs_hook=members, parse_constant=not_a_number, parse_float=finite, parse_int=whole)
    except InvalidJson:
        raise
    except RecursionError as error:
        raise InvalidJson("depth") from error
    except ValueError as error:
        raise InvalidJson("json") from error
    if text.count("[") + text.count("{") > MAX_DEPTH:
        measure(value)
    if HALF.search(text):
        complete(value)
    return value


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """One object. Raises InvalidJson for names that are not distinct."""
    found = dict(pairs)
    if len({name.casefold() for name in found}) != len(pairs):
        raise InvalidJson("duplicate")
    if any("\0" in name for name in found):
        raise InvalidJson("member")
    return found


def not_a_number(_: str) -> NoReturn:
    """NaN and Infinity are no JSON, though Python reads them."""
    raise InvalidJson("number")


def finite(text: str) -> float:
    """A number with fraction or exponent; 1e999 would be infinite to some and an error to others."""
    value = float(text)
    if not isfinite(value):
        raise InvalidJson("number")
    return value


def whole(text: str) -> int:
    """An integer, of as many digits as a double can have."""
    if len(text) > 310:
        raise InvalidJson("number")
    return int(text)


def measure(value: Any) -> None:
    """Raises InvalidJson where objects and arrays are nested too deeply."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in children(node) if isinstance(child, (dict, list))]
        if not level:
            return
    raise InvalidJson("depth")


def complete(value: Any) -> None:
    """Raises InvalidJson for a string with half a surrogate pair: no encoder can write it back."""
    level = [value]
    while level:
        for node in level:
            for text in node if isinstance(node, dict) else (node,):
                if isinstance(text, str) and not text.isascii():
                    encodable(text)
        level = [child for node in level for child in children(node)]


def encodable(text: str) -> None:
    """Raises InvalidJson for what UTF-8 cannot carry."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidJson("string") from error


def children(node: Any) -> Any:
    """What an object or array holds."""
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()
