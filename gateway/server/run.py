"""One request being carried: begun at once, where it arrived, and not at the event loop's next turn.

Most requests wait for one thing only, their upstream's answer, and a task costs more than all that happens in between. So a
request begins as a plain call. It goes on as a plain call too when an `Owner` is all it waits for; when it waits for anything
else, what is left of it becomes an ordinary task. It is the same coroutine either way.

What needs a task around it (`asyncio.timeout`) must have waited for something before: `await asyncio.sleep(0)` will do.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from types import coroutine as generator_coroutine
from typing import Any

from gateway.core.owner import Owner

log = logging.getLogger(__name__)


class Run:
    """A coroutine on its way. `task` is set once it needed one; `ended` is called after its last step, whatever came of it."""

    __slots__ = ("_coroutine", "_ended", "_loop", "_owner", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._ended = ended
        self._owner: Owner | None = None
        self.task: asyncio.Task[None] | None = None

    def step(self) -> None:
        """As far as it goes without waiting."""
        self._owner = None
        try:
            awaited = self._coroutine.send(None)
        except StopIteration:
            self._ended()
        except asyncio.CancelledError:
            self._ended()
        except Exception:
            log.exception("bug outside the pipeline")
            self._ended()
        else:
            if type(awaited) is Owner:
                self._owner = awaited
                awaited.wake = self.step
            else:
                self.task = self._loop.create_task(self._rest(awaited))

    def cancel(self) -> None:
        """Give it up: it sees CancelledError where it waits."""
        if self.task is not None:
            self.task.cancel()
        elif self._owner is not None:
            self._owner.cancel()
            self._owner.told()

    async def _rest(self, awaited: Any) -> None:
        try:
            await resumed(self._coroutine, awaited)
        finally:
            self._ended()


@generator_coroutine
def resumed(coroutine: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that has already said what it waits for, inside another one."""
    while True:
        try:
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001  a cancellation: it is for the coroutine to see
                awaited = coroutine.throw(error)
            else:
                awaited = coroutine.send(sent)
        except StopIteration:
            return
