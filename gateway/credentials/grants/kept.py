"""Grants in the database: sealed on the way in, opened on the way out, each text bound to its row and version."""

import asyncio
import logging
from dataclasses import replace
from secrets import randbelow
from typing import Final, Protocol

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Metrics
from gateway.core.secret import Secret
from gateway.credentials.grants.evidence import Evidence
from gateway.credentials.grants.grant import Grant, Key, Malformed, read
from gateway.credentials.vault.fault import NotOpened
from gateway.credentials.vault.place import row as place
from gateway.credentials.vault.ring import Opened
from gateway.store.sql.grants import GrantRow, GrantRows

log = logging.getLogger(__name__)

REFUSED: Final = "gateway.grant.refused"
FIRST: Final = 2**30
"""Versions begin anywhere below: who has read a grant that was revoked and connected anew must not take one for the other."""


class Sealing(Protocol):
    """What seals and opens. It may wait for the network."""

    @property
    def ids(self) -> tuple[str, ...]: ...
    def seal(self, place: bytes, secret: Secret) -> str: ...
    def open(self, place: bytes, sealed: str) -> Opened: ...


class Kept:
    """The table of grants, opened. A row that does not open is refused, counted, and told at the highest level: it was tampered
    with, or its key is gone. No request is served with it.
    """

    def __init__(self, rows: GrantRows, ring: Sealing, clock: Clock, metrics: Metrics, evidence: Evidence | None = None) -> None:
        self._rows = rows
        self._ring = ring
        self._now = clock.now
        self._metrics = metrics
        self._evidence = evidence or Evidence()

    async def get(self, key: Key) -> Grant | None:
        """Raises DependencyDown, also for a row that does not open."""
        found = await self._rows.get(key)
        return None if found is None else await self.opened(found)

    async def put(self, grant: Grant) -> Grant:
        """Store what follows `grant.version`, durably. Raises Conflict, ValueError and DependencyDown as GrantRows.put does."""
        now, version = self._now(), grant.version + 1 if grant.version else randbelow(FIRST) + 1
        grant = replace(grant, created_at=grant.created_at or now)
        sealed = await asyncio.to_thread(self._ring.seal, at(grant.key, version), grant.written())
        row = GrantRow(
            *grant.key,
            sealed=sealed,
            key_id=self._ring.ids[0],
            version=grant.version,
            state=grant.state,
            problem=grant.problem,
            scopes=" ".join(grant.scopes),
            created_at=grant.created_at,
            updated_at=now,
            expires_at=grant.expires_at,
        )
        return replace(grant, version=(await self._rows.put(row, version)).version)

    async def version(self, key: Key) -> int:
        """Which version is there, 0 for none, whether it opens or not. Raises DependencyDown."""
        found = await self._rows.get(key)
        return 0 if found is None else found.version

    async def opened(self, found: GrantRow) -> Grant:
        """What a row holds. Raises DependencyDown where it does not open."""
        try:
            opened = await asyncio.to_thread(self._ring.open, at(found.key, found.version), found.sealed)
            return read(found.key, found.version, opened.secret)
        except (NotOpened, Malformed) as error:
            fault = str(error.fault) if isinstance(error, NotOpened) else "malformed"
            self._metrics.count(REFUSED, 1, provider=found.provider, fault=fault)
            self._evidence.refused(found.key, found.version, fault)
            log.critical("a stored grant does not open", extra={"provider": found.provider, "fault": fault})
            raise DependencyDown(f"grant at {found.provider}: does not open ({fault})") from error


async def forget(rows: GrantRows, key: Key) -> GrantRow | None:
    """Delete a grant; what was there, unopened. One that is refreshed just now is deleted all the same. Raises DependencyDown."""
    found = await rows.get(key)
    if found is not None:
        await rows.delete(key)
    return found


def at(key: Key, version: int) -> bytes:
    """Where a grant's text stands: moved to another principal, or put back after a newer one, it does not open."""
    return place("grants", "sealed", ".".join(f"{len(part)}:{part}" for part in (*key, str(version))))
