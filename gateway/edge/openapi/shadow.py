"""Requests in use that a description does not know: how often, by method and the part of the path that is known. Bounded."""

import re
from typing import Final

from gateway.edge.openapi.templates import T, Templates

MOST: Final = 200
"""Kinds of unknown requests told apart; what is beyond is counted together."""
MOST_SHOWN: Final = 4
WORD: Final = re.compile(r"[A-Za-z][A-Za-z_-]{0,31}", re.ASCII)
UNKNOWN: Final = "{}"


class Shadows:
    """What one route was asked that its description does not know, since it was loaded."""

    __slots__ = ("_counts", "beyond")

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self.beyond = 0

    def note(self, method: str, path: str) -> None:
        """Count one; `path` is what `shape` gives."""
        key = method, path
        if key in self._counts or len(self._counts) < MOST:
            self._counts[key] = self._counts.get(key, 0) + 1
        else:
            self.beyond += 1

    def listed(self) -> list[dict[str, str | int]]:
        """All kinds, the most frequent first."""
        ordered = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return [{"method": method, "path": path, "count": count} for (method, path), count in ordered]


def shape(templates: Templates[T], segments: tuple[str, ...]) -> str:
    """A path for people to read: as far as it is known its template, then words; what may be an identifier or a secret is `{}`."""
    known, depth = templates.nearest(segments)
    rest = segments[depth : depth + MOST_SHOWN]
    shown = [segment if WORD.fullmatch(segment) else UNKNOWN for segment in rest]
    more = ["..."] if len(segments) > depth + MOST_SHOWN else []
    return "/".join((known, *shown, *more)) or "/"
