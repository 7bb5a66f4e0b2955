"""The rates that policy rules state: put together as decisions name them."""

from typing import Final

from gateway.core.ports import Limits
from gateway.ratelimit.limiter import Limiter

REMEMBERED: Final = 1024
"""Combinations of rules."""


class Stated:
    """Makes the stage of the limits that one decision names; each combination once."""

    __slots__ = ("_limiter", "_stages")

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._stages: dict[tuple[str, ...], Limits] = {}

    def stage(self, names: tuple[str, ...]) -> Limits:
        """The limits of these names. Raises ValueError for one that was not there at load."""
        stage = self._stages.get(names)
        if stage is None:
            if len(self._stages) >= REMEMBERED:
                self._stages.clear()
            stage = self._stages[names] = self._limiter.stated(names)
        return stage
