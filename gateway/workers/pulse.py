"""How workers do: what they count is known should one die, and one that hangs is ended."""

import asyncio
import logging
from typing import Any, Final, Protocol

from gateway.core.errors import ConfigError
from gateway.telemetry.merge import Sums, unpack
from gateway.workers.channel import GoneError, Message
from gateway.workers.member import Member, State

log = logging.getLogger(__name__)

EVERY: Final = 5.0
"""Seconds between two questions."""
HUNG: Final = 30.0
"""Seconds without an answer after which a worker is ended: its event loop stands still."""


class Crew(Protocol):
    """Of a fleet, what is looked at."""

    sums: Sums

    @property
    def serving(self) -> list[Member]: ...
    @property
    def alive(self) -> list[Member]: ...
    def is_in_place(self, member: Member) -> bool: ...
    def kill(self, member: Member) -> None: ...


class Pulse:
    """Asks all workers what they count."""

    def __init__(self, crew: Crew, *, every: float = EVERY) -> None:
        self._crew = crew
        self._every = every

    async def measure(self) -> None:
        """Take over what everybody counts, now; of one that does not answer, what it told last."""
        await asyncio.gather(*(self._measure(member, EVERY) for member in self._crew.alive))

    async def ask(self, what: str, **further: Any) -> dict[int, Message]:
        """What every serving worker answers, by place; those that do not are left out."""
        members = self._crew.serving
        answers = await asyncio.gather(*(member.ask(what, timeout=EVERY, **further) for member in members), return_exceptions=True)
        return {member.slot: found for member, found in zip(members, answers, strict=True) if isinstance(found, dict)}

    async def watch(self) -> None:
        """The same now and then. Runs until cancelled."""
        while True:
            await asyncio.sleep(self._every)
            await asyncio.gather(*(self._look(member) for member in self._crew.alive))

    async def _measure(self, member: Member, timeout: float) -> bool:
        try:
            answer = await member.ask("measure", timeout=timeout)
            families = unpack(answer["families"])
        except (GoneError, ConfigError, LookupError, TypeError, ValueError):  # what it tells may be nonsense, if it is in a bad way
            return False
        if member.state is not State.GONE:
            self._crew.sums.note(member.serial, str(member.slot) if self._crew.is_in_place(member) else "", families)
        return True

    async def _look(self, member: Member) -> None:
        if not await self._measure(member, HUNG) and member.state is not State.GONE:
            log.error("a worker does not answer and is ended", extra={"worker": member.slot, "pid": member.pid})
            self._crew.kill(member)
