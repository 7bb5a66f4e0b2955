"""What one replica revoked, told to all: a stream in a Redis (or Valkey) server that everybody reads on. Imported only where one is
configured.

Whoever revokes waits until it is written; the others hear of it within half a second. Who has not heard for `stale` says so: nobody
knows then what counts no more.
"""

import asyncio
import logging
import re
from typing import Any, Final, Protocol, final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Metrics
from gateway.store.redis_blocks import milliseconds, read
from gateway.store.redis_link import RedisLink
from gateway.store.server import Server

log = logging.getLogger(__name__)

KEY: Final = "{latchgate}:revoked"
MOST: Final = 200_000
"""Entries of the stream, about: as many as a process holds."""
AT_ONCE: Final = 1000
EVERY: Final = 0.3
TIMEOUT: Final = 1.0
KEPT: Final = 25 * 3600
"""Seconds the stream outlives its last entry: longer than any token."""
FAILURES: Final = "gateway.token_service.store_failures"
MARK: Final = re.compile(rb"[0-9a-f]{32}")


class Listener(Protocol):
    """Who is told."""

    def take(self, found: str, seconds: float) -> None:
        """A mark, and for how many seconds it counts as revoked."""
        ...

    def blinded(self, blind: bool) -> None:
        """Whether what others revoke is heard."""
        ...


@final
class RedisRevoked:
    """Tells marks and for how many seconds from now they count as revoked; `told_to` is told what any replica said."""

    def __init__(
        self, server: Server, clock: Clock, metrics: Metrics, told_to: Listener, *, stale: float, every: float = EVERY
    ) -> None:
        """`stale` in seconds."""
        self._link = RedisLink("revoked", server, timeout=TIMEOUT)
        self._told = RedisLink("revoked", server, timeout=TIMEOUT)
        self._clock = clock
        self._metrics = metrics
        self.told_to = told_to
        self._stale = stale
        self._every = every
        self._read = "0"
        self._heard: float | None = None
        self._task: asyncio.Task[None] | None = None
        told_to.blinded(True)

    async def tell(self, mark: str, seconds: float) -> None:
        """Raises DependencyDown where it could not be written."""
        fields = "mark", mark, "ms", max(1, int(seconds * 1000))
        try:
            await self._told.ask(("XADD", KEY, "MAXLEN", "~", MOST, "*", *fields), lambda answer: answer)
            await self._told.ask(("EXPIRE", KEY, KEPT), lambda answer: answer)
        except DependencyDown:
            self._metrics.count(FAILURES)
            raise

    def start(self) -> None:
        """Read what stands, and follow. Calling it again is harmless."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="revoked")

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return self._link.status()

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._link.close()
        await self._told.close()

    async def _follow(self) -> None:
        while True:
            try:
                await self._hear()
                self._heard = self._clock.monotonic()
                self.told_to.blinded(False)
            except Exception as error:  # whatever it is: who hears nothing must know it
                if not isinstance(error, DependencyDown):
                    log.exception("the stream of what was revoked cannot be read")
                self._metrics.count(FAILURES)
                if self._heard is None or self._clock.monotonic() - self._heard > self._stale:
                    self.told_to.blinded(True)
            await asyncio.sleep(self._every)

    async def _hear(self) -> None:
        """Raises DependencyDown."""
        while True:
            entries = await self._link.ask(("XREAD", "COUNT", AT_ONCE, "STREAMS", KEY, self._read), read)
            now = await self._link.ask(("TIME",), milliseconds)
            for id, fields in entries:
                self._read = id
                try:
                    found, lasts = said(fields)
                except (TypeError, ValueError):  # somebody else wrote it: the next one counts
                    self._metrics.count(FAILURES)
                    continue
                left = int(id.partition("-")[0]) + lasts - now
                if left > 0:
                    self.told_to.take(found, left / 1000)
            if len(entries) < AT_ONCE:
                return


def said(fields: Any) -> tuple[str, int]:
    """The mark and the milliseconds of one entry. Raises TypeError and ValueError for what no replica writes."""
    _, found, _, lasts = fields
    lasting = int(lasts)
    if not MARK.fullmatch(found) or not 0 < lasting <= KEPT * 1000:
        raise ValueError("no mark, or no time of a token")
    return found.decode("ascii"), lasting
