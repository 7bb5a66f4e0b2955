"""JSON Pointer (RFC 6901) as findings give it to clients: bounded, since clients choose the names in it."""

from collections.abc import Sequence
from typing import Final

Finding = tuple[str, str]
"""What is wrong: JSON Pointer and keyword, never a value."""

MAX_POINTER: Final = 256


def pointer(path: Sequence[str | int]) -> str:
    """A JSON Pointer, cut at a whole token where it would grow long."""
    text = ""
    for token in path:
        grown = text + "/" + str(token).replace("~", "~0").replace("/", "~1")
        if len(grown) > MAX_POINTER:
            break
        text = grown
    return text
