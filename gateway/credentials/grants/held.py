"""The grants in use in this process, as they go out: read again every second, so that a revocation is felt everywhere within one.

A request finds its token here without waiting. While a principal is active its grant is read ahead of the second's end; one that
was idle waits for the reading. A database that is away keeps nobody from a token that is still good, for a stated while.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Protocol, final

from gateway.core.errors import DependencyDown, Forbidden, Ungranted
from gateway.core.message import lines
from gateway.core.ports import Clock, Metrics
from gateway.core.reason import Reason
from gateway.credentials.grants.grant import Grant, Key
from gateway.credentials.grants.link import NOWHERE, Link
from gateway.credentials.grants.refresh import Refresher
from gateway.credentials.header import bearer
from gateway.scrub.needles import Needles
from gateway.store.bell import Bell

FRESH: Final = 1.0
"""Seconds for which what was read counts."""
AHEAD: Final = 0.5
"""Seconds after which it is read again where it is used."""
STALE: Final = 300.0
"""Seconds for which a grant is used whose row cannot be read again."""
SKEW: Final = 60.0
"""Seconds before its end by which a token is refreshed at the latest, where it lives long enough."""
DUE: Final = 0.8
"""The part of a token's life after which it is refreshed, less a tenth of jitter."""
SPARE: Final = 5.0
"""Seconds before its end from which a token is not sent any more: it has to arrive, too."""
COOLDOWN: Final = 30.0
"""Seconds after a refresh in which an upstream's refusals cause no other: who refuses every token is not helped by new ones."""
MOST: Final = 10_000
READING: Final = 64
"""Grants read ahead at once."""
MOST_READING: Final = 1024


class Store(Protocol):
    """Where grants are read."""

    async def get(self, key: Key) -> Grant | None: ...


@final
class Slot:
    """One principal's grant as it was last read, None where there is none. `line` is what goes out.

    `before` is what went out before `line`. `read` and `confirmed`, when that was tried and when it succeeded, and `since`, when it
    was first read so, are monotonic; `due` and `ends` are wall clock.
    """

    __slots__ = ("before", "confirmed", "due", "echoes", "ends", "grant", "line", "read", "since")

    def __init__(self, grant: Grant | None, now: float, read: float, jitter: float) -> None:
        self.grant = grant
        self.read = self.confirmed = self.since = read
        self.line = self.before = b""
        self.echoes: tuple[Needles, ...] = ()
        self.ends = self.due = 0.0
        if grant is not None and grant.is_live:
            value = bearer(grant.access.reveal())
            self.line = lines([(b"authorization", value)])
            self.echoes = (Needles(grant.access.reveal(), value),)
            self.ends, self.due = life(grant, now, jitter)


def life(grant: Grant, now: float, jitter: float) -> tuple[float, float]:
    """Until when a token is sent, and from when on it is to be refreshed."""
    if grant.expires_at is None:
        return float("inf"), float("inf")
    began = max(grant.refreshed_at, grant.created_at) or now
    whole = max(grant.expires_at - began, 0.0)
    ends = grant.expires_at - min(SPARE, whole / 10)
    if grant.refresh is None:
        return ends, float("inf")
    late = grant.expires_at - SKEW if whole > 2 * SKEW else began + whole / 2
    return ends, min(late, began + whole * DUE * (1 - jitter / 10))


