"""How a worker comes to be: forked with a channel and two pipes, then given what it needs."""

import itertools
import socket
from collections.abc import Callable

from gateway.workers.channel import close_all
from gateway.workers.equipment import Equipment
from gateway.workers.lines import Lines, pipe
from gateway.workers.member import Member
from gateway.workers.nursery import Begun, Nursery
from gateway.workers.renewal import START


class Births:
    """Starts workers, and ends those that do not end by themselves."""

    def __init__(self, audit: Lines, logs: Lines, ended: Callable[[int, int], None], begun: Begun | None) -> None:
        """`audit` and `logs` read what workers tell; `ended` is told process ids and exit codes."""
        self._audit = audit
        self._logs = logs
        self._nursery = Nursery(ended, begun)
        self._numbers = itertools.count(1)

    async def begin(
        self,
        slot: int,
        leaves: Callable[[Member], None],
        over: Callable[[Member], None],
        blocks: Callable[[Member, str, float], None],
    ) -> Member:
        """A process that waits for its equipment. Raises GoneError."""
        control, theirs = socket.socketpair()
        audit, audit_end = pipe()
        log, log_end = pipe()
        self._audit.add(audit)
        self._logs.add(log)
        member = Member(slot, next(self._numbers), control, leaves, over, blocks)
        try:
            member.pid = await self._nursery.fork([theirs.fileno(), audit_end, log_end])
        finally:
            theirs.close()
            close_all([audit_end, log_end])
            if not member.pid:  # given up on the way: a process that is forked all the same ends by itself
                member.drop()
        return member

    def kill(self, member: Member) -> None:
        """End one that does not do as told."""
        self._nursery.kill(member.pid)

    async def close(self) -> None:
        """When no worker is left."""
        await self._nursery.close()


async def bear(member: Member, equipment: Equipment) -> None:
    """Have it build its configuration and take connections. Raises ConfigError, GoneError."""
    keys, sockets = equipment.sockets_of(member.slot)
    facts = {"worker": member.slot, "keys": keys, "mask_key": equipment.mask_key}
    answer = await member.ask("start", [equipment.parcel, *sockets], timeout=START, **facts)
    member.generation = answer["generation"]
