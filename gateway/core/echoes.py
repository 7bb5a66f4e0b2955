"""What an injector put into a request, as those see it who keep it out of the answer; and what came of that."""

from collections.abc import Iterable
from typing import Protocol

from gateway.core.shape import Shape

Span = tuple[int, int]
"""From where to where, in bytes."""
Guarded = tuple[tuple[int, tuple[bytes, ...]], ...]
"""Single bytes, and what is looked for in texts that have them."""


class Echoes(Protocol):
    """The values of one credential, in every form that is looked for.

    `mark` is a hash of them (Python's hash of bytes is keyed, PEP 456), `fingerprint` what evidence may say: 16 hex digits, under
    a key. `in_bodies` are looked for in bodies, nothing where that is empty, `in_heads` in heads; `clean` are shapes without any.
    """

    mark: int
    fingerprint: str
    in_bodies: Guarded
    in_heads: Guarded
    clean: set[Shape]

    def occur(self, text: bytes, guarded: Guarded) -> bool:
        """Whether there is any of these in a text, with or without its escapes."""
        ...

    def in_names(self, shape: Shape) -> bool:
        """Whether there is any in the names of fields."""
        ...

    def in_name(self, name: bytes) -> bool:
        """Whether there is any in this name of a field."""
        ...

    def replaced(self, value: bytes) -> bytes:
        """The value of a field with a mask in place of each."""
        ...

    def spans(self, text: bytes) -> list[Span]:
        """Where they are in a body, in their order, without overlaps."""
        ...

    def begun(self, text: bytes) -> int:
        """How many bytes at the end of a part of a body may be the beginning of one."""
        ...


class Echoed:
    """What was masked of one answer: how often in its `head`, trailers included, and in its `body`; `fingerprints` of it."""

    __slots__ = ("body", "fingerprints", "head")

    def __init__(self, secrets: Iterable[Echoes]) -> None:
        self.fingerprints = [each.fingerprint for each in secrets]
        self.head = self.body = 0

    def told(self) -> dict[str, int | list[str]]:
        """For the evidence."""
        return {"head": self.head, "body": self.body, "fingerprints": self.fingerprints}
