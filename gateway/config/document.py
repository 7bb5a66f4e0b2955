"""A YAML file as plain data with a position for every node. The only file that knows PyYAML.

Read is a strict subset of YAML 1.2: one document, string keys, the core schema; no duplicate keys, aliases, anchors,
tags, merge keys or directives. Whatever the bytes are, `read` returns a Document; what is wrong with it is in `problems`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from gateway.config.node import Document, Mark, Steps, dotted
from gateway.config.regular import content
from gateway.config.scalar import Scalar, resolve
from gateway.core.errors import Problem

__all__ = ["Document", "Steps", "dotted", "read", "read_text"]

LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 64
MAX_NODES: Final = 1_000_000
MAX_PROBLEMS: Final = 100

# YAML 1.2 5.1 printable characters, without U+0085, U+2028 and U+2029: versions of YAML disagree whether these end a line, so
# what a reviewer reads as a comment could be a setting.
UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")

CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

HINTS: Final = {
    "mapping values are not allowed": "check the indentation, and quote a value that contains ': '",
    "cannot start any token": "indent with spaces, not tabs, and quote a value that begins with a special character",
    "did not find expected key": "check the indentation and the quotes of the lines above",
    "did not find expected '-' indicator": "check the indentation of the list",
    "could not find expected ':'": "a key needs a colon and a space after it",
    "unexpected end of stream": "a quote is opened and never closed",
}


def read(path: Path | str, text: str | bytes | None = None) -> Document:
    """Read a file, or `text` in its name. Never raises for what the file contains or for a file that cannot be read."""
    try:
        return parse(str(path), read_text(Path(path)) if text is None else _decoded(text))
    except ValueError as error:
        return _failed(str(path), str(error))


def read_text(path: Path) -> str:
    """A whole file of bounded size as text, without byte order mark. Raises ValueError that does not name the file."""
    try:
        return _decoded(content(path, MAX_BYTES))
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or 'input error'}") from error


def _decoded(text: str | bytes) -> str:
    try:
        raw = text.encode() if isinstance(text, str) else text
        if len(raw) > MAX_BYTES:
            raise ValueError(f"is larger than {MAX_BYTES // 1024**2} MiB")
        return raw.decode("utf-8-sig")
    except UnicodeError as error:
        raise ValueError("is not UTF-8 text") from error


def _failed(file: str, message: str) -> Document:
    return Document(file, "", None, 0, [Problem(file, 1, 1, "", message)])


def parse(file: str, text: str, loader: Any = LOADER) -> Document:
    """Text -> Document."""
    document = Document(file, text, None, 0, [])
    if found := UNPRINTABLE.search(text):
        line, column = document.line_column(found.start())
        document.problems.append(Problem(file, line, column, "", f"the character U+{ord(found[0]):04X} is not allowed"))
        return document
    builder = _Builder(document)
    try:
        builder.build(yaml.parse(text, Loader=loader))
    except _Stop:
        document.value, document.marks = None, 0
    except yaml.YAMLError as error:
        document.value, document.marks = None, 0
        document.problems.append(_syntax(document, error))
    return document


def _syntax(document: Document, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    message = getattr(error, "problem", None) or "not YAML"
    line, column = document.line_column(min(mark.index, len(document.text))) if mark is not None else (1, 1)
    hint = next((hint for words, hint in HINTS.items() if words in message), "")
    return Problem(document.file, line, column, "", f"not YAML: {message}", hint)


def _offset(event: Event) -> int:
    return event.start_mark.index if event.start_mark is not None else 0


class _Stop(Exception):
    """No more of this file is looked at."""


class _Frame:
    """A collection being read. `pending` is a mapping's key whose value is next; its name is None where it was refused."""

    __slots__ = ("as_key", "items", "marks", "pending", "start")

    def __init__(self, items: Any, start: int, as_key: bool = False) -> None:
        self.items = items
        self.marks: Any = type(items)()
        self.start = start
        self.as_key = as_key
        self.pending: tuple[str | None, int] | None = None

    def wants_key(self) -> bool:
        return isinstance(self.items, dict) and self.pending is None


