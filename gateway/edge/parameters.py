"""Query and header fields against a JSON Schema each: an object of what was sent, name by name.

Where upstreams read a name differently, the schema could be gone round; such requests are refused: a query separated by `;`, names
equal but for letter case, `a[b]` beside a declared `a`, a header field that CGI or PHP would take for a declared one.
"""

from collections.abc import Container
from typing import Any, Final

from gateway.core.form import decode_query
from gateway.core.message import Head
from gateway.core.names import folded
from gateway.edge.pointer import Finding
from gateway.edge.reading import Present, Reading, declared
from gateway.edge.schema import Schema

MOST_PARAMETERS: Final = 256
CONNECTION: Final = b"connection"


class QuerySchema:
    """What the query must be."""

    __slots__ = ("_other", "_readings", "_schema")

    def __init__(self, document: Any) -> None:
        """Raises ValueError with the place in the schema."""
        self._schema = Schema(document)
        self._readings = {name: Reading(document, schema) for name, schema in declared(document, document).items()}
        other = document.get("additionalProperties", True) if isinstance(document, dict) else True
        self._other = Reading(document, other)

    def findings(self, query: bytes | None) -> list[Finding]:
        """What is wrong with a raw query. Raises BadRequest query-invalid where it cannot be decoded."""
        raw = query or b""
        found = decode_query(raw)
        if wrong := ambiguous(raw, found, self._readings):
            return [wrong]
        return self._schema.findings({name: self._read(name, texts) for name, texts in found.items()}, len(raw))

    def _read(self, name: str, texts: list[str]) -> Present:
        return self._readings.get(name, self._other).values(texts)


def ambiguous(raw: bytes, found: dict[str, list[str]], known: Container[str]) -> Finding | None:
    """What two servers would read differently in a query; `found` is what it decodes to here."""
    if b";" in raw:
        return "", "separator"  # HTML 4 had servers take it for `&`
    if len(found) > MOST_PARAMETERS:
        return "", "maxProperties"
    if len({name.casefold() for name in found}) != len(found):
        return "", "duplicate"
    for name in found:
        if "[" in name and name not in known and name.partition("[")[0] in known:
            return "", "brackets"
    return None


class HeaderSchema:
    """What the header fields must be, by lower-case name."""

    __slots__ = ("_folded", "_readings", "_schema")

    def __init__(self, document: Any) -> None:
        """Raises ValueError with the place in the schema."""
        self._schema = Schema(document)
        self._readings = {name: Reading(document, schema) for name, schema in declared(document, document).items()}
        for name in (*self._readings, *_required(document)):
            if name != name.lower():
                raise ValueError(f"/properties: header names are written in lower case here (write '{name.lower()}')")
        self._folded = frozenset(folded(name.encode()) for name in self._readings)

    def findings(self, head: Head) -> list[Finding]:
        """What is wrong with the fields that the upstream would get."""
        gone = connection_options(head)
        sent: dict[str, Present] = {}
        for key in head.fields:
            name = key.decode("ascii")
            if key in gone:
                continue
            if name in self._readings:
                lines = [value for other, value in head.headers if other == key]
                if (value := field_value(lines, self._readings[name])) is None:
                    return [(f"/{name}", "repeated" if len(lines) > 1 else "encoding")]
                sent[name] = value
            elif folded(key) in self._folded:
                return [("", "duplicate")]
            else:
                sent[name] = head.fields[key].decode("utf-8", "replace")
        return self._schema.findings(sent, sum(map(len, head.fields.values())))


def field_value(lines: list[bytes], reading: Reading) -> Present | None:
    """A field for its schema; None for one of a single value that came twice, for what is no UTF-8, and for a list with quotes."""
    try:
        texts = [line.decode() for line in lines]
    except UnicodeDecodeError:
        return None
    if not reading.is_array:
        return reading.value(texts[0]) if len(texts) == 1 else None
    # RFC 9110 5.6.1: a list goes on over lines, and empty members do not count.
    members = [member.strip(" \t") for text in texts for member in text.split(",")]
    return None if any('"' in text for text in texts) else [reading.item.value(member) for member in members if member]


def field_lines(head: Head, key: bytes) -> list[str] | None:
    """The lines of one field as the upstream will get them; None where one is no UTF-8, or came in another spelling too."""
    plain = folded(key)
    if any(folded(other) == plain and other != key for other in head.fields):
        return None
    if key not in head.fields or key in connection_options(head):
        return []
    try:
        return [value.decode() for name, value in head.headers if name == key]
    except UnicodeDecodeError:
        return None


def connection_options(head: Head) -> frozenset[bytes]:
    """What is about the client's own connection and goes no further (RFC 9110 7.6.1), lower case."""
    if CONNECTION not in head.fields:
        return frozenset()
    lines = [value for name, value in head.headers if name == CONNECTION]
    return frozenset(option.strip(b" \t").lower() for option in b",".join(lines).split(b","))


def _required(document: Any) -> list[str]:
    named = document.get("required", []) if isinstance(document, dict) else []
    return [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
