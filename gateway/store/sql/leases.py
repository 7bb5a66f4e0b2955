"""Who may do a thing next: a lease with an end, by the database's clock, and a number that grows with every holder.

A lease asks nothing of its holder, who may have stopped to exist: it ends by itself. The number ("fence") tells a holder that was
thought dead from the one that came after it.
"""

from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from sqlalchemy import TextClause, text

from gateway.store.sql.engine import Database

CLOCK: Final = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "extract(epoch FROM clock_timestamp())",
}
TAKE: Final = """
INSERT INTO leases (name, holder, fence, orphaned, until) VALUES (:name, :holder, 1, 0, {now} + :seconds)
ON CONFLICT (name) DO UPDATE SET holder = :holder, fence = leases.fence + 1, until = {now} + :seconds,
  orphaned = CASE WHEN leases.holder = '' THEN 0 ELSE 1 END
WHERE leases.holder = '' OR leases.until < {now}
RETURNING fence, orphaned
"""
RELEASE: Final = "UPDATE leases SET holder = '', until = 0 WHERE name = :name AND holder = :holder"
ABANDON: Final = "UPDATE leases SET until = 0 WHERE name = :name AND holder = :holder"


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
        self._take = text(TAKE.format(now=CLOCK[database.kind]))

    async def take(self, name: str, seconds: float) -> Lease | None:
        """The lease for so long, or None while another has it. Raises DependencyDown."""
        holder = uuid4().hex
        found = await self._database.rows(self._take, {"name": name, "holder": holder, "seconds": seconds})
        return Lease(name, holder, found[0].fence, bool(found[0].orphaned)) if found else None

    async def release(self, lease: Lease, *, done: bool = True) -> None:
        """Let the next one have it, who is told where it is not `done`; harmless where it is another's already.

        Raises DependencyDown.
        """
        await self._database.write(_bound(RELEASE if done else ABANDON, name=lease.name, holder=lease.holder))


def _bound(statement: str, **values: str) -> TextClause:
    return text(statement).bindparams(**values)
