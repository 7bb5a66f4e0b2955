"""How the text of a parameter is read for a schema: queries and header fields are text, schemas speak of numbers and booleans.

Only canonical text becomes another type (`12`, `-1.5`, `true`); `012`, `1e3`, `+1` or `TRUE` stay text and fail a schema that wants
a number or a boolean, as the upstream may read them in ways of its own. What is forwarded is what came, to the byte.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from gateway.edge.keywords import target

INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,15}", re.ASCII)
BOOLEANS: Final = {"true": True, "false": False}
KINDS: Final = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
MOST_FOLLOWED: Final = 64
"""References and combinations looked through for a parameter's types."""

Present = str | int | float | bool | list[Any] | dict[str, Any]


class Reading:
    """What text may become for one schema. `is_array`: the schema takes a list, whose items are read by `item`."""

    __slots__ = ("_boolean", "_integer", "_number", "is_array", "is_object", "item")

    def __init__(self, document: Any, schema: Any, *, inner: bool = False) -> None:
        types = frozenset(_types(document, schema))
        self._integer = bool(types & {"integer", "number"})
        self._number = "number" in types
        self._boolean = "boolean" in types
        self.is_array = "array" in types and not inner  # a list of lists cannot be written
        self.is_object = "object" in types
        self.item = Reading(document, next(_items(document, schema), True), inner=True) if self.is_array else self

    def value(self, text: str) -> Present:
        """One value."""
        if self._integer and INTEGER.fullmatch(text):
            return int(text)
        if self._number and NUMBER.fullmatch(text):
            return float(text)
        return BOOLEANS.get(text, text) if self._boolean else text

    def values(self, texts: list[str]) -> Present:
        """What came under one name: a list where the schema takes one, or where it came more than once."""
        if self.is_array:
            return [self.item.value(text) for text in texts]
        return self.value(texts[0]) if len(texts) == 1 else list(texts)


def parts(document: Any, schema: Any) -> Iterator[dict[str, Any]]:
    """A schema and all that it refers to or is combined of, for the same value."""
    waiting, seen = [schema], 0
    while waiting and seen < MOST_FOLLOWED:
        here = waiting.pop(0)
        seen += 1
        if not isinstance(here, dict):
            continue
        yield here
        if isinstance(reference := here.get("$ref"), str):
            waiting.append(target(document, reference))
        for keyword in ("allOf", "anyOf", "oneOf"):
            if isinstance(among := here.get(keyword), list):
                waiting += among


def _types(document: Any, schema: Any) -> Iterator[str]:
    for part in parts(document, schema):
        named = part.get("type")
        if isinstance(named, str):
            yield named
        elif isinstance(named, list):
            yield from (each for each in named if isinstance(each, str))
        else:
            listed = part["enum"] if isinstance(part.get("enum"), list) else []
            yield from (KINDS.get(type(value), "null") for value in [*listed, *([part["const"]] if "const" in part else [])])


def _items(document: Any, schema: Any) -> Iterator[Any]:
    for part in parts(document, schema):
        if "items" in part:
            yield part["items"]


def declared(document: Any, schema: Any) -> dict[str, Any]:
    """The properties of an object schema, also of those it is combined of, by name."""
    found: dict[str, Any] = {}
    for part in parts(document, schema):
        properties = part.get("properties")
        for name, schema in properties.items() if isinstance(properties, dict) else ():
            found.setdefault(name, schema)
    return found
