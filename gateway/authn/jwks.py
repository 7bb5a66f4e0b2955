"""The key sets of issuers, kept fresh without ever making two requests where one does.

A set is refreshed ahead of time, shared by all who wait for it, and kept while its issuer is down, up to a bound. Nothing a
client sends can cause more than one fetch in COOLDOWN seconds.
"""

import asyncio
import hashlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, final

from gateway.authn.jwk import SIGNATURE, Key, KeySet, parse, shared
from gateway.authn.key_sources import KeySource
from gateway.authn.recent import Recent
from gateway.authn.strength import StrongSecret
from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Metrics

AHEAD: Final = 0.8
"""The part of its freshness after which a set is asked for again, less a tenth of jitter."""
MAX_STALE: Final = 24 * 3600.0
COOLDOWN: Final = 30.0
NEGATIVE: Final = 60.0
"""How long a `kid` that was just asked for in vain causes no other fetch, in seconds."""
NEGATIVE_KIDS: Final = 256
RETRY: Final = 1.0
LONGEST_RETRY: Final = 60.0

log = logging.getLogger(__name__)


class Keys(Protocol):
    """Where a verifier finds an issuer's keys."""

    @property
    def revision(self) -> int:
        """Changes whenever the keys do: what was verified with an earlier revision must be verified again."""
        ...

    async def find(self, algorithm: str, kid: str | None) -> tuple[Key, ...]:
        """Keys that may verify such a token, none when there are none. Raises DependencyDown when no keys can be had."""
        ...


@final
class SharedKeys:
    """The one key of an issuer with a shared secret, whose file may be replaced."""

    def __init__(self, secret: StrongSecret, algorithms: frozenset[str]) -> None:
        self._secret = secret
        self._algorithms = algorithms

    @property
    def revision(self) -> int:
        return self._secret.revision

    async def find(self, algorithm: str, kid: str | None) -> tuple[Key, ...]:
        return (shared(self._secret.current(), self._algorithms & {algorithm}),)


@final
class PublishedKeys:
    """The published keys of one issuer, through one source."""

    def __init__(
        self,
        name: str,
        source: KeySource,
        clock: Clock,
        metrics: Metrics,
        *,
        use: str = SIGNATURE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`use` is what the set must say its keys are for."""
        self._name = name
        self._use = use
        self._source = source
        self._clock = clock
        self._metrics = metrics
        self._sleep = sleep
        self._jitter = jitter
        self._set: KeySet | None = None
        self._digest = b""
        self.revision = 0
        self._loaded_at = 0.0
        self._due = 0.0
        self._next_refetch = 0.0
        self._failures = 0
        self._error = ""
        self._absent: Recent[str, float] = Recent(NEGATIVE_KIDS)
        self._fetching: asyncio.Task[None] | None = None
        self._loop: asyncio.Task[None] | None = None

    async def find(self, algorithm: str, kid: str | None) -> tuple[Key, ...]:
        known = await self._current()
        found = known.candidates(algorithm, kid)
        if found or kid in known.kids or not self._may_refetch(kid):
            return found
        await self._fetch()
        return self._set.candidates(algorithm, kid) if self._set is not None else ()

    def accept(self, raw: bytes, seconds: float) -> None:
        """Take a JWK set document that is fresh for `seconds`. Raises ValueError, and then keeps the set it has."""
        digest = hashlib.sha256(raw).digest()
        if digest != self._digest:
            self._replace(parse(raw, self._use), digest)
        now = self._clock.monotonic()
        self._loaded_at, self._failures, self._error = now, 0, ""
        self._due = now + seconds * AHEAD * (1 - self._jitter() / 10)

    def _replace(self, keys: KeySet, digest: bytes) -> None:
        self._absent.clear()
        self.revision += 1
        self._set, self._digest = keys, digest
        for reason in keys.refused:
            log.warning("key of an issuer's set is not used", extra={"issuer": self._name, "cause": reason})

    def start(self) -> None:
        """Refresh in the background until `close`. Calling it again is harmless."""
        if self._loop is None:
            self._loop = asyncio.create_task(self._refresh(), name=f"keys of {self._name}")

    async def close(self) -> None:
        """End the background work; whoever waits for a fetch gets DependencyDown."""
        tasks = [task for task in (self._loop, self._fetching) if task is not None]
        self._loop = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """For the operators' page: whether keys are there, how many, their age in seconds, the last error."""
        keys = self._usable()
        return {
            "loaded": keys is not None,
            "keys": len(keys.keys) if keys is not None else 0,
            "age": round(self._clock.monotonic() - self._loaded_at, 1) if keys is not None else None,
            "refused": list(keys.refused) if keys is not None else [],
            "revision": self.revision,
            "error": self._error or None,
        }

    async def _current(self) -> KeySet:
        """The set to use now. One that was never loaded, or is too old, is fetched, at most once a second."""
        keys = self._usable()
        if keys is not None:
            return keys
        if self._fetching is not None or self._clock.monotonic() >= self._due:
            await self._fetch()
        keys = self._usable()
        if keys is None:
            raise DependencyDown(f"keys of {self._name}: {self._error or 'never loaded'}")
        return keys

    def _usable(self) -> KeySet | None:
        """The last good set, unless it is too old to be believed: then it is forgotten, with all it verified."""
        if self._set is None or self._source.local or self._clock.monotonic() - self._loaded_at < MAX_STALE:
            return self._set
        self._set, self._digest, self._due = None, b"", 0.0
        self.revision += 1
        return None

    def _may_refetch(self, kid: str | None) -> bool:
        """Whether a key that is not in the set is worth a fetch."""
        now = self._clock.monotonic()
        if kid is not None and (self._absent.get(kid) or 0.0) > now:
            return False
        if self._fetching is None and now < self._next_refetch:
            return False
        if kid is not None:
            self._absent.put(kid, now + NEGATIVE)
        self._next_refetch = now + COOLDOWN
        return True

    async def _fetch(self) -> None:
        """Wait for the one fetch under way, or begin it. A waiter that is cancelled leaves it running for the others."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch_once(), name=f"key fetch for {self._name}")
        task = self._fetching
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            waiter = asyncio.current_task()
            if not task.cancelled() or (waiter is not None and waiter.cancelling()):
                raise
            raise DependencyDown(f"keys of {self._name}: closing") from None

    async def _fetch_once(self) -> None:
        try:
            self.accept(*await self._source.load())
            self._metrics.count("gateway.jwks.fetches", issuer=self._name, outcome="success")
        except (DependencyDown, ValueError) as error:
            self._failed(str(error))
        except Exception:
            log.exception("bug while fetching keys", extra={"issuer": self._name})
            self._failed("internal error")
        finally:
            self._fetching = None

    def _failed(self, cause: str) -> None:
        self._failures += 1
        self._due = self._clock.monotonic() + self._backoff()
        if cause != self._error:
            log.warning("keys of an issuer could not be loaded", extra={"issuer": self._name, "cause": cause})
        self._error = cause
        self._metrics.count("gateway.jwks.fetches", issuer=self._name, outcome="failure")

    def _backoff(self) -> float:
        """Without any keys: a second, so that the first request after an outage is served. With keys there is no hurry."""
        if self._set is None:
            return RETRY
        return float(min(RETRY * 2 ** min(self._failures, 6), LONGEST_RETRY)) * (1 + self._jitter())

    async def _refresh(self) -> None:
        while True:
            self._usable()
            if self._clock.monotonic() >= self._due:
                await self._fetch()
            await self._sleep(max(self._due - self._clock.monotonic(), RETRY))
