"""What rotates, where that is kept, and what a turn came to."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.core.ports import Clock, Metrics
from gateway.credentials.rotation.minter import Minter
from gateway.credentials.rotation.model import Rotate
from gateway.credentials.rotation.trial import Trial
from gateway.credentials.rotation.turns import Turns
from gateway.credentials.stored.drawer import Sealing
from gateway.credentials.tokens import Tell
from gateway.store.sql.leases import Leases
from gateway.store.sql.secrets import SecretRows

FIRST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 6 * 3600.0


class Outcome(StrEnum):
    """What a turn came to."""

    NOTHING = "nothing to do"
    WAITING = "waiting until it may be tried again"
    BUSY = "another gateway is at it"
    OVERLAPPING = "switched, the old one is revoked after the overlap"
    REVOKED = "the old one is revoked"
    UNPROVEN = "the new one is in force, for the old one ended with it"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """What rotates: `name` of the stored secret, its credential, what mints, and who is asked whether a new one counts."""

    name: str
    credential: str
    rotate: Rotate
    minter: Minter
    trial: Trial


class Place(NamedTuple):
    """Where it is kept, and who is told."""

    rows: SecretRows
    leases: Leases
    turns: Turns
    ring: Sealing
    clock: Clock
    metrics: Metrics
    tell: Tell


def pause(failures: int) -> float:
    """Seconds until the next attempt after so many that failed: a minute, doubled each time, six hours at most."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 16)))


def is_overdue(since: float, rotate: Rotate, now: float) -> bool:
    """Whether a secret has been there for a tenth longer than it should."""
    return since + rotate.every * 1.1 <= now
