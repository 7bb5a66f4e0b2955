"""What an unquoted scalar means: the core schema of YAML 1.2 (section 10.3.2) and nothing else.

So `yes`, `on`, `12:30`, `1_000` and `2026-01-01` are strings, and only `0o17` is octal.
"""

import math
import re
from typing import Final

WORDS: Final[dict[str, bool | None]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
NUMERIC_START: Final = frozenset("+-.0123456789")
INTEGER: Final = re.compile(r"[-+]?[0-9]+", re.ASCII)
BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
SPECIAL: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
LARGEST: Final = 2**63 - 1
DIGITS: Final = 64

Scalar = str | int | float | bool | None


def resolve(text: str) -> Scalar:
    """The value of an unquoted scalar. Raises ValueError for a number nobody could compute with."""
    if text in WORDS:
        return WORDS[text]
    if text[0] not in NUMERIC_START:
        return text
    if INTEGER.fullmatch(text):
        return _bounded(text, 10)
    if BASED.fullmatch(text):
        return _bounded(text, 0)
    if FLOAT.fullmatch(text):
        return _finite(text)
    if SPECIAL.fullmatch(text):
        raise ValueError("infinity and not-a-number are not accepted")
    return text


def _bounded(text: str, base: int) -> int:
    if len(text) > DIGITS or abs(number := int(text, base)) > LARGEST:
        raise ValueError("the number does not fit into 64 bits")
    return number


def _finite(text: str) -> float:
    if len(text) > DIGITS or not math.isfinite(number := float(text)):
        raise ValueError("the number is too large")
    return number
