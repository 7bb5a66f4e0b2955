"""The API keys of a database, followed: what changed is found within a second, by asking and, where there is one, by the bell.

A database that is away costs nobody a key that was good, for `stale_for`; after that no key can be judged (503). A row that a
gateway of this pepper did not write, or that was put back after a newer one, is refused alone and told.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, final

from gateway.authn.api_keys import KeyRing
from gateway.authn.key_entry import KeyEntry
from gateway.authn.key_rows import Altered, Binding
from gateway.authn.model import ApiKeys
from gateway.authn.strength import StrongSecret
from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Metrics
from gateway.store.sql.keys import KeyRow, KeyRows, Mark

LOOK_EVERY: Final = 0.5
"""Seconds between two looks: a created or revoked key takes effect within one."""
ALL_EVERY: Final = 60.0
"""Seconds between two looks at every version and at what was refused, whatever the mark says."""
PAGE: Final = 100
"""Rows that are opened at once."""
USED_EVERY: Final = 60.0
"""Seconds between two notes of a key's use, and their resolution."""
MOST_NOTED: Final = 1000
"""Keys whose use is noted in one turn; the others wait for the next."""
LAST_NOTE: Final = 2.0
"""Seconds for the last note of a process that ends."""
TOLD: Final = 1000
OUTDATED: Final = "the database has been away for too long"

Tell = Callable[..., None]
"""The audit trail: an event's name, and its fields by name."""

log = logging.getLogger(__name__)


@final
class KeyTable(KeyRing):
    """The keys of one database."""

    def __init__(
        self,
        model: ApiKeys,
        pepper: StrongSecret,
        rows: KeyRows,
        clock: Clock,
        metrics: Metrics,
        tell: Tell,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`pause` sleeps for so long, or until something changed."""
        super().__init__(model.prefix, pepper, clock)
        self._away = "not read yet"
        self._stale_for = model.stale_for
        self._rows = rows
        self._metrics = metrics
        self._tell = tell
        self._pause = pause
        self._entries: dict[str, KeyEntry] = {}
        self._versions: dict[str, int] = {}
        """Of what was read, whether it is in force or refused."""
        self._highest: dict[str, int] = {}
        """The newest version that was ever seen of each key, also of those that are gone. Only rows that open count."""
        self._mark: Mark | None = None
        self._revision = -1
        self._confirmed = self._compared = float("-inf")
        self._refused: dict[str, str] = {}
        self._told: set[tuple[str, int, str]] = set()
        self._error = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._turn = asyncio.Lock()

    async def look(self) -> None:
        """Look once, one after the other: what is read last counts. Raises nothing that a database or a row could cause."""
        async with self._turn:
            began = self._clock.monotonic()
            try:
                await self._follow(began)
            except DependencyDown as error:
                self._down(error.detail, began)
            else:
                self._confirmed, self._away, self._error = began, "", ""

    async def note_used(self) -> None:
        """Write down which keys were used since the last time. Raises DependencyDown, and then they are noted the next time."""
        used = [stored for stored in self._keys.values() if stored.used][:MOST_NOTED]
        for stored in used:
            stored.used = False
        try:
            if used:
                await self._rows.touch([stored.entry.id for stored in used], self._clock.now(), USED_EVERY)
        except DependencyDown:
            for stored in used:
                stored.used = True
            raise

    def start(self) -> None:
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._forever(self.look, lambda: self._pause(LOOK_EVERY)), name="api keys"),
                asyncio.create_task(self._forever(self._noting, lambda: asyncio.sleep(USED_EVERY)), name="uses of api keys"),
            ]

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(DependencyDown, TimeoutError):
            async with asyncio.timeout(LAST_NOTE):
                await self.note_used()

    def status(self) -> dict[str, Any]:
        return {"keys": len(self._keys), "refused": sorted(self._refused), "error": self._away or self._error or None}

    async def _follow(self, began: float) -> None:
        self._pepper.current()
        if self._pepper.revision != self._revision:
            self._revision = self._pepper.revision
            self._versions, self._mark, self._told = {}, None, set()
        mark = await self._rows.mark()
        overdue = began - self._compared >= ALL_EVERY
        if mark == self._mark and not overdue:
            return
        await self._compare(all_=overdue)
        self._mark = mark
        if overdue:
            self._compared = began

    async def _compare(self, *, all_: bool) -> None:
        """Read what has another version than before; of what was refused only where `all_` is asked for."""
        there = await self._rows.versions()
        known = {id: version for id, version in self._versions.items() if not (all_ and id in self._refused)}
        changed = [id for id, version in there.items() if version != known.get(id)]
        entries = {id: entry for id, entry in self._entries.items() if id in there}
        refused = {id: fault for id, fault in self._refused.items() if id in there}
        binding = Binding(self._pepper.current())
        for start in range(0, len(changed), PAGE):
            found = await self._rows.of(changed[start : start + PAGE])
            for row, entry in await asyncio.to_thread(_opened, binding, found):
                known[row.id] = row.version
                if fault := self._fault(row, entry):
                    refused[row.id] = fault
                    entries.pop(row.id, None)
                    self._alarm(row, fault)
                elif entry is not None:
                    entries[row.id], self._highest[row.id] = entry, row.version
                    refused.pop(row.id, None)
        self._versions = {id: version for id, version in known.items() if id in there}
        self._refused = refused
        if entries != self._entries:
            self._entries = entries
            self.take(entries.values())
            self._metrics.count("gateway.api_keys.reloads", outcome="success")

    def _fault(self, row: KeyRow, entry: KeyEntry | None) -> str:
        if entry is None:
            return "altered"
        return "put-back" if row.version < self._highest.get(row.id, 0) else ""

    def _alarm(self, row: KeyRow, fault: str) -> None:
        """Once for each row."""
        known = row.id, row.version, fault
        if known in self._told or len(self._told) >= TOLD:
            return
        self._told.add(known)
        self._metrics.count("gateway.api_keys.refused", fault=fault)
        self._tell("auth.key.refused", id=row.id, fault=fault)
        log.critical("a row of an api key was not written by a gateway of this pepper", extra={"id": row.id, "fault": fault})

    def _down(self, cause: str, now: float) -> None:
        if not self._error:
            log.warning("api keys cannot be confirmed, the last ones stay", extra={"cause": cause})
            self._metrics.count("gateway.api_keys.reloads", outcome="failure")
        self._error = cause
        if not self._away and now - self._confirmed >= self._stale_for:
            self._away = OUTDATED
            self.revision += 1  # what was verified with these keys is looked at again

    async def _noting(self) -> None:
        try:
            await self.note_used()
        except DependencyDown as error:
            log.info("uses of api keys are written down later", extra={"cause": error.detail})

    async def _forever(self, turn: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await turn()
            except Exception:
                log.exception("bug while following api keys")
                self._down("internal error", self._clock.monotonic())
            await pause()


def _opened(binding: Binding, rows: list[KeyRow]) -> list[tuple[KeyRow, KeyEntry | None]]:
    """Each row with its entry, None where it was altered."""
    opened: list[tuple[KeyRow, KeyEntry | None]] = []
    for row in rows:
        try:
            opened.append((row, binding.opened(row)))
        except Altered:
            opened.append((row, None))
    return opened
