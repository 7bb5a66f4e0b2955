"""Which route claims this host, method and path?

Patterns become one tree of segments per host, at load. Literal beats `{name}` beats `*` beats `**`, segment by segment;
host-specific beats host-less; the path decides before the method does, so a known path with another method is 405 and
never falls to a less specific route (CONTRACT 2, Routing).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from gateway.core.errors import BadRequest
from gateway.core.path import canonical, decode_segment
from gateway.core.reason import Reason

T = TypeVar("T")

PARAMETER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]{0,62})\}")
DEFAULT_PARAMETER: Final = r"[A-Za-z0-9._~-]{1,128}"
MOST_SEGMENTS: Final = 64
MOST_PARAMETER: Final = 4096


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path pattern in segments: literals as they are, `{}` for a parameter, `*`, and `**` last."""

    text: str
    segments: tuple[str, ...]
    names: tuple[str | None, ...]
    """Of every captured segment, in order: its parameter's name, None for `*` and `**`."""

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name is not None)


def parse(text: str) -> Pattern:
    """Read a pattern. Raises ValueError naming the fix."""
    if not text.startswith("/"):
        raise ValueError("a path pattern begins with /")
    segments: list[str] = []
    names: list[str | None] = []
    parts = text[1:].split("/")
    if len(parts) > MOST_SEGMENTS:
        raise ValueError(f"a path pattern has at most {MOST_SEGMENTS} segments")
    for position, part in enumerate(parts):
        if not part and position != len(parts) - 1:
            raise ValueError("a path pattern has no empty segments")
        if found := PARAMETER.fullmatch(part):
            if found[1] in names:
                raise ValueError(f"the parameter {{{found[1]}}} stands twice")
            segments.append("{}")
            names.append(found[1])
        elif part in ("*", "**"):
            if part == "**" and position != len(parts) - 1:
                raise ValueError("** may only stand last")
            segments.append(part)
            names.append(None)
        else:
            segments.append(_literal(part))
    return Pattern(text, tuple(segments), tuple(names))


def _literal(part: str) -> str:
    if "{" in part or "}" in part or "*" in part:
        raise ValueError(f"{part!r}: a parameter or wildcard is a whole segment, e.g. /{{name}} or /*")
    try:
        written = canonical(b"/" + part.encode()).removeprefix("/")
    except BadRequest as error:
        raise ValueError(f"the segment {part!r} can never match: {error.detail}") from error
    if written != part:
        raise ValueError(f"the segment {part!r} is not in canonical form, write {written!r}")
    return part


class Parameters:
    """A route's path parameters: their names, what each must look like, and where an encoded slash is kept."""

    def __init__(self, pattern: Pattern, expressions: Mapping[str, str], encoded_slash: Iterable[str]) -> None:
        slashes = frozenset(encoded_slash)
        self._captures = tuple(
            (name, re.compile(expressions.get(name, DEFAULT_PARAMETER)), name in slashes) if name is not None else None
            for name in pattern.names
        )

    def decoded(self, captured: Sequence[str]) -> dict[str, str]:
        """Decoded values by name. Raises BadRequest path-refused or param-invalid."""
        values: dict[str, str] = {}
        for capture, raw in zip(self._captures, captured, strict=False):
            if capture is None:
                if "%2F" in raw:
                    raise BadRequest("encoded slash", reason=Reason.PATH_REFUSED)
                continue
            name, expression, keeps_slash = capture
            value = raw
            if "%" in raw:
                if "%2F" in raw and not keeps_slash:
                    raise BadRequest("encoded slash", reason=Reason.PATH_REFUSED)
                value = decode_segment(raw)
            if value in (".", "..") or len(value) > MOST_PARAMETER or expression.fullmatch(value) is None:
                raise BadRequest(f"parameter {name}", reason=Reason.PARAM_INVALID)
            values[name] = value
        return values


class Leaf(Generic[T]):
    """The routes of one path: by method, or for any; and what answers another method."""

    __slots__ = ("any", "methods", "refused")

    def __init__(self) -> None:
        self.methods: dict[str, T] = {}
        self.any: T | None = None
        self.refused: T | None = None

    def claim(self, method: str) -> T | None:
        return self.methods.get(method) or self.any or self.refused


class Node(Generic[T]):
    """One segment's alternatives, most specific first.

    `branches` tells whether something other than a literal may claim the next segment too.
    """

    __slots__ = ("branches", "leaf", "literal", "parameter", "rest", "star")

    def __init__(self) -> None:
        self.literal: dict[str, Node[T]] = {}
        self.parameter: Node[T] | None = None
        self.star: Node[T] | None = None
        self.rest: Leaf[T] | None = None
        self.leaf: Leaf[T] | None = None
        self.branches = False

    def find(self, segments: tuple[str, ...], index: int, captured: tuple[str, ...]) -> tuple[Leaf[T], tuple[str, ...]] | None:
        node = self
        while index < len(segments):
            segment = segments[index]
            below = node.literal.get(segment)
            if below is None and segment and node.star is None and node.rest is None:
                below = node.parameter
                captured = (*captured, segment)
            elif below is None or node.branches:
                return node.explore(segments, index, captured)
            if below is None:
                return None
            node, index = below, index + 1
        leaf = node.leaf or node.rest
        return None if leaf is None else (leaf, captured)

    def look_ahead(self, ahead: dict[tuple[str, ...], "Node[T]"], segments: tuple[str, ...]) -> None:
        """Note this node, and all that only literals lead to, under the segments that lead there."""
        ahead[segments] = self
        if not self.branches:
            for segment, below in self.literal.items():
                below.look_ahead(ahead, (*segments, segment))

    def explore(self, segments: tuple[str, ...], index: int, captured: tuple[str, ...]) -> tuple[Leaf[T], tuple[str, ...]] | None:
        """Try every alternative here, most specific first: a branch that leads nowhere is left again."""
        segment = segments[index]
        below = self.literal.get(segment)
        if below is not None and (found := below.find(segments, index + 1, captured)) is not None:
            return found
        if segment:
            for below in (self.parameter, self.star):
                if below is not None and (found := below.find(segments, index + 1, (*captured, segment))) is not None:
                    return found
        return None if self.rest is None else (self.rest, (*captured, "/".join(segments[index:])))


