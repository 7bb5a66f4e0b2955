"""Who is told by a connection: whoever waits for its answer, and the pool it comes from."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from gateway.core.message import Outbound

if TYPE_CHECKING:
    from gateway.upstream.connection import Connection


class Owner(asyncio.Future[Any]):
    """Who waits for one upstream answer.

    A task that awaits it is woken by the event loop, as for any future. Whoever carries a coroutine himself (`server.run.Run`)
    sets `wake` instead, which the maker sets to None, and whoever settles the future calls `told` when his own state is in order:
    then the coroutine goes on within that call, without a turn of the loop in between.
    """

    __slots__ = ("asked", "wake")
    asked: Outbound
    """What was asked, where whoever asked wants to hear of interim answers."""
    wake: Callable[[], None] | None

    def told(self) -> None:
        """The result or error is set: let the waiter go on now."""
        wake, self.wake = self.wake, None
        if wake is not None:
            wake()


class Pool(Protocol):
    """Who owns connections between requests."""

    def release(self, connection: "Connection") -> None: ...
    def spent(self, connection: "Connection", *, poisoned: bool) -> None: ...
    def gone(self, connection: "Connection") -> None: ...
    def answered(self, connection: "Connection", status: int) -> None: ...
    def failed(self, connection: "Connection", error: Exception) -> None: ...
    def poisoned(self) -> None: ...
