"""Where schemas stand within a JSON Schema: what `enum`, `const` or `default` hold only looks like one."""

from collections.abc import Iterator
from typing import Any, Final

from gateway.config.validation import suggest

ONE: Final = frozenset(
    ("not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames", "unevaluatedItems",
     "unevaluatedProperties", "contentSchema", "additionalItems")
)  # fmt: skip
LISTS: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems", "items"))
MAPS: Final = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))

TYPES: Final = ("array", "boolean", "integer", "null", "number", "object", "string")

Steps = tuple[str | int, ...]


def subschemas(schema: Any) -> Iterator[tuple[Steps, dict[str, Any]]]:
    """A schema and every schema within it that is an object, each with the way to it; references are not followed."""
    waiting: list[tuple[Steps, Any]] = [((), schema)]
    while waiting:
        at, here = waiting.pop()
        if isinstance(here, dict):
            yield at, here
            for keyword, value in here.items():
                waiting.extend(((*at, keyword, *step), child) for step, child in children(keyword, value))


def children(keyword: str, value: Any) -> Iterator[tuple[Steps, Any]]:
    """The schemas that a keyword's value holds, each with the way from the keyword to it."""
    if keyword in MAPS and isinstance(value, dict):
        yield from (((name,), child) for name, child in value.items())
    elif keyword in LISTS and isinstance(value, list):
        yield from (((number,), child) for number, child in enumerate(value))
    elif keyword in ONE:
        yield (), value


def unknown_type(schema: dict[str, Any]) -> str:
    """What is wrong with the `type` of a schema that is none of JSON Schema's, "" where nothing is."""
    value = schema.get("type")
    for name in value if isinstance(value, list) else [value]:
        if isinstance(name, str) and name not in TYPES:
            hint = suggest(name, TYPES) or f"known: {', '.join(TYPES)}"
            return f"unknown type '{name[:80]}' ({hint})"
    return ""


def target(document: Any, reference: str) -> Any:
    """What a reference within the document (`#`, `#/a/b`) points at; None where that is nothing."""
    if not reference.startswith("#"):
        return None
    here = document
    for token in reference[2:].split("/") if len(reference) > 1 else ():
        step = token.replace("~1", "/").replace("~0", "~")
        if isinstance(here, list) and step.isdecimal() and int(step) < len(here):
            here = here[int(step)]
        elif isinstance(here, dict) and step in here:
            here = here[step]
        else:
            return None
    return here
