"""Who may do a thing next: a lease with an end, by the database's clock, and a number that grows with every holder.

A lease asks nothing of its holder, who may have stopped to exist: it ends by itself. The number ("fence") tells a holder that was
thought dead from the one that came after it.
"""

import logging
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from sqlalchemy import TextClause, text

from gateway.store.sql.engine import Database

log = logging.getLogger(__name__)

CLOCK: Final = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "extract(epoch FROM clock_timestamp())",
}
NUMBER: Final = "abs(CAST(leases.fence AS INTEGER) % 1073741824)"
"""The fence as a number that can be counted on, whoever wrote it: of 0 to 2^30 - 1."""
TAKE: Final = """
INSERT INTO leases (name, holder, fence, orphaned, until) VALUES (:name, :holder, 1, 0, {now} + :seconds)
ON CONFLICT (name) DO UPDATE SET holder = :holder, fence = {number} + 1, until = {now} + :seconds,
  orphaned = CASE WHEN leases.holder = '' THEN 0 ELSE 1 END
WHERE leases.holder = '' OR leases.until < {now}
RETURNING {number} AS fence, orphaned
"""
SEIZE: Final = """
UPDATE leases SET holder = :holder, fence = {number} + 1, until = {now} + :seconds, orphaned = 1
WHERE name = :name AND {number} = :fence AND holder <> ''
RETURNING {number} AS fence
"""
FENCE: Final = "SELECT {number} AS fence FROM leases WHERE name = :name"
RELEASE: Final = "UPDATE leases SET holder = '', until = 0 WHERE name = :name AND holder = :holder"
ABANDON: Final = "UPDATE leases SET until = 0 WHERE name = :name AND holder = :holder"
FORGET: Final = "DELETE FROM leases WHERE name = :name AND (holder = '' OR until < {now})"


@dataclass(frozen=True, slots=True)
class Lease:
    """One turn. `orphaned` says that the holder before never said that it was done, or said that it is not."""

    name: str
    holder: str
    fence: int
    orphaned: bool


class Leases:
    """The table of leases."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._take = text(TAKE.format(now=CLOCK[database.kind], number=NUMBER))
        self._seize = text(SEIZE.format(now=CLOCK[database.kind], number=NUMBER))

    async def take(self, name: str, seconds: float) -> Lease | None:
        """The lease for so long, or None while another has it. Raises DependencyDown."""
        holder = uuid4().hex
        found = await self._database.rows(self._take, {"name": name, "holder": holder, "seconds": seconds})
        return Lease(name, holder, found[0].fence, bool(found[0].orphaned)) if found else None

    async def fence(self, name: str) -> int:
        """The number of whoever has or had it last, 0 where nobody did. Raises DependencyDown."""
        found = await self._database.rows(text(FENCE.format(number=NUMBER)), {"name": name})
        return found[0].fence if found else 0

    async def seize(self, name: str, seconds: float, fence: int) -> Lease | None:
        """The lease of a holder who, by the caller's own clock, has had it for longer than any lasts; None where it is another's by
        now. Where the database's clock was put back, or an end written by hand, it would never end. Raises DependencyDown."""
        holder = uuid4().hex
        values = {"name": name, "holder": holder, "seconds": seconds, "fence": fence}
        found = await self._database.rows(self._seize, values)
        if not found:
            return None
        log.warning("a lease that did not end was taken from its holder", extra={"fence": fence})
        return Lease(name, holder, found[0].fence, orphaned=True)

    async def release(self, lease: Lease, *, done: bool = True) -> None:
        """Let the next one have it, who is told where it is not `done`; harmless where it is another's already.

        Raises DependencyDown.
        """
        await self._database.write(_bound(RELEASE if done else ABANDON, name=lease.name, holder=lease.holder))

    async def forget(self, name: str) -> None:
        """Nobody will want it again: nothing of it stays, but of one that is held. Raises DependencyDown."""
        await self._database.write(_bound(FORGET.format(now=CLOCK[self._database.kind]), name=name))


def _bound(statement: str, **values: str) -> TextClause:
    return text(statement).bindparams(**values)
