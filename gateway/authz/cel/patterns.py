"""`matches()` on RE2 and `glob()`: patterns are literals, compiled at load, and no text makes them slow."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from gateway.authz.cel.errors import EvaluationError

MAX_PATTERN: Final = 512
MAX_PROGRAM: Final = 1_000
MAX_MEMORY: Final = 1 << 20
MAX_MATCHED: Final = 16_384
MAX_GLOBBED: Final = 4_096


class Pattern:
    """A pattern read at load. `test` says whether a value fits it, and raises EvaluationError for what it does not read."""

    __slots__ = ("source", "test")

    def __init__(self, source: str, test: Callable[[Any], bool]) -> None:
        self.source = source
        self.test = test

    def __repr__(self) -> str:
        return f"Pattern({self.source!r})"


def expression(pattern: str) -> Pattern:
    """The search for a regular expression in RE2's syntax. Raises ValueError, also where the library is missing."""
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"a pattern may be {MAX_PATTERN} characters long")
    try:
        import re2
    except ImportError as error:
        # There is no wheel for musl; Python's own expressions are no way out, since a text can make them run for years.
        raise ValueError("needs RE2: pip install 'latchgate[matches]'; there is no wheel for musl (Alpine)") from error
    options = re2.Options()
    options.never_capture = True
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    try:
        compiled = re2.compile(pattern.encode(), options)
    except re2.error as error:
        raise ValueError(_reason(error)) from error
    if max(compiled.programsize, compiled.reverseprogramsize) > MAX_PROGRAM:
        raise ValueError(f"the pattern is too large: {compiled.programsize} steps, {MAX_PROGRAM} are allowed")
    return Pattern(pattern, partial(_searched, compiled.search))


def _searched(search: Callable[[bytes], Any], text: Any) -> bool:
    return search(_octets(text)) is not None


def _octets(text: Any) -> bytes:
    if not isinstance(text, str):
        raise EvaluationError("not a string")
    octets = text.encode()
    if len(octets) > MAX_MATCHED:
        raise EvaluationError(f"matches() reads {MAX_MATCHED} bytes at most")
    return octets


def _reason(error: Exception) -> str:
    words = error.args[0] if error.args else b""
    return words.decode(errors="replace") if isinstance(words, bytes) else str(words)


def glob(pattern: str) -> Pattern:
    """The test for a glob: `*` is any text without a slash, `**` between slashes any number of segments, also none.

    Everything else stands for itself. Raises ValueError. No part is tried twice (atomic groups), so no text makes it slow.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"a pattern may be {MAX_PATTERN} characters long")
    match = re.compile(_translated(pattern.split("/")), re.DOTALL).fullmatch
    return Pattern(pattern, partial(_fitting, match))


def _fitting(match: Callable[[str], Any], text: Any) -> bool:
    if not isinstance(text, str):
        raise EvaluationError("not a string")
    if len(text) > MAX_GLOBBED:
        raise EvaluationError(f"glob() reads {MAX_GLOBBED} characters at most")
    return match(f"{text}/") is not None


def _translated(segments: list[str]) -> str:
    """A regular expression for a text with one more slash behind it, so that every segment ends in one.

    Segments after `**` are taken where they first fit, because the next `**` takes in whatever follows.
    """
    if any("**" in segment and segment != "**" for segment in segments):
        raise ValueError("'**' stands between slashes, alone")
    groups = [""]
    for segment in segments:
        if segment == "**":
            groups.append("")
        else:
            groups[-1] += f"{_segment(segment)}/"
    first, *others = groups
    if not others:
        return first
    middle = "".join(f"(?>(?:[^/]*/)*?{group})" for group in others[:-1] if group)
    return f"{first}{middle}(?:[^/]*/)*?{others[-1]}"


def _segment(segment: str) -> str:
    """One segment: the first place where a part fits is the right one, and the last part stands at the end."""
    start, *parts = (re.escape(part) for part in segment.split("*"))
    if not parts:
        return start
    inner = "".join(f"(?>[^/]*?{part})" for part in parts[:-1])
    return f"(?>{start}{inner}[^/]*{parts[-1]}(?=/))"
