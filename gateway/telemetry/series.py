"""What is held of requests that look alike, and what is told of it."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from gateway.core.exchange import Exchange
from gateway.core.reason import Reason
from gateway.telemetry.instrument import Instrument
from gateway.telemetry.instruments import BOUNDS, OVERFLOW
from gateway.telemetry.redact import visible

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
"""Methods that are told apart; what else a client invents is OTHER (HTTP conventions, http.request.method)."""
OTHER: Final = "_OTHER"
UPSTREAM_REASONS: Final = frozenset({Reason.UPSTREAM_UNREACHABLE, Reason.UPSTREAM_TIMEOUT, Reason.UPSTREAM_PROTOCOL})
VALUE: Final = 128
"""Characters of a label's value."""

Labels = tuple[tuple[str, str], ...]
Key = tuple[Any, ...]
OVERFLOWN: Final[Labels] = ((OVERFLOW, "true"),)


def label(value: object) -> str:
    """A label's value: short, on one line, sayable in UTF-8. One odd value must not cost a whole exposition or push."""
    return visible(str(value)[:VALUE])


class Seen(NamedTuple):
    """A key with names: everything closed and small that requests are told apart by."""

    method: str
    route: str | None
    status: int | None
    reason: Reason | None
    secure: bool
    version: str
    source: str
    upstream: str | None
    upstream_status: int | None
    scheme: str | None
    decision: tuple[bool, str | None, tuple[str, bool] | None] | None
    limits: tuple[str, ...]


class Buckets:
    """A histogram's counts (one more than bounds: the last is beyond all) and the sum of what was observed."""

    __slots__ = ("counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, other: "Buckets") -> None:
        """Take over what another one counted."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


class Series:
    """Requests that look alike. `key` is a Seen without its names, None for those beyond the limit."""

    __slots__ = ("client", "key", "server")

    def __init__(self, key: Key | None, called: bool) -> None:
        self.key = key
        self.server = Buckets(BOUNDS)
        self.client = Buckets(BOUNDS) if called else None


@dataclass(frozen=True, slots=True)
class Family:
    """One instrument with all its label sets, as of now."""

    instrument: Instrument
    points: tuple[tuple[Labels, float | Buckets], ...]


def was_called(exchange: Exchange) -> bool:
    """Was this request sent to an upstream, answered or not?"""
    return exchange.upstream_started is not None or exchange.upstream_seconds is not None or exchange.reason in UPSTREAM_REASONS
