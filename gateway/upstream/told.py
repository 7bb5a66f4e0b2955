"""What an answer's header fields tell of the upstream's own limits.

The IETF draft's RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-11), the fields it grew from
(`X-RateLimit-*` of GitHub, Jira and many others, `RateLimit-*` of GitLab), and Retry-After (RFC 9110 10.2.3). What cannot be
read counts as not said: an upstream's words may slow us down, never break an answer.
"""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from gateway.core.message import Response
from gateway.core.shape import Shape, conclude

REFUSALS: Final = frozenset((403, 429))
"""Statuses with which upstreams refuse for frequency: 429 (RFC 6585 4), and 403 as GitHub does."""
LIMIT: Final = frozenset((b"x-ratelimit-limit", b"ratelimit-limit"))
REMAINING: Final = frozenset((b"x-ratelimit-remaining", b"ratelimit-remaining"))
RESET: Final = frozenset((b"x-ratelimit-reset", b"ratelimit-reset"))
RETRY_AFTER: Final = b"retry-after"
RESOURCE: Final = b"x-ratelimit-resource"
STANDING: Final = b"ratelimit"
POLICY: Final = b"ratelimit-policy"
HEEDED: Final = LIMIT | REMAINING | RESET | {RETRY_AFTER, RESOURCE, STANDING, POLICY}

NUMBER: Final = re.compile(rb"[0-9]{1,15}")
ITEM: Final = re.compile(rb' *"([^"\\]{0,64})"((?:; *[a-z*][a-z0-9_.*-]{0,32}=(?:[^;," ]{1,128}|"[^"\\]{0,128}"))*) *')
PARAMETER: Final = re.compile(rb'; *([a-z*][a-z0-9_.*-]*)=(?:([0-9]{1,15})(?=;|\Z)|"[^"]*"|[^;," ]*)')
NAME: Final = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
EPOCH: Final = 1_000_000_000
"""A reset as large as this is a time, not a number of seconds from now."""
LONGEST: Final = 512


class Told:
    """One answer's words. `limit` and `remaining` in requests, `resets` and `until` in Unix seconds, None where it says nothing;
    `until` is set where it asks to be left alone, `resource` names what the numbers are about, "" where they have one meaning."""

    __slots__ = ("limit", "remaining", "resets", "resource", "until")

    def __init__(self) -> None:
        self.limit: int | None = None
        self.remaining: int | None = None
        self.resets: float | None = None
        self.until: float | None = None
        self.resource = ""


SAYS: Final[dict[Shape, tuple[tuple[int, bytes], ...]]] = {}
"""Where in answers of a shape the fields stand that are heeded here."""


def places(shape: Shape) -> tuple[tuple[int, bytes], ...]:
    """Positions and names of what is heeded; empty for most shapes."""
    found = SAYS.get(shape)
    if found is None:
        found = conclude(SAYS, shape, tuple([(place, name) for place, name in enumerate(shape.names) if name in HEEDED]))
    return found


def read(response: Response, now: float) -> Told | None:
    """What an answer tells at `now` (Unix seconds); None where it tells nothing."""
    standing = places(response.shape)
    if not standing:
        return None
    told = Told()
    fields: dict[bytes, bytes] = {}
    for place, name in standing:
        fields.setdefault(name, response.values[place][:LONGEST])
    _numbers(told, fields, now)
    if STANDING in fields:
        _draft(told, fields[STANDING], fields.get(POLICY, b""), now)
    if (resource := fields.get(RESOURCE)) is not None and NAME.fullmatch(resource):
        told.resource = resource.decode("ascii")
    if response.status in REFUSALS and RETRY_AFTER in fields:
        told.until = moment(fields[RETRY_AFTER], now)
    return told


def _numbers(told: Told, fields: dict[bytes, bytes], now: float) -> None:
    for name, value in fields.items():
        if name in LIMIT:
            told.limit = number(value.partition(b",")[0].strip())
        elif name in REMAINING:
            told.remaining = number(value)
        elif name in RESET:
            told.resets = moment(value, now)


def _draft(told: Told, standing: bytes, policy: bytes, now: float) -> None:
    """The item nearest to its end: the draft allows several, and each binds."""
    quotas = {name: parameters.get(b"q") for name, parameters in items(policy)}
    nearest: int | None = None
    for name, parameters in items(standing):
        left = parameters.get(b"r")
        if left is None or (nearest is not None and left >= nearest):
            continue
        nearest = told.remaining = left
        told.limit = quotas.get(name)
        told.resets = now + parameters[b"t"] if b"t" in parameters else None


def items(value: bytes) -> list[tuple[bytes, dict[bytes, int]]]:
    """A list of quoted names with their numeric parameters; empty where any of it is malformed (the draft: ignore it whole)."""
    found = []
    place = 0
    while value:
        match = ITEM.match(value, place)
        if match is None:
            return []
        found.append((match[1], {name: int(count) for name, count in PARAMETER.findall(match[2]) if count}))
        place = match.end()
        if place == len(value):
            break
        if value[place : place + 1] != b",":
            return []
        place += 1
    return found


def number(value: bytes) -> int | None:
    """A count, None where it is none."""
    return int(value) if NUMBER.fullmatch(value) else None


def moment(value: bytes, now: float) -> float | None:
    """Unix seconds from seconds to wait, Unix seconds, an HTTP date or an ISO 8601 time (Jira); None where it is none of these."""
    if (seconds := number(value)) is not None:
        return float(seconds) if seconds >= EPOCH else now + seconds
    try:
        text = value.decode("ascii")
        read = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
