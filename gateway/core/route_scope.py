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
    """The routes of exact names or globs. It remembers what it was asked: only names of configured routes are."""

    __slots__ = ("_known", "_patterns", "texts")

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(texts)
        self._patterns = tuple(map(glob, self.texts))
        self._known: dict[str, bool] = {}

    def has(self, name: str) -> bool:
        """Whether a route is one of them."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = any(pattern.fullmatch(name) for pattern in self._patterns)
        return known
