"""Requests that wait for a connection of an upstream: so many at most, so long at most, the first come first."""

import asyncio
from collections import deque
from collections.abc import Callable

from gateway.core.errors import GatewayError
from gateway.upstream.circuit import overloaded
from gateway.upstream.connection import Connection

Given = Connection | None
"""A connection handed back, or None: a place to open one, reserved for the one who waited."""


class Queue:
    """Those who wait. `waiting` may hold some who have left."""

    def __init__(self, most: int, returned: Callable[[Given], None]) -> None:
        """`returned` gets what was given to somebody who had left."""
        self._most = most
        self._returned = returned
        self.waiting: deque[asyncio.Future[Given]] = deque()

    def __len__(self) -> int:
        return sum(not waiter.done() for waiter in list(self.waiting))

    def give(self, what: Given) -> bool:
        """To the one who has waited longest; whether there is one."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(what)
                return True
        return False

    def refuse(self, error: Callable[[], GatewayError]) -> None:
        """Nobody waits any longer."""
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_exception(error())

    async def wait(self, seconds: float) -> Given:
        """Raises UpstreamOverloaded when too many wait already, or nothing came in `seconds`."""
        if len(self.waiting) >= self._most:
            raise overloaded("too many requests wait for a connection")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Given] = loop.create_future()
        alarm = loop.call_later(seconds, _give_up, waiter)
        self.waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._returned(waiter.result())
            raise
        finally:
            alarm.cancel()
            if waiter in self.waiting:
                self.waiting.remove(waiter)


def _give_up(waiter: "asyncio.Future[Given]") -> None:
    if not waiter.done():
        waiter.set_exception(overloaded("no connection came free in time"))
