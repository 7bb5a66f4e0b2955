"""The closed language in which a signature's content and fields are written: text with `{word}` in it, from configuration alone.

There are no formats, slices or conversions (GHSA-f28g-86hc-823q: who chooses the format learns the secret sign by sign).
"""

import re
from collections.abc import Callable, Collection
from typing import Final

PIECE: Final = re.compile(r"\{\{|\}\}|\{([a-z0-9_]+)\}|[^{}]+")


class Template:
    """Compiled text: `render` puts in the place of each word what `values` gives for it."""

    __slots__ = ("_pieces", "words")

    def __init__(self, text: str, words: Collection[str]) -> None:
        """Raises ValueError naming the word that is none, and those there are."""
        self._pieces: list[bytes | str] = []
        at = 0
        while at < len(text):
            found = PIECE.match(text, at)
            if found is None:
                raise ValueError(f"a brace at {text[at : at + 20]!r} belongs to no word: write it twice")
            at = found.end()
            self._pieces.append(_piece(found, words))
        self.words = frozenset(piece for piece in self._pieces if isinstance(piece, str))

    def render(self, values: Callable[[str], bytes]) -> bytes:
        return b"".join(piece if isinstance(piece, bytes) else values(piece) for piece in self._pieces)


def _piece(found: re.Match[str], words: Collection[str]) -> bytes | str:
    """The name of a word as text, what stands for itself as bytes."""
    word: str | None = found[1]
    if word is None:
        return {"{{": "{", "}}": "}"}.get(found[0], found[0]).encode()
    if word not in words:
        raise ValueError(f"{{{word}}} is no word here: there are {', '.join(sorted(words))}")
    return word
