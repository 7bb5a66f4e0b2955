"""What clients are told of an operation: what it is held against, and a line of what it is for. Nothing else of the description.

A description is written for those who may know the upstream. So a schema is told as the keywords that judge values, and no others:
no words of its author's, no examples, no extensions; servers and security are never looked at. A `summary` is told where it is
one short line in which nothing looks like an address.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gateway.edge.keywords import LISTS, MAPS, ONE
from gateway.edge.openapi.dialect import OLD
from gateway.edge.openapi.templates import literal

JUDGING: Final = OLD | frozenset(
    ("$ref", "const", "exclusiveMinimum", "exclusiveMaximum", "prefixItems", "contains", "minContains", "maxContains",
     "patternProperties", "propertyNames", "dependentRequired", "dependentSchemas", "if", "then", "else", "unevaluatedItems",
     "unevaluatedProperties")
)  # fmt: skip
OURS: Final = re.compile(r"s[0-9]+")
"""How `dialect` names what schemas refer to."""
MOST: Final = 64 * 1024
"""Bytes that are told of one route's operations together."""
KEPT: Final = 16 * 1024 * 1024
"""Bytes that are kept of all operations of a description: each brings with it what it refers to."""
SHORTEST: Final = 3
"""Bytes of a schema in JSON, with the comma that parts it from the next."""
LONGEST: Final = 120
ADDRESS: Final = re.compile(r"\w[.:]\w|//|\\\\|@|\[|[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""A name with a dot in it, a port, an IPv6 address, a UNC path, a mailbox; and what breaks a line."""


class Told(NamedTuple):
    """An operation as it may be told: `document` is JSON with its parameters and body, None where it is over MOST."""

    method: str
    path: str
    rest: bool
    summary: str
    document: bytes | None


class Telling:
    """Makes what is told of a description's operations, until all of it has KEPT bytes: the rest is named only."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._room = KEPT

    def add(
        self, name: str, node: Mapping[str, Any], parameters: Any, body: Mapping[str, Any] | None, *, required: bool, rest: bool
    ) -> None:
        """`name` is method and path, `parameters` and `body` (by media type) are the schemas that are enforced."""
        method, _, path = name.partition(" ")
        text = None
        if self._room > 0:
            text = _text(parameters, body, required=required)
            self._room -= MOST if text is None else len(text)
        self.told.append(Told(method, path, rest, _summary(node.get("summary")), text))


def _text(parameters: Any, body: Mapping[str, Any] | None, *, required: bool) -> bytes | None:
    """As JSON, None for more than MOST."""
    judging = Judging()
    try:
        document: dict[str, Any] = {"parameters": judging.alone(_stated(parameters))}
        if body is not None:
            document |= {"body": {type_: judging.alone(schema) for type_, schema in body.items()}, "body_required": required}
    except TooMuchError:
        return None
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    return text if len(text) <= MOST else None


class TooMuchError(Exception):
    """More keywords than there is room for."""


class Judging:
    """Makes schemas with nothing in them but what judges values. Raises TooMuchError once they cannot be within MOST."""

    def __init__(self) -> None:
        self._left = MOST // SHORTEST

    def alone(self, schema: Any) -> Any:
        """A schema with what it refers to."""
        made = self._of(schema)
        defined = schema.get("$defs") if isinstance(schema, dict) else None
        if isinstance(defined, dict) and (ours := {name: self._of(each) for name, each in defined.items() if OURS.fullmatch(name)}):
            made["$defs"] = ours
        return made

    def _of(self, schema: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise TooMuchError
        if not isinstance(schema, dict):
            return schema
        return {keyword: self._value(keyword, value) for keyword, value in schema.items() if keyword in JUDGING}

    def _value(self, keyword: str, value: Any) -> Any:
        if keyword in MAPS and isinstance(value, dict):
            return {name: self._of(child) for name, child in value.items()}
        if keyword in LISTS and isinstance(value, list):
            return [self._of(child) for child in value]
        return self._of(value) if keyword in ONE else value


def _stated(parameters: dict[str, Any]) -> dict[str, Any]:
    """The schema of all parameters, without the places that say nothing."""
    places = parameters["properties"]
    said = {place: each for place, each in places.items() if each["properties"] or "additionalProperties" in each}
    return {**parameters, "properties": said}


def _summary(text: Any) -> str:
    return text if isinstance(text, str) and len(text) <= LONGEST and ADDRESS.search(text) is None else ""


def meets(pattern: tuple[str, ...], path: str, *, rest: bool) -> bool:
    """Whether a route's pattern (routing.Pattern.segments) and a template have a path in common, as far as literals tell."""
    template = path[1:].split("/")
    for index, segment in enumerate(pattern):
        if index >= len(template):
            return rest
        if segment == "**":
            return True
        here = template[index]
        if segment not in ("{}", "*") and "{" not in here and segment != literal(here):
            return False
    return len(pattern) == len(template)
