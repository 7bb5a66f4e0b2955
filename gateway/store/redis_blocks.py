"""Whom one replica blocks, told to all: a stream in a Redis (or Valkey) server that everybody reads on. Imported only where one is
configured.

Nothing on a request waits for it. While the server is away each process refuses whom it blocks itself; what it could not tell is
told when the server is back, if it still counts then.
"""

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, final

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, Metrics
from gateway.store.redis_link import RedisLink
from gateway.store.server import Server

log = logging.getLogger(__name__)

KEY: Final = "{latchgate}:blocks"
MOST: Final = 16_384
"""Entries of the stream, about, and of what waits to be told."""
AT_ONCE: Final = 1000
EVERY: Final = 0.5
TIMEOUT: Final = 1.0
KEPT: Final = 25 * 3600
"""Seconds the stream outlives its last entry: longer than any block."""
FAILURES: Final = "gateway.detection.store_failures"
NETWORK: Final = re.compile(rb"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-f]{16}")
"""As `config.subscriber.network` writes it."""
Told = Callable[[str, float], None]


@final
class RedisBlocks:
    """Tells networks and for how many seconds from now they are blocked (0: released); `take` is told what any replica said."""

    def __init__(self, server: Server, clock: Clock, metrics: Metrics, take: Told, *, every: float = EVERY) -> None:
        self._link = RedisLink("blocks", server, timeout=TIMEOUT)
        self._clock = clock
        self._metrics = metrics
        self._take = take
        self._every = every
        self._read = "0"
        self._waiting: OrderedDict[str, float] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def tell(self, network: str, seconds: float) -> None:
        """Tell it soon; of one network only the last word counts."""
        self._waiting.pop(network, None)
        self._waiting[network] = self._clock.monotonic() + seconds if seconds > 0 else 0.0
        if len(self._waiting) > MOST:
            self._waiting.popitem(last=False)

    def start(self) -> None:
        """Read what stands, and follow. Calling it again is harmless."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="blocks")

    def status(self) -> dict[str, Any]:
        """For the operators' port."""
        return self._link.status()

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._link.close()

    async def _follow(self) -> None:
        while True:
            try:
                await self._say()
                await self._hear()
            except DependencyDown:
                self._metrics.count(FAILURES)
            await asyncio.sleep(self._every)

    async def _say(self) -> None:
        """Raises DependencyDown; what was not told waits on."""
        while self._waiting:
            network, until = next(iter(self._waiting.items()))
            left = until - self._clock.monotonic() if until else 0.0
            if not until or left > 0:
                told = "network", network, "ms", max(0, int(left * 1000))
                await self._link.ask(("XADD", KEY, "MAXLEN", "~", MOST, "*", *told), lambda answer: answer)
                await self._link.ask(("EXPIRE", KEY, KEPT), lambda answer: answer)
            if self._waiting.get(network) == until:
                del self._waiting[network]

    async def _hear(self) -> None:
        """Raises DependencyDown."""
        while True:
            entries = await self._link.ask(("XREAD", "COUNT", AT_ONCE, "STREAMS", KEY, self._read), read)
            now = await self._link.ask(("TIME",), milliseconds)  # after them: nothing may seem to come from the future
            for id, fields in entries:
                self._read = id
                try:
                    network, lasts = said(fields)
                except (TypeError, ValueError):  # somebody else wrote it: the next one counts
                    self._metrics.count(FAILURES)
                    continue
                left = int(id.partition("-")[0]) + lasts - now
                if lasts == 0 or left > 0:
                    self._take(network, max(0.001, left / 1000) if lasts else 0.0)
            if len(entries) < AT_ONCE:
                return


def milliseconds(answer: Any) -> int:
    """TIME's answer. Raises TypeError and ValueError for another."""
    seconds, micro = answer
    return int(seconds) * 1000 + int(micro) // 1000


def read(answer: Any) -> list[tuple[str, Any]]:
    """(id, fields) of each entry. Raises TypeError and ValueError for what is no answer of XREAD."""
    return [(str(id, "ascii"), fields) for _, entries in answer or () for id, fields in entries]


def said(fields: Any) -> tuple[str, int]:
    """The network and the milliseconds of one entry. Raises TypeError and ValueError for what no replica writes."""
    _, network, _, lasts = fields
    lasting = int(lasts)
    if not NETWORK.fullmatch(network) or not 0 <= lasting <= KEPT * 1000:
        raise ValueError("no network, or no time of a block")
    return network.decode("ascii"), lasting
