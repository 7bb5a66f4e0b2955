"""One address of a target: what is open to it, how it has been doing, how much of the load it may have."""

import asyncio
import math
from typing import Any, Final

from gateway.upstream.accrual import Accrual

KEPT: Final = 60.0
"""Seconds an idle connection is kept."""
CALM: Final = 4.0
"""Seconds for which an idle connection is trusted with a request that may not be sent twice: servers commonly close after 5."""
UNKNOWN: Final = ""
"""The address of a target whose name was not resolved yet."""


class Endpoint:
    """An address and what is known about it now. `rotation.Rotation` decides about it; connections only look at `resting`.

    `resting`: a connection that comes free is closed, because the address is ejected, unhealthy or gone from DNS. `kept_until` is
    the loop time until when the connection that answered last is kept, which tells when that was.
    """

    __slots__ = (
        "accrual", "ejected", "gone", "ip", "kept_until", "open", "problem", "resting", "streak", "timer", "unhealthy", "weight",
    )  # fmt: skip

    def __init__(self, ip: str, accrual: Accrual) -> None:
        self.ip = ip
        self.accrual = accrual
        self.open = 0
        self.weight = 1.0
        self.kept_until = -math.inf
        self.resting = self.ejected = self.unhealthy = self.gone = False
        self.streak = 0
        self.problem = ""
        self.timer: asyncio.TimerHandle | None = None

    def is_fit(self) -> bool:
        """Whether nothing speaks against it."""
        return not (self.ejected or self.unhealthy or self.gone)

    def cost(self) -> float:
        """What it bears already, for what it may bear."""
        return (self.open + 1) / self.weight

    def cancel(self) -> None:
        """Nothing is planned for it any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def state(self) -> str:
        """In one word: `serving`, `ejected`, `unhealthy`."""
        return "ejected" if self.ejected else "unhealthy" if self.unhealthy else "serving"

    def status(self) -> dict[str, Any]:
        """For the operators."""
        return {
            "address": self.ip or None,
            "state": self.state(),
            "connections": self.open,
            "failures": self.accrual.failures,
            "ejections": self.accrual.pauses,
            "weight": round(self.weight, 2),
            "problem": self.problem or None,
        }
