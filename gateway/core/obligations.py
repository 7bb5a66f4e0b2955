"""What an allowing decision demands beside the permission: the closed vocabulary of `then:`.

Obligations of all matching allow rules add up; for the same key the stricter wins. One that cannot be honoured denies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.core.json_path import JsonPath


class Style(StrEnum):
    """What is left of a redacted value, from the strictest to the mildest."""

    REMOVE = "remove"
    HASH = "hash"
    LAST4 = "last4"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Redaction:
    """The values at one place of a JSON answer, and what is left of them."""

    path: JsonPath
    style: Style


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an answer must be for this principal to see it.

    `holds(principal, access, body)` is asked with the parsed JSON body; whatever it raises counts as no. Of an answer that is an
    array each item is asked about, and those that fail are left out. `hidden`: refuse with 404 instead of 403.
    """

    holds: Callable[[Any, Any, Any], bool]
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class StepUp:
    """How the client must have authenticated (RFC 9470): one of these `acr`, all of these `amr`, at most `max_age` seconds ago."""

    acr: tuple[str, ...] = ()
    amr: tuple[str, ...] = ()
    max_age: float | None = None


@dataclass(frozen=True, slots=True)
class Obligations:
    """All of one decision. `fields` are allow-lists: a value is kept where every one of them names it.

    `rate_limits` are names of limits made at load, one for each rule that states one; `set_headers` are fields for the upstream,
    each a lower-case name and what makes its value from (principal, access); `max_body` is in bytes.
    """

    redact: tuple[Redaction, ...] = ()
    fields: tuple[tuple[JsonPath, ...], ...] = ()
    require: tuple[Requirement, ...] = ()
    rate_limits: tuple[str, ...] = ()
    step_up: tuple[StepUp, ...] = ()
    set_headers: tuple[tuple[bytes, Callable[[Any, Any], bytes]], ...] = ()
    max_body: int | None = None
    audit_full: bool = False

    @property
    def shapes_answer(self) -> bool:
        """Whether the answer's body has to be looked at."""
        return bool(self.redact or self.fields or self.require)
