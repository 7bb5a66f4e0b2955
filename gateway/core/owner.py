"""A future whose waiter goes on at once: what the straight path waits for."""

import asyncio
from collections.abc import Callable
from typing import Any


class Owner(asyncio.Future[Any]):
    """Who waits for one upstream answer.

    A task that awaits it is woken by the event loop, as for any future. Whoever carries a coroutine himself (`server.run.Run`)
    sets `wake` instead, and whoever settles the future calls `told` when his own state is in order: then the coroutine goes on
    within that call, without a turn of the loop in between.
    """

    wake: Callable[[], None] | None = None

    def told(self) -> None:
        """The result or error is set: let the waiter go on now."""
        wake, self.wake = self.wake, None
        if wake is not None:
            wake()
