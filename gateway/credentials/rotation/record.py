"""How far the rotation of one secret came, as it is kept in the database: sealed, for it holds secrets while they change."""

import base64
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from gateway.core.secret import Secret

LONGEST_CAUSE: Final = 200
LONGEST_SECRET: Final = 16 * 1024
"""Bytes: two of them, written down together, are sealed as one value."""


class Phase(StrEnum):
    """What is true outside, at the provider and the upstream."""

    IDLE = "idle"
    """One secret, as far as we know."""
    MINTING = "minting"
    """The hook or provider was asked: there may be a new one that nobody holds."""
    MINTED = "minted"
    """There is a new one, tried or not; it may already be the one in force."""
    OVERLAP = "overlap"
    """The new one is in force, and the old one counts until `moment`."""
    REJECTED = "rejected"
    """The new one is not used and has to be revoked."""


@dataclass(frozen=True, slots=True)
class Held:
    """A secret, and by which name its provider revokes it, where it has said one."""

    secret: Secret
    handle: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """`base` is the version of the row that was, or by the switch became, the one in force, and `handle` by which name its provider
    revokes that, where nothing rotates. `moment` (Unix seconds) is before when
    nothing is done; `cause` why the last attempt failed, of `failures` in a row."""

    phase: Phase = Phase.IDLE
    base: int = 0
    handle: str | None = None
    old: Held | None = None
    new: Held | None = None
    moment: float = 0.0
    failures: int = 0
    cause: str = ""

    def written(self) -> Secret:
        """As it is sealed."""
        told = {
            "phase": str(self.phase),
            "base": self.base,
            "handle": self.handle,
            "old": _written(self.old),
            "new": _written(self.new),
            "moment": self.moment,
            "failures": self.failures,
            "cause": self.cause,
        }
        return Secret(json.dumps(told).encode())


def read(text: Secret) -> Record:
    """What was `written`. Raises ValueError for anything else."""
    try:
        told = json.loads(text.reveal())
        return Record(
            Phase(told["phase"]),
            int(told["base"]),
            _handle(told["handle"]),
            _held(told["old"]),
            _held(told["new"]),
            float(told["moment"]),
            int(told["failures"]),
            str(told["cause"])[:LONGEST_CAUSE],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError("it is no record of a rotation") from None


def _written(held: Held | None) -> dict[str, str | None] | None:
    return None if held is None else {"secret": base64.b64encode(held.secret.reveal()).decode("ascii"), "handle": held.handle}


def _held(told: Any) -> Held | None:
    if told is None:
        return None
    return Held(Secret(base64.b64decode(told["secret"], validate=True)), _handle(told["handle"]))


def _handle(told: Any) -> str | None:
    return None if told is None else str(told)
