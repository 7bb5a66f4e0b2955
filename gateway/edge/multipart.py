"""multipart/form-data (RFC 7578) in the one form that every parser reads alike; the rest of what RFC 2046 allows is refused.

No preamble, no epilogue, no white space behind a boundary, lines that end with CRLF, no folded or repeated fields, no other fields
than Content-Disposition and Content-Type, parameters in quotes and once each, no `filename*`, no backslashes. What parsers read
differently gets past a filter.
"""

import re
from typing import Final

from gateway.edge.formats import is_single_line

MOST_HEAD: Final = 4096
TYPE: Final = re.compile(r"multipart/form-data[ ]?;[ ]?boundary=(?:\"([^\"\\]{1,70})\"|([^\";, ]{1,70}))", re.IGNORECASE)
BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]", re.ASCII)
FIELD: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)")
DISPOSITION: Final = re.compile(r'(form-data|attachment|inline)((?:; ?[a-z]+="[^"\\]*")*)')
PARAMETER: Final = re.compile(r'; ?([a-z]+)="([^"\\]*)"')


class Malformed(ValueError):
    """Not in the one form; the text is a keyword that names the rule."""


class Part:
    """One part: its name, the name of its file (None for a field), its media type as claimed ("" where none is), its content."""

    __slots__ = ("content", "file_name", "media_type", "name")

    def __init__(self, name: str, file_name: str | None, media_type: str, content: bytes) -> None:
        self.name = name
        self.file_name = file_name
        self.media_type = media_type
        self.content = content


def boundary(content_type: str) -> bytes:
    """The boundary that a Content-Type names. Raises Malformed."""
    found = TYPE.fullmatch(content_type.strip(" \t"))
    text = None if found is None else found[1] or found[2]
    if text is None or BOUNDARY.fullmatch(text) is None:
        raise Malformed("boundary")
    return text.encode("ascii")


def parts(body: bytes, separator: bytes, most: int) -> list[Part]:
    """The parts of a whole body, at most `most`. Raises Malformed."""
    delimiter = b"\r\n--" + separator
    if not body.startswith(delimiter[2:] + b"\r\n"):
        raise Malformed("preamble")
    found: list[Part] = []
    here = len(delimiter)
    while True:
        end = body.find(delimiter, here - 2)
        if end < 0:
            raise Malformed("end")
        if len(found) == most:
            raise Malformed("parts")
        found.append(_part(body[here:end]))
        here = end + len(delimiter) + 2
        mark = body[here - 2 : here]
        if mark == b"--":
            break
        if mark != b"\r\n":
            raise Malformed("boundary")
    if body[here:] not in {b"", b"\r\n"}:
        raise Malformed("epilogue")
    return found


def _part(raw: bytes) -> Part:
    head, blank, content = raw.partition(b"\r\n\r\n")
    if not blank or len(head) > MOST_HEAD:
        raise Malformed("head")
    fields = _fields(head)
    if not {"content-disposition"} <= fields.keys() <= {"content-disposition", "content-type"}:
        raise Malformed("fields")
    kind, parameters = disposition(fields["content-disposition"])
    if kind != "form-data" or "name" not in parameters or parameters["name"] == "_charset_":
        raise Malformed("disposition")
    return Part(parameters["name"], parameters.get("filename"), fields.get("content-type", "").strip(" \t").lower(), content)


def _fields(head: bytes) -> dict[str, str]:
    try:
        lines = head.decode().split("\r\n")
    except UnicodeDecodeError as error:
        raise Malformed("encoding") from error
    fields: dict[str, str] = {}
    for line in lines:
        field = FIELD.fullmatch(line)
        if field is None or not is_single_line(line.replace("\t", " ")) or field[1].lower() in fields:
            raise Malformed("fields")
        fields[field[1].lower()] = field[2]
    return fields


def disposition(value: str) -> tuple[str, dict[str, str]]:
    """What a Content-Disposition says: its kind and its parameters, `name` and `filename` alone. Raises Malformed."""
    found = DISPOSITION.fullmatch(value.strip(" \t"))
    listed = [] if found is None else PARAMETER.findall(found[2])
    parameters = dict(listed)
    if found is None or len(parameters) != len(listed) or not parameters.keys() <= {"name", "filename"}:
        raise Malformed("disposition")
    return found[1], parameters
