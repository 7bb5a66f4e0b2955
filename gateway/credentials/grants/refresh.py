"""A grant's tokens replaced exactly once, however many requests ask and on however many replicas.

In this process whoever asks joins the refresh under way, and nobody's leaving ends it. Between processes a lease decides who asks
the provider; who gets it reads the grant again first, and writes the new pair, naming the version it replaces, before anybody
uses it. A provider may take the use of an old refresh token for theft and end the whole grant (RFC 9700 4.14.2): there is no way
to refresh but this one.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol, final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Metrics
from gateway.core.secret import Secret
from gateway.credentials.grants.evidence import Evidence, helping
from gateway.credentials.grants.grant import Grant, Key
from gateway.store.sql.leases import Lease
from gateway.store.sql.rows import Conflict

log = logging.getLogger(__name__)

LEASE: Final = 30.0
"""Seconds; longer than the provider is given to answer, so that who holds it is done or dead."""
ASK_BY: Final = 15.0
"""Seconds of a lease after which nobody begins to ask any more: the provider's answer would come after the lease's end."""
POLL: Final = 0.1
WAIT: Final = 5.0
"""Seconds for which a request waits for a refresh, here or elsewhere."""
SAVE_FOR: Final = 20.0
"""Seconds for which a new pair is offered to a database that does not answer. Without it the grant would be lost."""
GRACE: Final = 600.0
"""Seconds after a refresh in which the refresh token before it is worth one try."""
PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 300.0
REMEMBERED: Final = 10_000

REFRESHES: Final = "gateway.grant.refreshes"


@dataclass(frozen=True, slots=True)
class Pair:
    """What a provider gave for a refresh token. `refresh` None is the same as before; so is `scopes` None."""

    access: Secret
    refresh: Secret | None
    expires_in: float | None
    scopes: tuple[str, ...] | None = None


class Refused(Exception):
    """The provider knows the refresh token no more (`invalid_grant`, RFC 6749 5.2). Asking again changes nothing."""


class Store(Protocol):
    """Where grants are kept."""

    async def get(self, key: Key) -> Grant | None: ...
    async def put(self, grant: Grant) -> Grant: ...


class Turns(Protocol):
    """Who of all processes may ask the provider."""

    async def take(self, name: str, seconds: float) -> Lease | None: ...
    async def fence(self, name: str) -> int: ...
    async def seize(self, name: str, seconds: float, fence: int) -> Lease | None: ...
    async def release(self, lease: Lease, *, done: bool) -> None: ...


class Ask(Protocol):
    """A provider's token endpoint."""

    client: str
    """The client we are there."""

    async def __call__(self, refresh: Secret) -> Pair:
        """Raises Refused, and DependencyDown where nothing is known of the token afterwards."""
        ...


