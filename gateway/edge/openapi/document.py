"""An OpenAPI description as plain data: JSON, or the strict subset of YAML that configuration is written in. Nothing is fetched.

A reference leads to a place in the same document. Others would have the gateway open files or connections in the name of whoever
wrote the description; `bundle` tools put several files into one.
"""

import re
from pathlib import Path
from typing import Any, Final

from gateway.config.document import read
from gateway.config.regular import whole
from gateway.core.strict_json import InvalidJson, explained, parse
from gateway.edge.keywords import target

MOST_BYTES: Final = 32 * 1024 * 1024
MOST_FOLLOWED: Final = 32
"""References that lead to references."""
VERSION: Final = re.compile(r"3\.([01])\.[0-9]+", re.ASCII)
DIALECTS: Final = frozenset(
    ("https://json-schema.org/draft/2020-12/schema", "https://spec.openapis.org/oas/3.1/dialect/base", "https://spec.openapis.org/oas/3.1/dialect/2024-11-10")
)  # fmt: skip


def load(file: Path) -> bytes:
    """The bytes of a description. Raises ValueError."""
    return whole(file, MOST_BYTES)


class Document:
    """A description. `old` tells 3.0, whose schemas are not JSON Schema, from 3.1. Raises ValueError with the place."""

    __slots__ = ("old", "paths", "root")

    def __init__(self, text: bytes, name: str = "the description") -> None:
        self.root = _data(text, name)
        found = VERSION.fullmatch(str(self.root.get("openapi", "")))
        if found is None:
            raise ValueError("openapi: only descriptions of OpenAPI 3.0 and 3.1 are understood")
        self.old = found[1] == "0"
        if self.root.get("jsonSchemaDialect", next(iter(DIALECTS))) not in DIALECTS:
            raise ValueError("jsonSchemaDialect: only JSON Schema 2020-12 is understood")
        self.paths: dict[str, Any] = self.root.get("paths", {})
        if not isinstance(self.paths, dict):
            raise ValueError("paths: expected a mapping")

    def resolved(self, node: Any, place: str) -> dict[str, Any]:
        """A mapping, its references followed. Raises ValueError."""
        here = node
        for _ in range(MOST_FOLLOWED):
            if not isinstance(here, dict):
                raise ValueError(f"{place}: expected a mapping")
            if "$ref" not in here:
                return here
            here = self.target(here["$ref"], place)
        raise ValueError(f"{place}: references lead round in a circle")

    def target(self, reference: Any, place: str) -> Any:
        """What a reference names. Raises ValueError for one that leads out of the document, or nowhere."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise ValueError(f"{place}/$ref: leads out of the document; bundle the description into one file")
        found = target(self.root, reference)
        if found is None:
            raise ValueError(f"{place}/$ref: {reference[:120]} does not exist")
        return found


def _data(text: bytes, name: str) -> dict[str, Any]:
    if text.lstrip()[:1] == b"{":
        try:
            value = parse(text)
        except InvalidJson as error:
            raise ValueError(f"not a JSON document: {explained(error)}") from error
    else:
        document = read(name, text)
        if document.problems:
            raise ValueError(str(document.problems[0]))
        value = document.value
    if not isinstance(value, dict):
        raise ValueError("not an OpenAPI description")
    return value
