"""Another configuration for all workers: built by everybody first, then live everywhere, or nowhere."""

import asyncio
from collections.abc import Iterable
from typing import Final

from gateway.core.errors import ConfigError, Problem
from gateway.workers.channel import GoneError
from gateway.workers.equipment import Equipment
from gateway.workers.member import Member, State

START: Final = 120.0
"""Seconds a worker may take to build a configuration."""


async def prepare(members: Iterable[Member], equipment: Equipment, before: Equipment) -> None:
    """Everybody builds it. Raises ConfigError where one refuses or does not answer; one that dies meanwhile does not count."""
    found = await asyncio.gather(*(_prepare(member, equipment, before) for member in members), return_exceptions=True)
    for failure in found:
        if isinstance(failure, BaseException):
            raise failure


async def _prepare(member: Member, equipment: Equipment, before: Equipment) -> None:
    keys, sockets = equipment.sockets_of(member.slot, before)
    try:
        await member.ask("prepare", [equipment.parcel, *sockets], timeout=START, keys=keys)
    except GoneError as error:
        if member.state is not State.GONE:
            raise ConfigError([Problem("", 0, 0, "", f"worker {member.slot} does not answer")]) from error


async def commit(member: Member) -> bool:
    """It goes over to what it built. False where it does not: it must not serve on with what the others have left."""
    try:
        member.generation = (await member.ask("commit", timeout=START))["generation"]
    except (GoneError, ConfigError):
        return member.state is State.GONE
    return True
