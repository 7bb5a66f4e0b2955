"""Schemas of a description as JSON Schema 2020-12, each with all it refers to, so that it stands alone.

3.0 wrote `nullable`, and `exclusiveMinimum: true` beside `minimum`; what stood beside a `$ref` did not count. In requests a
property that is `readOnly` is refused, and no more required: clients that set what only the server may set are how mass
assignment works (OWASP API3). In answers the same goes for `writeOnly`. `discriminator` only speeds up what `oneOf` says.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from gateway.config.validation import suggest
from gateway.edge.formats import KNOWN
from gateway.edge.keywords import LISTS, MAPS, ONE, unknown_type
from gateway.edge.openapi.document import Document
from gateway.edge.reading import parts

BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII)
RANGES: Final = {"int32": 2**31, "int64": 2**63}


def _anything(_: str) -> bool:
    return True


def _is_base64(text: str) -> bool:
    return BASE64.fullmatch(text) is not None


FORMATS: Final[dict[str, Callable[[str], bool]]] = {
    **dict.fromkeys(("int32", "int64", "float", "double", "password", "binary"), _anything),
    "byte": _is_base64,
}
"""Formats that OpenAPI adds. The ranges of numbers become bounds; how a password is shown is nothing to check."""

OLD: Final = frozenset(
    ("type", "enum", "multipleOf", "maximum", "minimum", "maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems",
     "maxProperties", "minProperties", "required", "format", "allOf", "oneOf", "anyOf", "not", "items", "properties",
     "additionalProperties")
)  # fmt: skip
"""What of a 3.0 schema says something about values, `nullable` and the exclusive bounds aside."""
ELSEWHERE: Final = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$schema", "$recursiveRef")


class Dialect:
    """Translates the schemas of one document. `hidden` is the keyword of properties that may not come: readOnly or writeOnly."""

    def __init__(self, document: Document, *, hidden: str, lenient: bool = False) -> None:
        """`lenient`: formats that nothing checks are passed over."""
        self._document = document
        self._hidden = hidden
        self._lenient = lenient
        self._names: dict[str, str] = {}
        self._made: dict[str, Any] = {}
        self._uses: dict[str, set[str]] = {}
        self._waiting: list[tuple[str, Any]] = []

    def alone(self, schema: Any, place: str) -> Any:
        """A schema with everything it refers to under `$defs`. Raises ValueError with the place."""
        used: set[str] = set()
        made = self.translated(schema, place, used)
        while self._waiting:
            reference, found = self._waiting.pop()
            name = self._names[reference]
            self._made[name] = self.translated(found, reference, self._uses[name])
        needed = self._closure(used)
        if not needed:
            return made
        return {**(made if isinstance(made, dict) else {}), "$defs": {name: self._made[name] for name in sorted(needed)}}

    def translated(self, schema: Any, place: str, used: set[str]) -> Any:
        """A schema; the names of what it refers to are added to `used`."""
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise ValueError(f"{place}: a schema is a mapping")
        if self._document.old and "$ref" in schema:
            return {"$ref": self._reference(schema["$ref"], place, used)}
        for keyword in ELSEWHERE:
            if keyword in schema:
                raise ValueError(f"{place}/{keyword}: is not supported; refer to `#/components/schemas/...`")
        made = {key: self._keyword(key, value, f"{place}/{key}", used) for key, value in schema.items() if self._counts(key)}
        if wrong := unknown_type(made):
            raise ValueError(f"{place}/type: {wrong}")
        self._judge_format(made, place)
        self._hide(made, schema)
        _bound(made)
        return _of_old(made, schema) if self._document.old else made

    def _counts(self, keyword: str) -> bool:
        return not self._document.old or keyword in OLD

    def _keyword(self, keyword: str, value: Any, place: str, used: set[str]) -> Any:
        if keyword == "$ref":
            return self._reference(value, place.removesuffix("/$ref"), used)
        if keyword in MAPS and isinstance(value, dict):
            return {name: self.translated(child, f"{place}/{name}", used) for name, child in value.items()}
        if keyword in LISTS and isinstance(value, list):
            return [self.translated(child, f"{place}/{number}", used) for number, child in enumerate(value)]
        return self.translated(value, place, used) if keyword in ONE else value

    def _reference(self, reference: Any, place: str, used: set[str]) -> str:
        found = self._document.target(reference, place)
        name = self._names.get(reference)
        if name is None:
            name = self._names[reference] = f"s{len(self._names)}"
            self._uses[name] = set()
            self._waiting.append((reference, found))
        used.add(name)
        return f"#/$defs/{name}"

    def _closure(self, used: set[str]) -> set[str]:
        found: set[str] = set()
        waiting = list(used)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self._uses[name]
        return found

    def _judge_format(self, made: dict[str, Any], place: str) -> None:
        name = made.get("format")
        if not isinstance(name, str) or name in KNOWN or name in FORMATS:
            return
        if self._lenient:
            del made["format"]
            return
        hint = suggest(name, sorted({*KNOWN, *FORMATS})) or "`unknown_formats: ignore` passes over such formats"
        raise ValueError(f"{place}/format: unknown format '{name[:80]}' ({hint})")

    def _hide(self, made: dict[str, Any], schema: dict[str, Any]) -> None:
        properties = made.get("properties")
        original = schema.get("properties")
        if not isinstance(properties, dict) or not isinstance(original, dict):
            return
        hidden = {name for name, child in original.items() if self._is_hidden(child)}
        if hidden:
            made["properties"] = {name: name not in hidden and child for name, child in properties.items()}
            if isinstance(made.get("required"), list):
                made["required"] = [name for name in made["required"] if name not in hidden]

    def _is_hidden(self, schema: Any) -> bool:
        if not isinstance(schema, dict):
            return False
        whole = [schema, *(schema["allOf"] if isinstance(schema.get("allOf"), list) else [])]
        return any(part.get(self._hidden) is True for part in (self._target(each) for each in whole if isinstance(each, dict)))

    def _target(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A schema itself or what it refers to."""
        if "$ref" not in schema:
            return schema
        return next((part for part in parts(self._document.root, schema) if "$ref" not in part), schema)


def _bound(made: dict[str, Any]) -> None:
    """The ranges of int32 and int64 as bounds."""
    most = RANGES.get(str(made.get("format")))
    if most is not None and made.get("type") == "integer":
        low, high = made.get("minimum"), made.get("maximum")
        made["minimum"] = max(low, -most) if isinstance(low, int | float) else -most
        made["maximum"] = min(high, most - 1) if isinstance(high, int | float) else most - 1


def _of_old(made: dict[str, Any], schema: dict[str, Any]) -> Any:
    """What 3.0 said otherwise: exclusive bounds by a flag, and null by `nullable`."""
    for flag, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if schema.get(flag) is True and bound in made:
            made[flag] = made.pop(bound)
    if schema.get("nullable") is not True:
        return made
    if isinstance(made.get("enum"), list) and None not in made["enum"]:
        made["enum"] = [*made["enum"], None]
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return {"anyOf": [made, {"type": "null"}]} if {"allOf", "anyOf", "oneOf", "not"} & made.keys() else made
