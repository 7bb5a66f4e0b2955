"""Active health checks: each address of an upstream is asked regularly, beside the requests of clients.

A check goes over a connection of its own, with the upstream's TLS and Host and without any credential. What comes back is read as
any answer of an upstream is, its head bounded, its body thrown away, all of it within `timeout`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from gateway.core.errors import GatewayError
from gateway.upstream.accrual import jittered
from gateway.upstream.connection import Connection
from gateway.upstream.dial import connect, uncount
from gateway.upstream.endpoint import UNKNOWN, Endpoint
from gateway.upstream.head import start_lines
from gateway.upstream.lane import Lane
from gateway.upstream.model import HealthCheck
from gateway.upstream.tls import ClientTls

log = logging.getLogger(__name__)

FIELDS: Final = b"user-agent: latchgate-health-check\r\naccept: */*\r\nconnection: close\r\n\r\n"
Probe = Callable[[Lane, Endpoint, bytes, bytes], Awaitable[int]]
"""The status an address answers, asked for a path of a host. Raises OSError, GatewayError."""
MOST_AT_ONCE: Final = 16
"""Checks of one upstream that run side by side."""


class Alone:
    """Owns a connection that nobody else uses."""

    def release(self, connection: Connection) -> None:
        connection.close()

    def spent(self, connection: Connection, *, poisoned: bool) -> None: ...
    def gone(self, connection: Connection) -> None: ...
    def answered(self, connection: Connection, status: int) -> None: ...
    def failed(self, connection: Connection, error: Exception) -> None: ...
    def poisoned(self) -> None: ...


class HealthChecks:
    """The health checks of one upstream. `judged` is told of each: the address, and its problem or nothing."""

    def __init__(
        self,
        model: HealthCheck,
        lanes: Sequence[Lane],
        tls: ClientTls,
        judged: Callable[[Endpoint, str], None],
        probe: Probe | None = None,
    ) -> None:
        """`probe` asks in place of what is said here, where the upstream does not speak HTTP/1.1."""
        self._model = model
        self._probe = probe
        self._lanes = lanes
        self._tls = tls
        self._judged = judged
        self._path = model.path.encode("ascii")
        self._host = model.host.encode("ascii") if model.host is not None else None
        self._expected = [span_of(text) for text in model.expected_statuses]
        self._places = asyncio.Semaphore(MOST_AT_ONCE)

    async def run(self) -> None:
        """Until cancelled. Intervals differ by chance, so that several gateways do not ask all at once."""
        while True:
            try:
                await self.round()
            except Exception:  # a background loop: one bug must not leave an upstream unwatched
                log.exception("bug in health checks")
            await asyncio.sleep(jittered(self._model.interval))

    async def round(self) -> None:
        """Every address once."""
        await asyncio.gather(*(self._known(lane) for lane in self._lanes))
        await asyncio.gather(*(self._check(lane, endpoint) for lane in self._lanes for endpoint in lane.endpoints.values()))

    async def _known(self, lane: Lane) -> None:
        """Have the target's name resolved; when that fails, the last addresses are checked."""
        try:
            async with asyncio.timeout(self._model.timeout):
                await lane.addresses.current()
        except (GatewayError, TimeoutError):
            return

    async def _check(self, lane: Lane, endpoint: Endpoint) -> None:
        async with self._places:
            problem = "its name does not resolve" if endpoint.ip == UNKNOWN else await self._problem(lane, endpoint)
        self._judged(endpoint, problem)

    async def _problem(self, lane: Lane, endpoint: Endpoint) -> str:
        """What is wrong with an address, or nothing."""
        try:
            async with asyncio.timeout(self._model.timeout):
                status = await self._status(lane, endpoint)
        except TimeoutError:
            return "health check: no answer in time"
        except OSError as error:
            return f"health check: {error}"
        except GatewayError as error:
            return f"health check: {error.detail}"
        expected = any(first <= status <= last for first, last in self._expected)
        return "" if expected else f"health check: answered {status}"

    async def _status(self, lane: Lane, endpoint: Endpoint) -> int:
        if self._probe is not None:
            return await self._probe(lane, lane.endpoint(endpoint.ip), self._path, self._host or lane.authority)
        # Counted by itself: that an address answers checks must not pass for its answering requests.
        connection = await connect(lane, lane.endpoint(endpoint.ip), Alone(), self._tls)
        try:
            head = start_lines("GET", self._path, self._host or lane.authority) + FIELDS
            answer = await connection.begin(head, self._model.timeout, self._model.timeout)
            return int(answer.status)
        finally:
            connection.abort()
            uncount(connection)


def span_of(text: str) -> tuple[int, int]:
    """`200-299` or `204` -> the first and the last of them."""
    first, _, last = text.partition("-")
    return int(first), int(last or first)
