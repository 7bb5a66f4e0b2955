"""Answers as documents: values are found and replaced by where they stand. What two could read differently is refused."""

import json
from collections.abc import Sequence
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, urlencode

from gateway.core.strict_json import InvalidJson, parse

Steps = tuple[str, ...]
MOST_PAIRS: Final = 256


class Unreadable(ValueError):
    """Not a document of the form that was configured, or none that holds what it has to; says what, and never a word of it."""


class Document(Protocol):
    """An answer that was understood."""

    def get(self, steps: Steps) -> object:
        """The value there, None where there is none."""
        ...

    def put(self, steps: Steps, value: str) -> None:
        """Another value in place of the one that is there."""
        ...

    def written(self) -> bytes: ...


def steps_of(pointer: str) -> Steps:
    """The steps of a JSON Pointer (RFC 6901 3 and 4)."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


class JsonDocument:
    """RFC 8259, written anew. Raises Unreadable for anything else, for members that come twice, and for a second document."""

    def __init__(self, body: bytes) -> None:
        try:
            self._value = parse(body)
        except InvalidJson as error:
            raise Unreadable(f"no JSON that all read alike ({error})") from None

    def get(self, steps: Steps) -> object:
        found = self._value
        for step in steps:
            found = member(found, step)
        return found

    def put(self, steps: Steps, value: str) -> None:
        inner = self._value
        for step in steps[:-1]:
            inner = member(inner, step)
        inner[int(steps[-1]) if isinstance(inner, list) else steps[-1]] = value

    def written(self) -> bytes:
        return json.dumps(self._value, separators=(",", ":")).encode("ascii")


class FormDocument:
    """A form, as some token endpoints answer, written anew. Raises Unreadable for anything else, and names that come twice."""

    def __init__(self, body: bytes) -> None:
        try:
            pairs = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MOST_PAIRS
            )
        except ValueError:
            raise Unreadable("no form") from None
        self._pairs = dict(pairs)
        if not pairs or len({name.casefold() for name, _ in pairs}) != len(pairs):
            raise Unreadable("a form that says nothing, or something twice")

    def get(self, steps: Steps) -> object:
        return self._pairs.get(steps[0]) if len(steps) == 1 else None

    def put(self, steps: Steps, value: str) -> None:
        self._pairs[steps[0]] = value

    def written(self) -> bytes:
        return urlencode(self._pairs).encode("ascii")


def member(value: Any, step: str) -> Any:
    """A member of an object or an item of an array, None where there is none."""
    if isinstance(value, dict):
        return value.get(step)
    is_index = isinstance(value, list) and step.isascii() and step.isdigit() and (step == "0" or step[0] != "0")
    return value[int(step)] if is_index and len(step) < 7 and int(step) < len(value) else None


def reader(format: str, wanted: Sequence[Steps]) -> "Read":
    """What reads answers of a form; `wanted` are the places that matter."""
    if format == "xml":
        from gateway.credentials.captured.xml import XmlDocument

        return lambda body: XmlDocument(body, wanted)
    return JsonDocument if format == "json" else FormDocument


class Read(Protocol):
    """Raises Unreadable."""

    def __call__(self, body: bytes, /) -> Document: ...