class _Builder:
    """Turns parser events into data and marks, without recursion; reports what the subset leaves out."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.root = _Frame([], 0)
        self.stack = [self.root]
        self.documents = 0
        self.nodes = 0

    def build(self, events: Iterator[Event]) -> None:
        for event in events:
            self._take(event)
        if self.root.items:
            self.document.value, self.document.marks = self.root.items[0], self.root.marks[0]

    def _take(self, event: Event) -> None:
        if isinstance(event, ScalarEvent):
            self._scalar(event)
        elif isinstance(event, CollectionStartEvent):
            self._open(event)
        elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            self._close()
        elif isinstance(event, AliasEvent):
            self._report(_offset(event), "aliases are not allowed", "write the value out")
            self._settle(None, _offset(event))
        elif isinstance(event, DocumentStartEvent):
            self._begin(event)

    def _begin(self, event: DocumentStartEvent) -> None:
        self.documents += 1
        if event.version or event.tags:
            self._report(_offset(event), "directives are not allowed", "remove the line that begins with %")
        if self.documents > 1:
            self._report(_offset(event), "a file holds one document", "move what follows --- to another file")
            raise _Stop

    def _scalar(self, event: ScalarEvent) -> None:
        self._check(event)
        if self.stack[-1].wants_key():
            self.stack[-1].pending = (self._key(event), _offset(event))
        else:
            self._put(self._typed(event), _offset(event))

    def _typed(self, event: ScalarEvent) -> Scalar:
        try:
            # An escape in double quotes can spell what may not stand in the file itself.
            if event.style and CONTROL.search(event.value):
                raise ValueError("control characters are not allowed, escaped neither")
            return event.value if event.style else resolve(event.value)
        except ValueError as error:
            self._report(_offset(event), str(error), "" if event.style else "quote it if it is text")
            return None

    def _key(self, event: ScalarEvent) -> str | None:
        """The key, None when it is refused."""
        frame, at = self.stack[-1], _offset(event)
        key = self._typed(event)
        if key == "<<" and not event.style:
            self._report(at, "merge keys are not allowed", "write the keys out")
            return None
        if not isinstance(key, str):
            self._report(at, "a key is a string", f'write "{event.value[:40]}"')
            return None
        if key in frame.items:
            first, _ = self.document.line_column(frame.marks[key][0])
            self._report(at, f"duplicate key '{key[:80]}'", f"first on line {first}")
            return None
        return key

    def _open(self, event: CollectionStartEvent) -> None:
        self._check(event)
        at = _offset(event)
        as_key = self.stack[-1].wants_key()
        if as_key:
            self._report(at, "a key is a string", "a list or mapping cannot be a key")
        if len(self.stack) > MAX_DEPTH:
            self._report(at, f"nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        self.stack.append(_Frame({} if isinstance(event, MappingStartEvent) else [], at, as_key))

    def _close(self) -> None:
        frame = self.stack.pop()
        if frame.as_key:
            self.stack[-1].pending = (None, frame.start)
        else:
            self._put(frame.items, (frame.start, frame.marks))

    def _settle(self, value: Any, at: int) -> None:
        """Something refused stands where a key or a value should be."""
        if self.stack[-1].wants_key():
            self.stack[-1].pending = (None, at)
        else:
            self._put(value, at)

    def _put(self, value: Any, mark: Mark) -> None:
        frame = self.stack[-1]
        if frame.pending is None:
            frame.items.append(value)
            frame.marks.append(mark)
            return
        (key, offset), frame.pending = frame.pending, None
        if key is not None:
            frame.items[key] = value
            frame.marks[key] = (offset, mark)

    def _check(self, event: ScalarEvent | CollectionStartEvent) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self._report(_offset(event), f"more than {MAX_NODES} values in one file")
            raise _Stop
        if event.anchor is not None:
            self._report(_offset(event), "anchors are not allowed", "write the value out where it is needed")
        if event.tag is not None:
            self._report(_offset(event), "tags are not allowed", "quote the value if it begins with !")

    def _report(self, offset: int, message: str, hint: str = "") -> None:
        line, column = self.document.line_column(offset)
        self.document.problems.append(Problem(self.document.file, line, column, "", message, hint))
        if len(self.document.problems) >= MAX_PROBLEMS:
            raise _Stop
