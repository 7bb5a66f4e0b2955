"""API keys the gateway handed out itself: looked up by their public id, compared by keyed hash in constant time."""

import asyncio
import hashlib
import hmac
import ipaddress
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final, final

from gateway.authn import key_file, key_format
from gateway.authn.key_entry import KeyEntry, moment
from gateway.authn.recent import Recent
from gateway.authn.strength import StrongSecret
from gateway.core.errors import ConfigError, DependencyDown, Unauthenticated
from gateway.core.ports import Clock, Grant, Metrics
from gateway.core.principal import Identity, Principal
from gateway.core.reason import Reason
from gateway.core.route_scope import RouteScope

LOOK_SECONDS: Final = 2.0
"""A created or revoked key takes effect within this time."""
NO_HASH: Final = "hmac-sha256:" + 64 * "0"
ISSUER: Final = "api_keys"
LONGEST: Final = 256
"""Bytes of what is presented that are hashed: more than any key has."""
REMEMBERED: Final = 10_000

log = logging.getLogger(__name__)


@final
class StoredKey:
    """One usable entry, its times as numbers. `used` is set at each use, and cleared by who writes that down."""

    __slots__ = ("addresses", "entry", "expires", "hash", "identity", "used")

    def __init__(self, entry: KeyEntry) -> None:
        self.entry = entry
        self.hash = entry.hash
        self.used = False
        self.addresses = entry.addresses
        self.expires = moment(entry.expires_at) if entry.expires_at else None
        self.identity = Identity(
            id=entry.subject,
            issuer=ISSUER,
            scheme="api_key",
            credential_id=entry.id,
            roles=tuple(entry.roles) if entry.roles is not None else None,
            permissions=tuple(entry.permissions) if entry.permissions is not None else None,
            expires=self.expires,
            routes=RouteScope(entry.routes) if entry.routes is not None else None,
        )

    @property
    def name(self) -> str:
        """Its id with a mark of all that it gives: another one once a role of it is another."""
        entry = self.entry
        gives = repr((entry.hash, entry.subject, entry.roles, entry.permissions, entry.routes, entry.addresses))
        return f"{entry.id}.{hashlib.blake2b(gives.encode(), digest_size=16).hexdigest()}"

    def is_for(self, client: str) -> bool:
        """Whether it counts from a client's address, "" where the client has none."""
        if self.addresses is None:
            return True
        address = ipaddress.ip_address(client) if client else None
        return address is not None and any(address in network for network in self.addresses)


class KeyRing(ABC):
    """The keys of one home, as whoever follows the home says."""

    def __init__(self, prefix: str, pepper: StrongSecret, clock: Clock) -> None:
        self.prefix = prefix.encode() + b"_"
        self._pepper = pepper
        self._clock = clock
        self._keys: dict[str, StoredKey] = {}
        self.revision = 0
        """Changes whenever the keys may have."""
        self._away = ""
        """Why no key can be judged now; "" where they can."""

    def verify(self, key: bytes, client: str = "") -> StoredKey:
        """The entry of a key. Raises Unauthenticated, the same for a malformed key, an unknown one, a wrong one and one that is not
        for the client's address, or DependencyDown.

        Each costs one check, one keyed hash and one comparison in constant time (CVE-2026-32595).
        """
        id = key_format.identify(self.prefix[:-1], key)
        stored = None if id is None else self._keys.get(id)
        digest = key_format.digest(self._pepper.current(), key[:LONGEST])
        same = hmac.compare_digest(digest, stored.hash if stored is not None else NO_HASH)
        if self._away:
            raise DependencyDown(f"api keys: {self._away}")
        if id is None:
            raise Unauthenticated("api key: malformed")
        if stored is None or not same:
            raise Unauthenticated("api key: unknown or wrong", about=f"api_key:{id}")
        if stored.expires is not None and stored.expires <= self._clock.now():
            raise Unauthenticated("api key: expired", reason=Reason.CREDENTIAL_EXPIRED, about=f"api_key:{id}")
        if stored.addresses is not None and not stored.is_for(client):
            raise Unauthenticated("api key: not for the client's address", about=f"api_key:{id}")
        stored.used = True
        return stored

    def is_past(self, moment: float | None) -> bool:
        """Whether a Unix time has come."""
        return moment is not None and moment <= self._clock.now()

    def take(self, entries: Iterable[KeyEntry]) -> None:
        """From now on these are the entries. One that did not change stays the same object, with what was made of it."""
        known, usable = self._keys, {}
        for entry in entries:
            if entry.revoked_at is None:
                before = known.get(entry.id)
                made = usable[entry.id] = before if before is not None and before.entry == entry else StoredKey(entry)
                made.used = before is not None and before.used
        if usable != known:
            self.revision += 1
        self._keys = usable

    def has(self, name: str) -> bool:
        """Whether a key counts still, as it was when it had this name. Raises DependencyDown where a key could not be judged."""
        if self._away:
            raise DependencyDown(f"api keys: {self._away}")
        stored = self._keys.get(name.partition(".")[0])
        return stored is not None and stored.name == name and not self.is_past(stored.expires)

    @abstractmethod
    async def look(self) -> None:
        """See now what changed. Raises nothing that the home could cause."""

    @abstractmethod
    def start(self) -> None:
        """Follow the home until `close`. Calling it again is harmless."""

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    def status(self) -> dict[str, Any]:
        """For the operators' page."""


@final
class KeyStore(KeyRing):
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
        super().__init__(prefix, pepper, clock)
        self._path = path
        self._metrics = metrics
        self._sleep = sleep
        self._seen = _version(path)
        self.take(key_file.load(path))
        self._error = ""
        self._loop: asyncio.Task[None] | None = None

    async def look(self) -> None:
        await asyncio.to_thread(self.read_again)

    def read_again(self) -> None:
        """Read the file again if it is another one than before. Never raises for what it contains."""
        version = _version(self._path)
        if version == self._seen:
            return
        try:
            self.take(key_file.load(self._path))
            self._error = ""
            self._metrics.count("gateway.api_keys.reloads", outcome="success")
        except ConfigError as error:
            self._error = str(error)
            self._metrics.count("gateway.api_keys.reloads", outcome="failure")
            log.error("key file is malformed, the keys before stay in force", extra={"cause": str(error)})
        self._seen = version

    def start(self) -> None:
        if self._loop is None:
            self._loop = asyncio.create_task(self._watch(), name="api keys")

    async def close(self) -> None:
        task, self._loop = self._loop, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        return {"keys": len(self._keys), "error": self._error or None}

    async def _watch(self) -> None:
        while True:
            await self._sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception:
                log.exception("bug while reading the key file")


@final
class KeyHolders:
    """Keys turned into principals under one policy; each key's principal is made once, and again when a role of it ends."""

    def __init__(self, store: KeyRing, grant: Grant) -> None:
        self._store = store
        self._grant = grant
        self._principals: Recent[str, tuple[StoredKey, Principal]] = Recent(REMEMBERED)

    def authenticate(self, key: bytes, client: str = "") -> Principal:
        """Who presents this key from this address. Raises Unauthenticated or DependencyDown."""
        stored = self._store.verify(key, client)
        id = stored.identity.credential_id or ""
        known = self._principals.get(id)
        if known is not None and known[0] is stored and not self._store.is_past(known[1].expires):
            return known[1]
        principal = self._grant(stored.identity)
        self._principals.put(id, (stored, principal))
        return principal


def _version(path: Path) -> tuple[int, int, int] | None:
    """What tells one content of a file from the next without reading it; None when there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
