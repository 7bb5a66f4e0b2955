"""Whose turn a rotation is, by the leases of the database. One that does not end is taken from whoever has it."""

from collections.abc import Callable
from typing import Final

from gateway.store.sql.leases import Lease, Leases

MARGIN: Final = 60.0
"""Seconds beyond a lease's length after which its holder is taken to be dead."""


class Turns:
    """Remembers since when, by this process's clock, it sees the same holder. A lease's end is the database's word: its clock may
    have been put back, or a hand have written there."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: dict[str, tuple[int, float]] = {}

    async def take(self, leases: Leases, name: str, seconds: float) -> Lease | None:
        """The lease for so long; None while another has it, who is believed as long and a margin. Raises DependencyDown."""
        lease = await leases.take(name, seconds)
        if lease is not None:
            self._seen.pop(name, None)
            return lease
        fence, now = await leases.fence(name), self._monotonic()
        seen, since = self._seen.get(name, (fence, now))
        if seen == fence and now - since > seconds + MARGIN:
            del self._seen[name]
            return await leases.seize(name, seconds, fence)
        self._seen[name] = (fence, since if seen == fence else now)
        return None
