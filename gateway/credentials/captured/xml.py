"""Answers in XML: the text of elements, found by the names on the way to them, and replaced where it stands.

No document type, so no entities of its own (CWE-611, CWE-776); UTF-8 only; what is wanted stands there once, as text alone.
"""

import re
from collections.abc import Sequence
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape

from gateway.credentials.captured.documents import Steps, Unreadable

DEEPEST: Final = 64
NAMESPACE: Final = re.compile(r"^[^ ]* ")


class XmlDocument:
    """Raises Unreadable for what is not well-formed, and for a wanted element that comes twice or holds anything but text."""

    def __init__(self, body: bytes, wanted: Sequence[Steps]) -> None:
        self._body = body
        self._wanted = frozenset(wanted)
        self._path: list[str] = []
        self._inside: Steps | None = None
        self._begin = -1
        self._text: list[str] = []
        self._found: dict[Steps, tuple[str, int, int]] = {}
        self._put: dict[Steps, bytes] = {}
        self._parser = parser = expat.ParserCreate("utf-8", " ")
        parser.StartDoctypeDeclHandler = parser.ProcessingInstructionHandler = parser.CommentHandler = self._refuse
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler, parser.XmlDeclHandler = self._said, self._declared
        parser.StartCdataSectionHandler = self._refuse
        try:
            body.decode("utf-8")
            parser.Parse(body, True)
        except (expat.ExpatError, UnicodeDecodeError):
            raise Unreadable("no well-formed XML in UTF-8") from None

    def get(self, steps: Steps) -> object:
        found = self._found.get(steps)
        return None if found is None else found[0]

    def put(self, steps: Steps, value: str) -> None:
        self._put[steps] = escape(value).encode("ascii")

    def written(self) -> bytes:
        parts, at = [], 0
        for steps in sorted(self._put, key=lambda steps: self._found[steps][1]):
            _, begin, end = self._found[steps]
            parts += [self._body[at:begin], self._put[steps]]
            at = end
        return b"".join([*parts, self._body[at:]])

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._inside is not None:
            raise Unreadable("an element where a text is wanted")
        self._path.append(NAMESPACE.sub("", name))
        if len(self._path) > DEEPEST:
            raise Unreadable(f"more than {DEEPEST} levels")
        steps = tuple(self._path)
        if steps in self._wanted:
            self._inside, self._begin, self._text = steps, -1, []

    def _said(self, text: str) -> None:
        if self._inside is not None:
            if self._begin < 0:
                self._begin = self._parser.CurrentByteIndex
            self._text.append(text)

    def _end(self, name: str) -> None:
        steps, self._inside = self._inside, None
        self._path.pop()
        if steps is None:
            return
        if steps in self._found:
            raise Unreadable("an element that is wanted once and comes twice")
        end = self._parser.CurrentByteIndex
        self._found[steps] = "".join(self._text), end if self._begin < 0 else self._begin, end

    def _declared(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() != "utf-8":
            raise Unreadable("XML that is not in UTF-8")

    def _refuse(self, *_: object) -> None:
        raise Unreadable("XML with a document type, comments, instructions or sections")
