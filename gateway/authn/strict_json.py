"""JSON as security documents need it: what two readers could understand differently is refused."""

import json
import math
from collections.abc import Iterable
from typing import Any, Final, NoReturn

DEPTH: Final = 32
DIGITS: Final = 40
"""Longest number: any 64-bit integer and any double fit."""


def loads(raw: bytes, depth: int = DEPTH) -> Any:
    """Bytes -> value. Raises ValueError for anything but one UTF-8 JSON text (RFC 8259) nested at most `depth` deep.

    Refused beyond the grammar: duplicate members at any depth (RFC 8725 2.4), NaN and Infinity, numbers that overflow.
    """
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_members,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_integer,
        )
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    _bound((value,), depth)
    return value


def is_clean(value: Any) -> bool:
    """Whether no text in a parsed value, member names included, holds a control character, NUL or a lone surrogate."""
    if isinstance(value, str):
        return value.isprintable() or not any(_is_control(character) for character in value)
    if isinstance(value, dict):
        return all(is_clean(name) and is_clean(item) for name, item in value.items())
    if isinstance(value, list):
        return all(map(is_clean, value))
    return True


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f" or "\ud800" <= character <= "\udfff"


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _integer(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError("number too long")
    return int(text)


def _float(text: str) -> float:
    if len(text) > DIGITS or not math.isfinite(number := float(text)):
        raise ValueError("number too large")
    return number


def _bound(level: Iterable[Any], depth: int) -> None:
    """Raises ValueError when a container lies deeper than `depth`. `level` are the values of one depth."""
    for _ in range(depth):
        level = [item for value in level if isinstance(value, (dict, list)) for item in _items(value)]
        if not level:
            return
    if any(isinstance(value, (dict, list)) for value in level):
        raise ValueError("nested too deep")


def _items(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value
