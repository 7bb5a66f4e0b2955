"""Secrets in the database: sealed on the way in, opened on the way out, each text bound to its name and version."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from secrets import randbelow
from typing import Final, Protocol

from gateway.core.secret import Secret
from gateway.credentials.stored.source import REVOKED
from gateway.credentials.vault.place import row as place
from gateway.credentials.vault.ring import Opened
from gateway.store.sql.secrets import SecretRow, SecretRows

FIRST: Final = 2**30
"""Versions begin anywhere below: a row deleted and made anew must not be taken for the one before."""


class Sealing(Protocol):
    """What seals and opens. It may wait for the network."""

    @property
    def ids(self) -> tuple[str, ...]: ...
    def seal(self, place: bytes, secret: Secret) -> str: ...
    def open(self, place: bytes, sealed: str) -> Opened: ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What may be told of a secret; nothing of it decides anything."""

    provider: str = ""
    subject: str = ""
    scopes: str = ""
    expires_at: float | None = None


class Drawer:
    """The table of secrets, to be written."""

    def __init__(self, rows: SecretRows, ring: Sealing, now: Callable[[], float]) -> None:
        self._rows = rows
        self._ring = ring
        self._now = now

    async def sealed(self, name: str, secret: Secret, facts: Facts, known: SecretRow | None) -> tuple[SecretRow, int]:
        """The row that follows `known`, and its version; nothing is written. Raises ValueError and DependencyDown."""
        now, version = self._now(), known.version + 1 if known is not None else randbelow(FIRST) + 1
        row = SecretRow(
            name,
            sealed=await asyncio.to_thread(self._ring.seal, at(name, version), secret),
            key_id=self._ring.ids[0],
            version=0 if known is None else known.version,
            provider=facts.provider,
            subject=facts.subject,
            scopes=facts.scopes,
            created_at=now,
            updated_at=now,
            expires_at=facts.expires_at,
        )
        return row, version

    async def put(self, name: str, secret: Secret, facts: Facts) -> bool:
        """Store a secret in place of the one that is there; whether there was one. Raises Conflict, ValueError, DependencyDown."""
        known = await self._rows.get(name)
        await self._rows.put(*await self.sealed(name, secret, facts, known))
        return known is not None


async def revoke(rows: SecretRows, name: str, now: float) -> bool:
    """Put the word `revoked` in place of a secret; whether there was one. Raises Conflict and DependencyDown."""
    known = await rows.get(name)
    if known is None:
        return False
    gone = SecretRow(name, REVOKED, "", known.version, created_at=known.created_at, updated_at=now)
    await rows.put(gone, known.version + 1)
    return True


def is_revoked(row: SecretRow) -> bool:
    """Whether nothing is in it any more."""
    return row.sealed == REVOKED


def at(name: str, version: int) -> bytes:
    """Where a secret's text stands: moved to another name, or put back after a newer one, it does not open."""
    return place("secrets", "sealed", f"{len(name)}:{name}.{version}")
