"""One entry of a mapping at the top of a YAML file, written into its text: everything else stays as it is, byte for byte.

What was written is read again before it is believed; where it does not read as it should, a person has to do it.
"""

import re
from typing import Any, Final

from gateway.config.document import parse
from gateway.config.node import Document
from gateway.config.scalar import resolve

ON_ONE_LINE: Final = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|[A-Za-z0-9._:-]+", re.ASCII)


def put(file: str, text: str, section: str, name: str, value: str) -> str:
    """`text` with `section.name` set to `value`, which needs no quotes. Raises ValueError, in words, where that cannot be done."""
    before = parse(file, text)
    if before.problems:
        raise ValueError(str(before.problems[0]))
    top = {} if before.value is None else before.value
    if not isinstance(top, dict):
        raise ValueError(f"{file} is no mapping")
    changed = _edited(before, top, section, name, value)
    after = parse(file, changed)
    held = top.get(section) or {}
    if after.problems or not isinstance(held, dict) or after.value != {**top, section: {**held, name: value}}:
        raise ValueError(
            f"{file} is written in a way that cannot be edited safely; put this below `{section}:` by hand: {name}: {value}"
        )
    return changed


def _edited(document: Document, top: dict[str, Any], section: str, name: str, value: str) -> str:
    """A proposal."""
    text, end = document.text, "\r\n" if "\r\n" in document.text else "\n"
    line = f"{_key(name)}: {value}"
    if section not in top:
        rest = "" if text.endswith("\n") or not text else end
        return f"{text}{rest}{end if text.strip() else ''}{section}:{end}  {line}{end}"
    held = top[section]
    at = document.offset((section,), key=True)
    if not held or not isinstance(held, dict):
        start = document.offset((section,))
        if text[start : start + 2] == "{}":
            return f"{text[:start]}{{{line}}}{text[start + 2 :]}"
        return _below(text, at, f"  {line}", end)
    if name in held:
        start = document.offset((section, name))
        found = ON_ONE_LINE.match(text, start)
        return text if found is None else text[:start] + value + text[found.end() :]
    start = document.offset((section,))
    if text[start] == "{":
        return f"{text[: start + 1]}{line}, {text[start + 1 :]}"
    last = max(document.offset((section, each), key=True) for each in held)
    return _below(text, last, text[text.rfind("\n", 0, last) + 1 : last] + line, end)


def _below(text: str, at: int, line: str, end: str) -> str:
    """The text with one more line below that of an offset."""
    newline = text.find("\n", at)
    if newline < 0:
        return f"{text}{end}{line}{end}"
    return f"{text[: newline + 1]}{line}{end}{text[newline + 1 :]}"


def _key(name: str) -> str:
    """A name that would be read as a number or a truth value is quoted."""
    try:
        return name if isinstance(resolve(name), str) else f'"{name}"'
    except ValueError:
        return f'"{name}"'
