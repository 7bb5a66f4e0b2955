"""A reader of Protocol Buffers text format, as far as the CEL conformance files use it.

A message becomes a list of (field, value) pairs in order; a value is a message, str, bytes, number, bool or a bare word.
"""

import re
from typing import Any

TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<number>-?(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?f?))"""
    r"""|(?P<word>-?[A-Za-z_][A-Za-z0-9_]*)|(?P<mark>[{}<>:\[\],;./-])""",
    re.VERBOSE,
)
ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, "'": 39, '"': 34, "?": 63}
ESCAPE = re.compile(rb"\\(?:([abfnrtv\\'\"?])|([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")

Message = list[tuple[str, Any]]


def read(text: str) -> Message:
    """A whole file."""
    tokens = [(found.lastgroup, found[0]) for found in _scan(text) if found.lastgroup is not None]
    reader = _Reader(tokens)
    message = reader.fields(None)
    assert reader.place == len(tokens), "text after the end"
    return message


def _scan(text: str) -> Any:
    place = 0
    while place < len(text):
        found = TOKEN.match(text, place)
        assert found is not None, text[place : place + 40]
        yield found
        place = found.end()


def _unescaped(literal: str) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        if found[1]:
            return bytes([ESCAPES[found[1].decode()]])
        if found[2]:
            return bytes([int(found[2], 8) & 255])
        if found[3]:
            return bytes([int(found[3], 16)])
        return chr(int(found[4] or found[5], 16)).encode()

    return ESCAPE.sub(one, literal[1:-1].encode())


class _Reader:
    def __init__(self, tokens: list[tuple[str | None, str]]) -> None:
        self.tokens = tokens
        self.place = 0

    def peek(self) -> str:
        return self.tokens[self.place][1] if self.place < len(self.tokens) else ""

    def take(self) -> tuple[str | None, str]:
        self.place += 1
        return self.tokens[self.place - 1]

    def fields(self, end: str | None) -> Message:
        message: Message = []
        while self.place < len(self.tokens) and self.peek() != end:
            name = self.name()
            if self.peek() == ":":
                self.take()
            message.append((name, self.value()))
            while self.peek() in (",", ";"):
                self.take()
        if end is not None:
            assert self.take()[1] == end
        return message

    def name(self) -> str:
        if self.peek() != "[":
            return self.take()[1]
        text = ""
        while self.peek() != "]":
            text += self.take()[1]
        return text + self.take()[1]

    def value(self) -> Any:
        kind, text = self.take()
        if text in ("{", "<"):
            return self.fields({"{": "}", "<": ">"}[text])
        if text == "[":
            return self.items()
        if kind == "string":
            raw = _unescaped(text)
            while self.place < len(self.tokens) and self.tokens[self.place][0] == "string":
                raw += _unescaped(self.take()[1])
            return raw
        if kind == "number":
            return float(text.rstrip("f")) if re.search(r"[.eEf]", text) and "x" not in text.lower() else int(text, 0)
        return text

    def items(self) -> list[Any]:
        found = []
        while self.peek() != "]":
            found.append(self.value())
            if self.peek() == ",":
                self.take()
        self.take()
        return found


def get(message: Message, name: str, default: Any = None) -> Any:
    """The first value of a field; bytes as text."""
    for key, value in message:
        if key == name:
            return value.decode() if isinstance(value, bytes) and name in ("name", "expr", "container") else value
    return default


def every(message: Message, name: str) -> list[Any]:
    """All values of a repeated field."""
    return [value for key, value in message if key == name]
