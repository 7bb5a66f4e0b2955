"""Which routes a credential is for."""

import re
from collections.abc import Iterable
from typing import Final, final

ANY: Final = "*"


def glob(text: str) -> re.Pattern[str]:
    """What matches the names a glob means: `*` is the only special character, and crosses dots (CONTRACT 4).

    Each part is taken where it first fits (atomic groups): a pattern that tries again holds the interpreter's lock for years.
    """
    first, *rest = map(re.escape, text.split(ANY))
    if not rest:
        return re.compile(first)
    pattern = first + "".join(f"(?>.*?{part})" for part in rest[:-1] if part) + ".*" + rest[-1]
    return re.compile(pattern, re.DOTALL)


@final
class RouteScope:
    """The routes of exact names or globs, of those that `within` has. It remembers what it was asked: configured routes."""

    __slots__ = ("_known", "_patterns", "_within", "texts")

    def __init__(self, texts: Iterable[str], within: "RouteScope | None" = None) -> None:
        self.texts = tuple(texts)
        self._patterns = tuple(map(glob, self.texts))
        self._within = within
        self._known: dict[str, bool] = {}

    def has(self, name: str) -> bool:
        """Whether a route is one of them."""
        known = self._known.get(name)
        if known is None:
            known = any(pattern.fullmatch(name) for pattern in self._patterns)
            known = self._known[name] = known and (self._within is None or self._within.has(name))
        return known

    def written(self) -> list[list[str]]:
        """As lists, the widest first."""
        return [*([] if self._within is None else self._within.written()), list(self.texts)]

    @staticmethod
    def read(written: Iterable[Iterable[str]]) -> "RouteScope | None":
        """What `written` gave; None for none at all."""
        scope = None
        for texts in written:
            scope = RouteScope(texts, scope)
        return scope
