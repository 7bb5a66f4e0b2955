"""One parameter of an operation: where it stands in a request, how it is written there, how its text is read.

Styles that cannot be read in one way only, or not here, are an error at load; none is passed over.
"""

from typing import Any, Final

from gateway.core.strict_json import parse
from gateway.edge.openapi.document import Document
from gateway.edge.reading import Present, Reading, declared

PLACES: Final = frozenset(("path", "query", "header", "cookie"))
STYLES: Final = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
SEPARATORS: Final = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
NOT_PARAMETERS: Final = frozenset(("accept", "content-type", "authorization"))
"""Header fields that a description has other words for; as parameters they do not count (OpenAPI 3.1 4.8.12.1)."""


class Parameter:
    """One parameter. `name` is in lower case for a header; `fields` are the readings of a deepObject's members by name."""

    __slots__ = ("_separator", "fields", "is_json", "name", "place", "reading", "required", "schema")

    def __init__(self, document: Document, node: dict[str, Any], place: str) -> None:
        """Raises ValueError with the place in the document."""
        self.place: str = node.get("in", "")
        if self.place not in PLACES or not isinstance(node.get("name"), str):
            raise ValueError(f"{place}: a parameter has a `name`, and stands `in` the path, query, header or cookie")
        self.name: str = node["name"].lower() if self.place == "header" else node["name"]
        self.required = self.place == "path" or node.get("required") is True
        self.is_json = "content" in node
        self.schema: Any = _of_content(node["content"], place) if self.is_json else node.get("schema", True)
        if node.get("allowEmptyValue") is True:
            self.schema = {"anyOf": [self.schema, {"enum": [""]}]}
        self.reading = Reading(document.root, self.schema)
        style = node.get("style", STYLES[self.place])
        explode = node.get("explode", style == "form")
        self.fields = self._deep(document, style, place)
        if not self.is_json and self.fields is None:
            self._judge(style, place)
        self._separator = None if explode and self.place in {"query", "cookie"} else SEPARATORS.get(style)

    def _deep(self, document: Document, style: str, place: str) -> dict[str, Reading] | None:
        if style != "deepObject":
            return None
        if self.place != "query":
            raise ValueError(f"{place}/style: deepObject is for queries")
        found = declared(document.root, self.schema)
        readings = {name: Reading(document.root, schema) for name, schema in found.items()}
        if not readings or any(reading.is_array or reading.is_object for reading in readings.values()):
            raise ValueError(f"{place}/style: a deepObject needs properties that are text, numbers or booleans")
        return readings

    def _judge(self, style: str, place: str) -> None:
        allowed = {"query": {"form", "spaceDelimited", "pipeDelimited"}, "cookie": {"form"}}.get(self.place, {"simple"})
        if style not in allowed:
            raise ValueError(f"{place}/style: '{str(style)[:40]}' is not supported in the {self.place}")
        if self.reading.is_object:
            raise ValueError(f"{place}/schema: an object is only supported as deepObject, or as JSON by `content`")
        if self.place == "cookie" and self.reading.is_array:
            raise ValueError(f"{place}/schema: a list in a cookie is not supported")

    def read(self, texts: list[str]) -> Present:
        """The value of what came. Raises InvalidJson where it should be JSON and is not; one that came twice is a list."""
        if self.is_json:
            found: Present = list(texts) if len(texts) > 1 else parse(texts[0].encode("utf-8", "surrogatepass"))
            return found
        if self.reading.is_array and self._separator is not None:
            return list(texts) if len(texts) > 1 else self.reading.values(texts[0].split(self._separator))
        return self.reading.values(texts)


def _of_content(content: Any, place: str) -> Any:
    if not isinstance(content, dict) or list(content) != ["application/json"] or not isinstance(content["application/json"], dict):
        raise ValueError(f"{place}/content: only application/json is supported in a parameter")
    return content["application/json"].get("schema", True)
