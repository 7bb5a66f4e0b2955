"""API keys the gateway handed out itself: looked up by their public id, compared by keyed hash in constant time."""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, final

from gateway.authn import key_file, key_format
from gateway.authn.key_file import KeyEntry
from gateway.authn.recent import Recent
from gateway.authn.strength import StrongSecret
from gateway.core.errors import ConfigError, Unauthenticated
from gateway.core.ports import Clock, Grant, Metrics
from gateway.core.principal import Identity, Principal
from gateway.core.reason import Reason

LOOK_SECONDS: Final = 2.0
"""A created or revoked key takes effect within this time."""
NO_HASH: Final = "hmac-sha256:" + 64 * "0"
ISSUER: Final = "api_keys"
REMEMBERED: Final = 10_000

log = logging.getLogger(__name__)


@final
class StoredKey:
    """One usable entry, its times as numbers."""

    __slots__ = ("expires", "hash", "identity")

    def __init__(self, entry: KeyEntry) -> None:
        self.hash = entry.hash
        self.expires = key_file.moment(entry.expires_at) if entry.expires_at else None
        self.identity = Identity(
            id=entry.subject,
            issuer=ISSUER,
            scheme="api_key",
            credential_id=entry.id,
            roles=tuple(entry.roles) if entry.roles is not None else None,
            permissions=tuple(entry.permissions) if entry.permissions is not None else None,
            expires=self.expires,
        )


@final
class KeyStore:
    """The keys of one file, read again when it changes. A broken edit changes nothing and is told."""

    def __init__(
        self,
        path: Path,
        prefix: str,
        pepper: StrongSecret,
        clock: Clock,
        metrics: Metrics,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Reads the file. Raises ConfigError."""
        self.prefix = prefix.encode() + b"_"
        self._path = path
        self._pepper = pepper
        self._clock = clock
        self._metrics = metrics
        self._sleep = sleep
        self._seen = _version(path)
        self._keys = _usable(key_file.load(path))
        self._error = ""
        self._loop: asyncio.Task[None] | None = None

    def verify(self, key: bytes) -> StoredKey:
        """The entry of a key. Raises Unauthenticated, the same for an unknown key and a wrong one, or DependencyDown.

        Every well-formed key costs one keyed hash and one comparison in constant time, whether its id is known or not.
        """
        id = key_format.identify(self.prefix[:-1], key)
        if id is None:
            raise Unauthenticated("api key: malformed")
        stored = self._keys.get(id)
        digest = key_format.digest(self._pepper.current(), key)
        same = hmac.compare_digest(digest, stored.hash if stored is not None else NO_HASH)
        if stored is None or not same:
            raise Unauthenticated("api key: unknown or wrong")
        if stored.expires is not None and stored.expires <= self._clock.now():
            raise Unauthenticated("api key: expired", reason=Reason.CREDENTIAL_EXPIRED)
        return stored

    def look(self) -> None:
        """Read the file again if it is another one than before. Never raises for what it contains."""
        version = _version(self._path)
        if version == self._seen:
            return
        try:
            self._keys = _usable(key_file.load(self._path))
            self._error = ""
            self._metrics.count("gateway.api_keys.reloads", outcome="success")
        except ConfigError as error:
            self._error = str(error)
            self._metrics.count("gateway.api_keys.reloads", outcome="failure")
            log.error("key file is malformed, the keys before stay in force", extra={"cause": str(error)})
        self._seen = version

    def is_past(self, moment: float | None) -> bool:
        """Whether a Unix time has come."""
        return moment is not None and moment <= self._clock.now()

    def start(self) -> None:
        """Watch the file until `close`. Calling it again is harmless."""
        if self._loop is None:
            self._loop = asyncio.create_task(self._watch(), name="api keys")

    async def close(self) -> None:
        task, self._loop = self._loop, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """For the operators' page."""
        return {"keys": len(self._keys), "error": self._error or None}

    async def _watch(self) -> None:
        while True:
            await self._sleep(LOOK_SECONDS)
            try:
                await asyncio.to_thread(self.look)
            except Exception:
                log.exception("bug while reading the key file")


@final
class KeyHolders:
    """Keys turned into principals under one policy; each key's principal is made once, and again when a role of it ends."""

    def __init__(self, store: KeyStore, grant: Grant) -> None:
        self._store = store
        self._grant = grant
        self._principals: Recent[str, tuple[StoredKey, Principal]] = Recent(REMEMBERED)

    def authenticate(self, key: bytes) -> Principal:
        """Who presents this key. Raises Unauthenticated or DependencyDown."""
        stored = self._store.verify(key)
        id = stored.identity.credential_id or ""
        known = self._principals.get(id)
        if known is not None and known[0] is stored and not self._store.is_past(known[1].expires):
            return known[1]
        principal = self._grant(stored.identity)
        self._principals.put(id, (stored, principal))
        return principal


def _usable(entries: list[KeyEntry]) -> dict[str, StoredKey]:
    return {entry.id: StoredKey(entry) for entry in entries if entry.revoked_at is None}


def _version(path: Path) -> tuple[int, int, int] | None:
    """What tells one content of a file from the next without reading it; None when there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