class Tree(Generic[T]):
    """All paths of one host. `ahead` is where all segments but the last lead, if they are literals and nothing else claims them."""

    __slots__ = ("ahead", "root")

    def __init__(self) -> None:
        self.root: Node[T] = Node()
        self.ahead: dict[tuple[str, ...], Node[T]] = {}


class Entry(Generic[T]):
    """One route as the table sees it. `methods` None means any; `host` None means every host."""

    __slots__ = ("host", "methods", "pattern", "route")

    def __init__(self, pattern: Pattern, methods: tuple[str, ...] | None, host: str | None, route: T) -> None:
        self.pattern, self.methods = pattern, methods
        self.host, self.route = host, route


class ConflictError(ValueError):
    """Two routes claim the same host, path and method; `route` is the second of them."""

    def __init__(self, pattern: Pattern, method: str, route: object) -> None:
        super().__init__(f"claims {method} {pattern.text}, which another route claims already")
        self.route = route


class Table(Generic[T]):
    """All routes of one listener. `refuse` makes what answers a known path with another method, from the path's routes."""

    def __init__(self, entries: Iterable[Entry[T]], *, missing: T, refuse: Callable[[Leaf[T]], T]) -> None:
        self.missing = missing
        self.hosts: dict[str, Tree[T]] = {}
        self.suffixes: dict[str, Tree[T]] = {}
        self.everywhere: Tree[T] = Tree()
        leaves: list[Leaf[T]] = []
        for entry in entries:
            _claim(self._leaf(entry, leaves), entry)
        for leaf in leaves:
            if leaf.any is None:
                leaf.refused = refuse(leaf)
        self._only = None if self.hosts or self.suffixes else (self.everywhere,)
        for tree in (self.everywhere, *self.hosts.values(), *self.suffixes.values()):
            tree.root.look_ahead(tree.ahead, ())

    def match(self, host: str, segments: tuple[str, ...], method: str) -> tuple[T, tuple[str, ...]]:
        """The route that claims a request for a host (lower case) and a canonical path's segments, with what it captured of
        them, still escaped."""
        for tree in self._only or self._trees(host):
            ahead = tree.ahead.get(segments[:-1])
            found = tree.root.find(segments, 0, ()) if ahead is None else ahead.find(segments, len(segments) - 1, ())
            if found is not None:
                leaf, captured = found
                return leaf.claim(method) or self.missing, captured
        return self.missing, ()

    def methods(self, host: str, segments: tuple[str, ...]) -> frozenset[str] | None:
        """What a path takes, of all its routes; None for any method. A path that no route claims takes none."""
        for tree in self._only or self._trees(host):
            if (found := tree.root.find(segments, 0, ())) is not None:
                return None if found[0].any is not None else frozenset(found[0].methods)
        return frozenset()

    def clear(self) -> list[Tree[T]]:
        """Find nothing any more, and give what was looked through."""
        trees = [self.everywhere, *self.hosts.values(), *self.suffixes.values()]
        self.hosts, self.suffixes, self.everywhere, self._only = {}, {}, Tree(), None
        return trees

    def _trees(self, host: str) -> Iterable[Tree[T]]:
        trees = [self.hosts[host]] if host in self.hosts else []
        suffix = host
        while self.suffixes and "." in suffix:
            suffix = suffix.partition(".")[2]
            if (beneath := self.suffixes.get(suffix)) is not None:
                trees.append(beneath)
        trees.append(self.everywhere)
        return trees

    def _leaf(self, entry: Entry[T], leaves: list[Leaf[T]]) -> Leaf[T]:
        node = self._tree(entry.host).root
        for segment in entry.pattern.segments:
            if segment == "**":
                if node.rest is None:
                    node.branches = True
                    node.rest = Leaf()
                    leaves.append(node.rest)
                return node.rest
            node = _below(node, segment)
        if node.leaf is None:
            node.leaf = Leaf()
            leaves.append(node.leaf)
        return node.leaf

    def _tree(self, host: str | None) -> Tree[T]:
        if host is None:
            return self.everywhere
        name = host.lower()
        if name.startswith("*."):
            return self.suffixes.setdefault(name[2:], Tree())
        return self.hosts.setdefault(name, Tree())


def _below(node: Node[T], segment: str) -> Node[T]:
    if segment == "{}":
        node.branches, node.parameter = True, node.parameter or Node()
        return node.parameter
    if segment == "*":
        node.branches, node.star = True, node.star or Node()
        return node.star
    return node.literal.setdefault(segment, Node())


def _claim(leaf: Leaf[T], entry: Entry[T]) -> None:
    if entry.methods is None:
        if leaf.any is not None or leaf.methods:
            raise ConflictError(entry.pattern, "any method of", entry.route)
        leaf.any = entry.route
        return
    wanted = dict.fromkeys(entry.methods)
    if "GET" in wanted:
        wanted["HEAD"] = None
    for method in wanted:
        if leaf.any is not None or method in leaf.methods:
            raise ConflictError(entry.pattern, method, entry.route)
        leaf.methods[method] = entry.route
