"""What an allowing decision demands beside the permission: the closed vocabulary of `then:`.

Obligations of all matching allow rules add up; for the same key the stricter wins. One that cannot be honoured denies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gateway.core.json_path import JsonPath


class Style(StrEnum):
    """What is left of a redacted value, from the strictest to the mildest."""

    REMOVE = "remove"
    HASH = "hash"
    LAST4 = "last4"
    PARTIAL = "partial"


STRICTNESS: Final = tuple(Style)
"""The strictest first."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """The values at one place of a JSON answer, and what is left of them. A value that several places name: the strictest style."""

    path: JsonPath
    style: Style


class Answer:
    """What a requirement is asked about: an upstream's answer. `body` is the parsed JSON, or one item of an array."""

    __slots__ = ("body", "status")

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an answer must be for this principal to see it.

    `holds(principal, access, answer)` is asked with an Answer; whatever it raises counts as no. Of an answer that is an
    array each item is asked about, and those that fail are left out. `hidden`: refuse with 404 instead of 403. `source`: as it was
    written, on one line; `mark` tells it from others that are written alike and mean something else.
    """

    holds: Callable[[Any, Any, Answer], bool]
    hidden: bool = False
    source: str = ""
    mark: str = ""


class Shaped:
    """What became of an answer: `outcome` is shaped, emptied (a failure without its body), withheld, or cut (in the middle).

    `redacted` counts the values that were removed or replaced.
    """

    __slots__ = ("outcome", "redacted")

    def __init__(self) -> None:
        self.outcome = ""
        self.redacted = 0


@dataclass(frozen=True, slots=True)
class StepUp:
    """How the client must have authenticated (RFC 9470): one of these `acr`, all of these `amr`, at most `max_age` seconds ago."""

    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class SetHeader:
    """A field for the upstream: its lower-case name, and `text`, or `value(principal, access)`, which gives text or raises."""

    name: bytes
    text: str | None = None
    value: Callable[[Any, Any], str] | None = None


@dataclass(frozen=True, slots=True)
class Obligations:
    """All of one decision. `fields` are allow-lists: a value is kept where every one of them names it.

    `rate_limits` are names of limits made at load, one for each rule that states one; `max_body` is in bytes.
    """

    redact: tuple[Redaction, ...] = ()
    fields: tuple[tuple[JsonPath, ...], ...] = ()
    require: tuple[Requirement, ...] = ()
    rate_limits: tuple[str, ...] = ()
    step_up: tuple[StepUp, ...] = ()
    set_headers: tuple[SetHeader, ...] = ()
    max_body: int | None = None
    audit_full: bool = False

    @property
    def shapes_answer(self) -> bool:
        """Whether the answer's body has to be looked at."""
        return bool(self.redact or self.fields or self.require)
