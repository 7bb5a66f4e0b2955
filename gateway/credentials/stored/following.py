"""What changed in the database since it was last looked at: one question for all secrets, a second where versions are others.

A database that is away costs nobody a secret that was good, for a stated while; after that there is none (503). A row that does
not open is refused at once and told at the highest level: it was tampered with, or its key is not here.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final, Protocol

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Metrics
from gateway.credentials.stored.drawer import Sealing, at, is_revoked
from gateway.credentials.stored.source import REVOKED, UNREAD, StoredSource
from gateway.credentials.tokens import Tell
from gateway.credentials.vault.fault import NotOpened
from gateway.store.sql.secrets import SecretRow, SecretRows

log = logging.getLogger(__name__)

UNCONFIRMED: Final = "gateway.vault.unconfirmed"
REFUSED: Final = "gateway.vault.refused"
OUTDATED: Final = "the database has been away for too long"


class Limits(Protocol):
    """How long a value is used that cannot be confirmed."""

    @property
    def stale_for(self) -> float: ...


class Following:
    """Keeps sources at what the database holds."""

    def __init__(self, clock: Clock, metrics: Metrics, tell: Tell) -> None:
        self._monotonic = clock.monotonic
        self._metrics = metrics
        self._tell = tell
        self._is_down = False

    async def look(self, rows: SecretRows, ring: Sealing, sources: Mapping[str, StoredSource], limits: Limits) -> None:
        """Look once. Raises nothing that a database or a key could cause; a bug does not keep what it leaves unconfirmed."""
        try:
            await self._compare(rows, ring, sources)
        except DependencyDown as error:
            self._down(error, sources, limits.stale_for)
        except Exception:  # a bug confirms nothing either
            self._down(DependencyDown("internal error"), sources, limits.stale_for)
            raise
        else:
            self._is_down = False

    async def _compare(self, rows: SecretRows, ring: Sealing, sources: Mapping[str, StoredSource]) -> None:
        began = self._monotonic()
        versions = await rows.versions(list(sources))
        changed = []
        for name, source in sources.items():
            version = versions.get(name, 0)
            if version and version != source.version:
                changed.append(name)
            elif version == source.version:
                source.confirmed = began
            else:
                self._revoke(name, source, 0)
        found = await rows.of(changed) if changed else ()
        away: DependencyDown | None = None
        for row in sorted(found, key=is_revoked, reverse=True):  # what is taken back waits for nobody's key
            try:
                await self._renew(ring, row, sources[row.name], began)
            except DependencyDown as error:
                away = error
        if away is not None:
            raise away

    async def _renew(self, ring: Sealing, row: SecretRow, source: StoredSource, began: float) -> None:
        if is_revoked(row):
            self._revoke(row.name, source, row.version)
            return
        try:
            opened = await asyncio.to_thread(ring.open, at(row.name, row.version), row.sealed)
        except NotOpened as error:
            source.refuse(f"does not open ({error.fault})", row.version)
            self._metrics.count(REFUSED, 1, fault=str(error.fault))
            self._tell("secret.refused", entry=row.name, fault=str(error.fault))
            log.critical("a stored secret does not open", extra={"entry": row.name, "fault": str(error.fault)})
        else:
            source.take(opened.secret, row.version, began, row.expires_at)
            self._tell("secret.replaced", entry=row.name, key=opened.key_id)

    def _revoke(self, name: str, source: StoredSource, version: int) -> None:
        source.refuse(REVOKED, version)
        self._tell("secret.revoked", entry=name)
        log.warning("a stored secret was revoked", extra={"entry": name})

    def _down(self, error: DependencyDown, sources: Mapping[str, StoredSource], stale_for: float) -> None:
        now = self._monotonic()
        for source in sources.values():
            if source.usable and now - source.confirmed >= stale_for:
                source.refuse(OUTDATED, UNREAD)
        lost = any(source.version == UNREAD for source in sources.values())
        self._metrics.count(UNCONFIRMED, 1, outcome="refused" if lost else "used")
        if not self._is_down:
            log.warning("stored secrets cannot be confirmed, the last values stay", extra={"cause": error.detail})
        self._is_down = True