@final
class Held:
    """The tokens of one provider."""

    def __init__(
        self,
        provider: str,
        store: Store,
        refresher: Refresher,
        clock: Clock,
        metrics: Metrics,
        bell: Bell | None = None,
        jitter: Callable[[], float] = random.random,
        link: Link = NOWHERE,
    ) -> None:
        self.provider = provider
        self.link = link
        self._store = store
        self._refresher = refresher
        self._now = clock.now
        self._monotonic = clock.monotonic
        self._metrics = metrics
        self._bell = bell or Bell(clock.monotonic)
        self._jitter = jitter
        self._slots: OrderedDict[Key, Slot] = OrderedDict()
        self._reads: dict[Key, asyncio.Task[Slot]] = {}

    def ready(self, key: Key) -> Slot | None:
        """What goes out without waiting; None where one has to wait, see `get`."""
        slot = self._slots.get(key)
        if slot is None or not slot.line:
            return None
        age, now = self._monotonic() - slot.read, self._now()
        if age >= FRESH or now >= slot.ends or slot.read <= self._bell.at:
            return None
        if age >= AHEAD and key not in self._reads and len(self._reads) < READING:
            _ = self._reading(key)
        if now >= slot.due and slot.grant is not None and self._refresher.may(key):
            self._refresher.start(slot.grant).add_done_callback(partial(self._refreshed, key, self._monotonic()))
        return slot

    async def get(self, key: Key) -> Slot:
        """The same, waited for. Raises Ungranted where there is none or it is broken, and DependencyDown."""
        slot = await self._current(key, self._slots.get(key))
        grant = slot.grant
        if grant is not None and grant.is_live and self._now() >= slot.ends:
            slot = await self._current(key, await self._replaced(key, grant))
        return usable(self.provider, slot)

    async def standing(self, key: Key) -> Slot:
        """The same, whether its token has ended or not: what it was sent with goes on."""
        return usable(self.provider, await self._current(key, self._slots.get(key)))

    async def renewed(self, key: Key, sent: list[bytes]) -> tuple[bytes, Slot] | None:
        """The line among `sent` that an upstream refused, and another token to try; None where there is none to be had.

        However many requests are refused with one token, it is refreshed once, and not again for COOLDOWN seconds. A request that
        went out with another credential is not ours to renew.
        """
        slot = self._slots.get(key)
        if slot is None or slot.grant is None or not slot.line:
            return None
        if slot.before and slot.before in sent:
            return slot.before, slot
        refused = slot.line
        if refused not in sent or slot.grant.refresh is None or self._rested(slot, slot.grant.refreshed_at) < COOLDOWN:
            return None
        slot = await self._current(key, await self._replaced(key, slot.grant))
        return (refused, slot) if slot.line and slot.line != refused else None

    def _rested(self, slot: Slot, refreshed_at: float) -> float:
        """Seconds since its refresh; by another replica whose clock is ahead of ours, since we first saw what it stored."""
        age = self._now() - refreshed_at
        return age if age >= 0 else self._monotonic() - slot.since

    def status(self) -> dict[str, object]:
        """For the operators' page."""
        return {"held": sum(bool(slot.line) for slot in self._slots.values()), **self._refresher.status()}

    def levels(self) -> Iterator[tuple[str, float, dict[str, str]]]:
        """Gauges for whoever looks: metric, value, labels. May be called from any thread."""
        now, labels = self._now(), {"provider": self.provider}
        grants = [slot.grant for slot in list(self._slots.values()) if slot.grant is not None and slot.grant.is_live]
        ends = [grant.expires_at for grant in grants if grant.expires_at is not None and grant.expires_at > now]
        if ends:
            yield "gateway.grant.expiry", min(ends) - now, labels
        yield "gateway.grant.last_error", self._refresher.failed_at, labels

    async def close(self) -> None:
        """What is being read comes to its end, and so does a refresh: it may hold the only copy of a new pair."""
        await asyncio.gather(*self._reads.values(), return_exceptions=True)
        await self._refresher.close()

    async def _current(self, key: Key, slot: Slot | None) -> Slot:
        """What is known, where it was read a moment ago; else it is read again. Raises DependencyDown."""
        if slot is None or self._monotonic() - slot.read >= FRESH or slot.read <= self._bell.at:
            joined = key in self._reads
            slot = await asyncio.shield(self._reading(key))
            if joined and slot.read <= self._bell.at:
                slot = await asyncio.shield(self._reading(key))  # what we joined was begun before the bell
        return slot

    async def _replaced(self, key: Key, grant: Grant) -> Slot:
        """What a refresh gave. Raises DependencyDown."""
        asked = self._monotonic()
        return self._keep(key, await self._refresher.refreshed(grant), asked)

    def _reading(self, key: Key) -> "asyncio.Task[Slot]":
        """The reading of a grant, begun or joined. Raises DependencyDown where too many are read already."""
        task = self._reads.get(key)
        if task is None:
            if len(self._reads) >= MOST_READING:
                raise DependencyDown(f"grants at {self.provider}: {MOST_READING} are being read already")
            task = self._reads[key] = asyncio.create_task(self._read(key), name=f"grant at {self.provider}")
            task.add_done_callback(partial(self._was_read, key))
        return task

    def _was_read(self, key: Key, task: "asyncio.Task[Slot]") -> None:
        del self._reads[key]
        if not task.cancelled():
            task.exception()  # told to who waits, and nobody need

    def _refreshed(self, key: Key, asked: float, task: "asyncio.Task[Grant | None]") -> None:
        """What a refresh ahead of time gave. One that failed was counted, and the old token serves until its end."""
        if not task.cancelled() and task.exception() is None:
            self._keep(key, task.result(), asked)

    async def _read(self, key: Key) -> Slot:
        """Read a grant; what was known of it where the database is away, for as long as that may be. Raises DependencyDown."""
        began = self._monotonic()
        try:
            grant = await self._store.get(key)
        except DependencyDown:
            known = self._slots.get(key)
            if known is None or not known.line or began - known.confirmed >= STALE:
                raise
            known.read = self._monotonic()
            self._metrics.count("gateway.grant.stale", 1, provider=self.provider)
            return known
        known = self._slots.get(key)
        if known is None or known.grant is None or grant is None or known.grant.version != grant.version:
            late = known is not None and known.confirmed > began and follows(known.grant, grant)
            return known if known is not None and late else self._keep(key, grant, began)
        known.read = known.confirmed = began
        self._slots.move_to_end(key)
        return known

    def _keep(self, key: Key, grant: Grant | None, read: float) -> Slot:
        """Know this from now on. It counts from when it was asked for: since it was stored, it may have been revoked."""
        known, slot = self._slots.get(key), Slot(grant, self._now(), read, self._jitter())
        slot.confirmed = self._monotonic()
        if known is not None:
            slot.before = known.before if known.line == slot.line else known.line
        self._slots[key] = slot
        self._slots.move_to_end(key)
        if len(self._slots) > MOST:
            self._slots.popitem(last=False)
        return slot


