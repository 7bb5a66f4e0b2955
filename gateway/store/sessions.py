"""Sessions in this process: bounded, nothing that lives is forgotten; what ended is swept out hourly and where room is needed."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock
from gateway.core.session_store import Stored

SWEEP: Final = 3600.0
MOST_TAGGED: Final = 1000


@final
class Entry:
    """One record. `ends` and `claimed` are monotonic."""

    __slots__ = ("claimed", "ends", "sealed", "tags", "version")

    def __init__(self, sealed: str, ends: float, tags: Sequence[str]) -> None:
        self.sealed = sealed
        self.ends = ends
        self.tags = tuple(tags)
        self.version = 1
        self.claimed = 0.0


@final
class MemorySessions:
    """Implements `core.session_store.SessionStore`. Times are monotonic: a step of the wall clock changes nothing."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._now = clock.monotonic
        self._most = self._most_next = most
        self._entries: dict[str, Entry] = {}
        self._tags: dict[str, dict[str, None]] = {}
        self._sweeping: asyncio.Task[None] | None = None

    async def add(self, id: str, sealed: str, seconds: float, tags: Sequence[str]) -> None:
        if len(self._entries) >= self._most:
            self.sweep()
        if len(self._entries) >= self._most:
            raise DependencyDown("sessions: there is no room for another")
        self._entries[id] = Entry(sealed, self._now() + seconds, tags)
        for tag in tags:
            self._tags.setdefault(tag, {})[id] = None

    async def get(self, id: str) -> Stored | None:
        entry = self._live(id)
        return Stored(entry.version, entry.sealed) if entry is not None else None

    async def keep(self, id: str, seconds: float) -> None:
        entry = self._live(id)
        if entry is not None:
            entry.ends = self._now() + seconds

    async def claim(self, id: str, version: int, seconds: float) -> bool:
        entry, now = self._live(id), self._now()
        if entry is None or entry.version != version or entry.claimed > now:
            return False
        entry.claimed = now + seconds
        return True

    async def replace(self, id: str, version: int, sealed: str) -> bool:
        entry = self._live(id)
        if entry is None or entry.version != version:
            return False
        entry.sealed, entry.version, entry.claimed = sealed, version + 1, 0.0
        return True

    async def release(self, id: str, version: int) -> None:
        entry = self._live(id)
        if entry is not None and entry.version == version:
            entry.claimed = 0.0

    async def remove(self, id: str) -> bool:
        live = self._live(id) is not None
        self._drop(id)
        return live

    async def tagged(self, tag: str) -> list[str]:
        return [id for id in list(self._tags.get(tag, ())) if self._live(id) is not None][:MOST_TAGGED]

    def sweep(self) -> None:
        """Forget what ended."""
        now = self._now()
        for id in [id for id, entry in self._entries.items() if entry.ends <= now]:
            self._drop(id)

    def resize(self, most: int) -> None:
        """Hold so many once it is started again, which a reload that fails never does. Nothing that lives is forgotten for it."""
        self._most_next = most

    def start(self) -> None:
        """Hold as many as was said last, and begin to sweep, unless it does."""
        self._most = self._most_next
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep(), name="sessions")

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return {"kind": "memory", "held": len(self._entries)}

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            self.sweep()

    def _live(self, id: str) -> Entry | None:
        entry = self._entries.get(id)
        return entry if entry is not None and entry.ends > self._now() else None

    def _drop(self, id: str) -> None:
        entry = self._entries.pop(id, None)
        for tag in entry.tags if entry is not None else ():
            named = self._tags[tag]
            named.pop(id, None)
            if not named:
                del self._tags[tag]
