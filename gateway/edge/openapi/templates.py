"""Which path template of a description is this path?

Segment by segment a literal beats a segment with text around its parameter, which beats a parameter alone (OpenAPI 3.1 4.8.8.1); as
in the gateway's own routing, a branch that leads nowhere is left again, and the path decides before the method does. A parameter
never matches an empty segment. The last one may take several segments where it says `x-multi-segment: true`.
"""

import re
from collections.abc import Iterator
from typing import Final, Generic, TypeVar
from urllib.parse import quote

from gateway.core.errors import BadRequest
from gateway.core.path import canonical, decode_segment

T = TypeVar("T")

PARAMETER: Final = re.compile(r"\{([^{}/]+)\}")
MOST_SEGMENTS: Final = 64


class Mixed:
    """A segment with text before, between or behind its parameters: `{base}...{head}`, `{id}.json`. Matched in linear time."""

    __slots__ = ("_texts",)

    def __init__(self, segment: str) -> None:
        """Raises ValueError where two parameters stand side by side."""
        self._texts = [text and literal("x" + text)[1:] for text in re.split(r"\{[^{}/]+\}", segment)]
        if len(self._texts) < 2 or any("{" in text or "}" in text for text in self._texts):
            raise ValueError("a brace stands by itself")
        if "" in self._texts[1:-1]:
            raise ValueError("two parameters without text between them cannot be told apart")

    def captured(self, segment: str) -> tuple[str, ...] | None:
        """What the parameters are, each at least one character; every text between is found where it first may stand."""
        first, *between, last = self._texts
        if not segment.startswith(first) or not segment.endswith(last):
            return None
        here, end = len(first), len(segment) - len(last)
        found = []
        for text in between:
            at = segment.find(text, here + 1, end)
            if at < 0:
                return None
            found.append(segment[here:at])
            here = at + len(text)
        return (*found, segment[here:end]) if end > here else None


class Node(Generic[T]):
    """One segment's alternatives, most specific first. `path` is the template so far."""

    __slots__ = ("leaf", "literals", "mixed", "parameter", "path", "rest")

    def __init__(self, path: str) -> None:
        self.path = path
        self.literals: dict[str, Node[T]] = {}
        self.mixed: list[tuple[str, Mixed, Node[T]]] = []
        self.parameter: Node[T] | None = None
        self.leaf: T | None = None
        self.rest: T | None = None

    def alternatives(self, segment: str) -> Iterator[tuple["Node[T]", tuple[str, ...]]]:
        if (below := self.literals.get(segment)) is not None:
            yield below, ()
        for _, mixed, node in self.mixed:
            if (found := mixed.captured(segment)) is not None:
                yield node, found
        if self.parameter is not None and segment:
            yield self.parameter, (segment,)


class Templates(Generic[T]):
    """All templates of a description, each with what it stands for."""

    def __init__(self) -> None:
        self._root: Node[T] = Node("")

    def add(self, template: str, value: T, *, rest: bool = False) -> None:
        """`rest`: the last parameter takes all that is left. Raises ValueError for a template that is none, or is there already."""
        if not template.startswith("/"):
            raise ValueError("a path begins with /")
        segments = template[1:].split("/")
        if len(segments) > MOST_SEGMENTS:
            raise ValueError(f"a path has at most {MOST_SEGMENTS} segments")
        node = self._root
        for segment in segments[:-1] if rest else segments:
            node = self._below(node, segment)
        if (node.rest if rest else node.leaf) is not None:
            raise ValueError("another path matches the same requests")
        if rest:
            node.rest = value
        else:
            node.leaf = value

    def _below(self, node: Node[T], segment: str) -> Node[T]:
        path = f"{node.path}/{segment}"
        if PARAMETER.fullmatch(segment):
            node.parameter = node.parameter or Node(path)
            return node.parameter
        if "{" not in segment and "}" not in segment:
            return node.literals.setdefault(literal(segment), Node(path))
        shape = PARAMETER.sub("{}", segment)
        for known, _, below in node.mixed:
            if known == shape:
                return below
        node.mixed.append((shape, Mixed(segment), Node(path)))
        return node.mixed[-1][2]

    def find(self, segments: tuple[str, ...]) -> tuple[T, tuple[str, ...]] | None:
        """What a canonical path's segments stand for, with the parameters' values, decoded."""
        found = _find(self._root, segments, 0, ())
        return None if found is None else (found[0], tuple(decode_segment(value) for value in found[1]))

    def nearest(self, segments: tuple[str, ...]) -> tuple[str, int]:
        """How far a path is known: the template of the known part and how many segments that is. For operators to read."""
        node, depth = self._root, 0
        for segment in segments:
            found = next(node.alternatives(segment), None)
            if found is None:
                break
            node, depth = found[0], depth + 1
        return node.path, depth


def _find(node: Node[T], segments: tuple[str, ...], index: int, captured: tuple[str, ...]) -> tuple[T, tuple[str, ...]] | None:
    if index == len(segments):
        return None if node.leaf is None else (node.leaf, captured)
    for below, values in node.alternatives(segments[index]):
        if (found := _find(below, segments, index + 1, (*captured, *values))) is not None:
            return found
    if node.rest is not None and segments[index]:
        return node.rest, (*captured, "/".join(segments[index:]))
    return None


def literal(text: str) -> str:
    """A segment in the form that canonical paths have. Raises ValueError."""
    try:
        return canonical(b"/" + quote(text, safe="!$&'()*+,;=:@%~").encode())[1:] if text else ""
    except BadRequest as error:
        raise ValueError(f"'{text[:80]}' can stand in no path: {error.detail}") from error


def names(template: str) -> tuple[str, ...]:
    """The parameters of a template, in order."""
    return tuple(PARAMETER.findall(template))
