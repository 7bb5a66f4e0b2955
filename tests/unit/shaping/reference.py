"""What a rewritten document must be, said on parsed values: slow, plain, and written without the rewriter's help."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

from gateway.core.json_path import JsonPath
from gateway.core.obligations import Redaction, Style

KEY = b"k" * 32
ORDER = list(Style)


class Members(list[tuple[str, Any]]):
    """An object, its members in order and as often as they came."""


def read(document: bytes) -> Any:
    """A document with objects as Members and numbers as Number."""
    return json.loads(document, object_pairs_hook=Members, parse_int=Number, parse_float=Number)


class Number(str):
    """A number by its text."""

    __slots__ = ()


def matches(path: JsonPath, way: Sequence[str | int]) -> bool:
    """Whether a path names just this place."""
    if not path:
        return not way
    first, rest = path[0], path[1:]
    if first is ...:
        return any(matches(rest, way[skipped:]) for skipped in range(len(way) + 1))
    if not way:
        return False
    return (first is None or (first == way[0] and type(first) is type(way[0]))) and matches(rest, way[1:])


def leads(path: JsonPath, way: Sequence[str | int]) -> bool:
    """Whether what a path names may be below this place."""
    if not way:
        return bool(path)
    if not path:
        return False
    if path[0] is ...:
        return True
    return (path[0] is None or (path[0] == way[0] and type(path[0]) is type(way[0]))) and leads(path[1:], way[1:])


def style_at(redact: Sequence[Redaction], way: Sequence[str | int]) -> Style | None:
    """The strictest style of a place and all above it."""
    found = [each.style for each in redact for end in range(len(way) + 1) if matches(each.path, way[:end])]
    return min(found, key=ORDER.index) if found else None


def stays(fields: Sequence[Sequence[JsonPath]], way: Sequence[str | int], *, container: bool) -> bool:
    """Whether every list names the place, one above it or, of a container, one below it."""
    return all(
        any(any(matches(path, way[:end]) for end in range(len(way) + 1)) or (container and leads(path, way)) for path in allowed)
        for allowed in fields
    )


def shaped(value: Any, redact: Sequence[Redaction], fields: Sequence[Sequence[JsonPath]], way: tuple[str | int, ...] = ()) -> Any:
    """The value as it must come out."""
    if isinstance(value, Members):
        below: list[tuple[Any, Any]] = [(name, each) for name, each in value]
    elif isinstance(value, list):
        below = list(enumerate(value))
    else:
        style = style_at(redact, way)
        return value if style is None else styled(value, style)
    kept = []
    for step, each in below:
        there = (*way, step)
        if style_at(redact, there) is not Style.REMOVE and stays(fields, there, container=isinstance(each, list)):
            kept.append((step, shaped(each, redact, fields, there)))
    return Members(kept) if isinstance(value, Members) else [each for _, each in kept]


def styled(value: Any, style: Style) -> Any:
    """One scalar, replaced."""
    if value is None or isinstance(value, bool):
        return "****"
    text = str(value)
    if style is Style.HASH:
        return "hmac:" + hmac.new(KEY, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]
    if len(text) < 8:
        return "****"
    return ("" if style is Style.LAST4 else text[:2]) + "****" + (text[-4:] if style is Style.LAST4 else text[-2:])