@final
class Refresher:
    """Refreshes the grants of one provider."""

    def __init__(
        self,
        ask: Ask,
        store: Store,
        turns: Turns,
        clock: Clock,
        metrics: Metrics,
        evidence: Evidence | None = None,
        end: Callable[[Grant], Awaitable[object]] | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        wait: float = WAIT,
    ) -> None:
        self._ask = ask
        self._store = store
        self._turns = turns
        self._clock = clock
        self._metrics = metrics
        self._evidence = evidence or Evidence()
        self._end = end
        self._sleep = sleep
        self._jitter = jitter
        self._wait = wait
        self._flights: dict[Key, asyncio.Task[Grant | None]] = {}
        self._pauses: dict[Key, tuple[float, float]] = {}
        self._error = ""
        self.failed_at = 0.0
        """Unix time of the last failure, 0 while there was none."""

    def status(self) -> dict[str, object]:
        """For the operators' page."""
        return {"refreshing": len(self._flights), "paused": len(self._pauses), "last_error": self._error or None}

    def may(self, key: Key) -> bool:
        """Whether it is time to try: not while one is under way, nor soon after one that failed."""
        return key not in self._flights and self._clock.monotonic() >= self._pauses.get(key, (0.0, 0.0))[0]

    def start(self, grant: Grant) -> asyncio.Task[Grant | None]:
        """The refresh of this version, begun or joined; it gives the grant as it is then, None where it is gone. It never raises
        Refused, since a refused grant is stored as broken; it raises DependencyDown."""
        key = grant.key
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(self._fly(grant), name=f"refresh at {grant.provider}")
            flight.add_done_callback(lambda done: self._landed(grant, done))
        return flight

    async def refreshed(self, grant: Grant) -> Grant | None:
        """The same, waited for. Who is cancelled meanwhile leaves it running for the others. Raises DependencyDown."""
        if not self.may(grant.key) and grant.key not in self._flights:
            raise DependencyDown(f"grant at {grant.provider}: the last refresh failed, the next one is not due")
        flight = self.start(grant)
        done, _ = await asyncio.wait((flight,), timeout=self._wait)  # a request is no task, and can have no asyncio.timeout
        if not done or flight.cancelled():
            raise DependencyDown(f"grant at {grant.provider}: {'closing' if done else f'not refreshed within {self._wait:g} s'}")
        if isinstance(error := flight.exception(), DependencyDown):
            raise DependencyDown(error.detail)  # each waiter's own: an error holds the frames that it went through
        return flight.result()

    async def close(self, seconds: float = SAVE_FOR) -> None:
        """Let what is under way end: it may hold the only copy of a new pair. What takes longer is given up."""
        if self._flights:
            _, late = await asyncio.wait(list(self._flights.values()), timeout=seconds)
            for flight in late:
                flight.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _landed(self, grant: Grant, flight: "asyncio.Task[Grant | None]") -> None:
        key = grant.key
        del self._flights[key]
        if not (flight.cancelled() or flight.exception() is not None):
            self._pauses.pop(key, None)
            self._error = ""
            return
        self._error = "given up" if flight.cancelled() else str(flight.exception())
        self.failed_at = self._clock.now()
        if key not in self._pauses:
            self._evidence.failed(grant, self._error)
        if len(self._pauses) >= REMEMBERED:
            del self._pauses[next(iter(self._pauses))]
        pause = min(self._pauses.get(key, (0.0, PAUSE / 2))[1] * 2, LONGEST_PAUSE)
        self._pauses[key] = self._clock.monotonic() + pause * (0.9 + self._jitter() / 5), pause

    async def _fly(self, grant: Grant) -> Grant | None:
        turn, watched, deadline = name(grant.key), -1, 0.0
        while True:
            latest = await self._store.get(grant.key)
            if latest is None or latest.version != grant.version or not latest.is_live:
                return latest
            began = self._clock.monotonic()
            lease = await self._turns.take(turn, LEASE)
            if lease is None and watched < 0:
                watched, deadline = await self._turns.fence(turn), self._clock.monotonic() + LEASE + WAIT
            elif lease is None and began >= deadline and (lease := await self._turns.seize(turn, LEASE, watched)) is None:
                raise DependencyDown(f"grant at {grant.provider}: another process is refreshing it and does not end")
            if lease is not None:
                return await self._in_turn(grant, lease, began + ASK_BY)
            await self._sleep(POLL)

    async def _in_turn(self, grant: Grant, lease: Lease, ask_by: float) -> Grant | None:
        done = False
        try:
            latest = await self._store.get(grant.key)
            if latest is not None and latest.version == grant.version and latest.is_live:
                latest = await self._replace(latest, ask_by, interrupted=lease.orphaned)
            done = True
        finally:
            with suppress(DependencyDown):  # it ends by itself
                await self._turns.release(lease, done=done)
        return latest

    async def _replace(self, grant: Grant, ask_by: float, *, interrupted: bool) -> Grant | None:
        if grant.refresh is None:
            return await self._break(grant, "expired")
        if grant.client != self._ask.client:
            return await self._break(grant, "other-client")
        try:
            pair = await self._asked(grant, grant.refresh, ask_by)
        except Refused:
            return await self._break(grant, "interrupted" if interrupted else "refused")
        except DependencyDown:
            self._count(grant, "failure")
            raise
        return await self._save(after(grant, pair, self._clock.now()))

    async def _asked(self, grant: Grant, refresh: Secret, ask_by: float) -> Pair:
        if self._clock.monotonic() >= ask_by:
            # This process stood still, and its lease may be another's already.
            raise DependencyDown(f"grant at {grant.provider}: its turn ended before the provider was asked")
        try:
            return await self._ask(refresh)
        except Refused:
            late = self._clock.monotonic() >= ask_by or self._clock.now() - grant.refreshed_at > GRACE
            if grant.previous is None or late:
                raise
            return await self._ask(grant.previous)

    async def _save(self, grant: Grant) -> Grant | None:
        """Store a new pair; who waits for it gets it only then. A database that is away for a moment does not cost the grant."""
        deadline = self._clock.monotonic() + SAVE_FOR
        while True:
            try:
                return await self._stored(grant)
            except DependencyDown:
                if self._clock.monotonic() >= deadline:
                    self._count(grant, "lost")
                    self._evidence.lost(grant)
                    log.critical("a refreshed grant could not be stored and is lost", extra=helping(grant))
                    raise
                await self._sleep(POLL)

    async def _stored(self, grant: Grant) -> Grant | None:
        """What is stored after a try to store a new pair: it, or what somebody else has stored meanwhile. Raises DependencyDown."""
        try:
            stored = await self._store.put(grant)
        except Conflict:
            latest = await self._store.get(grant.key)
        else:
            return self._done(stored)
        if latest is not None and latest.access == grant.access:
            return self._done(latest)  # by a try whose answer was lost
        if latest is not None and latest.version == grant.version + 1 and not latest.is_live:
            # Who took us for dead found the old token used up: by us, and here is what it was given for.
            return await self._stored(replace(grant, version=latest.version))
        self._count(grant, "superseded")
        log.warning("a refreshed grant came too late and is not used", extra={"provider": grant.provider})
        if latest is None and self._end is not None:
            await self._end(grant)  # whoever ended the grant ended the pair before this one
        return latest

    def _done(self, stored: Grant) -> Grant:
        self._count(stored, "success")
        self._evidence.refreshed(stored)
        return stored

    async def _break(self, grant: Grant, problem: str) -> Grant | None:
        """Store that it is broken, unless it was replaced meanwhile."""
        self._count(grant, "broken")
        log.warning("a grant is broken until its principal connects again", extra={"problem": problem, **helping(grant)})
        try:
            stored = await self._store.put(grant.broken(problem))
        except Conflict:
            return await self._store.get(grant.key)
        self._evidence.broken(stored)
        return stored

    def _count(self, grant: Grant, outcome: str) -> None:
        self._metrics.count(REFRESHES, 1, provider=grant.provider, outcome=outcome)


def after(grant: Grant, pair: Pair, now: float) -> Grant:
    """The grant with its new tokens."""
    rotated = pair.refresh is not None and pair.refresh != grant.refresh
    return replace(
        grant,
        access=pair.access,
        refresh=pair.refresh or grant.refresh,
        previous=grant.refresh if rotated else None,
        scopes=grant.scopes if pair.scopes is None else pair.scopes,
        refreshed_at=now,
        expires_at=None if pair.expires_in is None else now + pair.expires_in,
    )


def name(key: Key) -> str:
    """What a grant's lease is called."""
    return "grant:" + ".".join(f"{len(part)}:{part}" for part in key)
