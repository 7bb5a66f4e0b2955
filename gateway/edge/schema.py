"""One JSON Schema (2020-12, formats asserted), compiled. jsonschema-rs is known to this file only, imported where a schema is.

The schema stands alone: nothing is fetched and no file is read for a reference. Its patterns run in linear time, so that no
body can make one backtrack; a pattern that needs look-around is refused at load.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from gateway.core.strict_json import InvalidJson, explained, parse
from gateway.edge.formats import KNOWN, OWN, refuse_unknown
from gateway.edge.keywords import subschemas
from gateway.edge.pointer import Finding, pointer

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MAX_FINDINGS: Final = 10
LISTED: Final = 4096
"""Bytes up to which a body's errors are listed; of a larger one only the first, as the library finds them all at once."""


class Schema:
    """A compiled schema. Raises ValueError with the place, as a JSON Pointer into the schema, where it is none of ours."""

    __slots__ = ("_error", "_validator")

    def __init__(self, document: Any, more: Mapping[str, Callable[[str], bool]] = MappingProxyType({})) -> None:
        """`document` is what `load` gives; `more` are formats beside those of `formats`."""
        import jsonschema_rs

        refuse_unknown(document, KNOWN | more.keys())
        self._error = jsonschema_rs.ValidationError
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                document,
                formats={**OWN, **more},
                validate_formats=True,
                ignore_unknown_formats=False,
                pattern_options=jsonschema_rs.RegexOptions(),
                offline=True,
            )
        except jsonschema_rs.ValidationError as error:
            raise ValueError(f"{pointer(error.instance_path) or 'schema'}: {error.message}") from error

    def findings(self, value: Any, size: int) -> list[Finding]:
        """What is wrong with a value whose text has `size` bytes; nothing if it is valid."""
        try:
            self._validator.validate(value)
        except self._error as first:
            errors = [first] if size > LISTED else list(self._validator.iter_errors(value))[:MAX_FINDINGS]
            return [(pointer(error.instance_path), error.kind.name) for error in errors]
        return []


def load(text: bytes) -> Any:
    """The schema document. Raises ValueError."""
    try:
        document = parse(text)
    except InvalidJson as error:
        raise ValueError(f"not a JSON document: {explained(error)}") from error
    if not isinstance(document, (dict, bool)):
        raise ValueError("a JSON Schema is an object")
    for steps, here in subschemas(document):
        if here.get("$schema", DIALECT) != DIALECT:
            raise ValueError(f"{pointer((*steps, '$schema'))}: only {DIALECT} is understood")
    return document