def follows(known: Grant | None, read: Grant | None) -> bool:
    """Whether what a refresh gave while a row was read is what became of that row. One that was deleted meanwhile stays so."""
    return known is None or (read is not None and known.created_at == read.created_at)


def usable(provider: str, slot: Slot) -> Slot:
    """Raises Ungranted where there is nothing to send, with what its principal can do about it."""
    if slot.grant is None:
        raise Ungranted(f"no grant at {provider}", members={"provider": provider, "action": "connect"})
    if not slot.grant.is_live:
        told = {"provider": provider, "action": "reconnect", "problem": slot.grant.problem}
        raise Ungranted(f"grant at {provider} is broken: {slot.grant.problem}", members=told)
    return slot


def lacking(slot: Slot, required: frozenset[str], provider: str, link: Link, issuer: str) -> None:
    """Raises Forbidden (insufficient-scope) where the grant is not known to have a scope that the route needs.

    Its members are all that asking the principal for more takes: where to connect again, and with which scopes.
    """
    if slot.grant is not None and (missing := sorted(required.difference(slot.grant.scopes))):
        wanted = sorted(required.union(slot.grant.scopes))
        told = {"provider": provider, "action": "reconnect", "missing_scopes": missing, "request_scopes": wanted}
        members = link.told(told, issuer, wanted)
        raise Forbidden(f"grant at {provider} lacks {' '.join(missing)}", reason=Reason.INSUFFICIENT_SCOPE, members=members)
