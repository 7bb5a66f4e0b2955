"""One request being carried: begun at once, where it arrived, and not at the event loop's next turn.

Most requests wait for one thing only, their upstream's answer. So a request begins as a plain call. It goes on as a plain call
too when what it waits for can tell it so (`Prompt`); when it waits for anything else, what is left of it becomes an ordinary
task. It is the same coroutine either way.

What needs a task around it (`asyncio.timeout`) must have waited for something before: `await asyncio.sleep(0)` will do.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Protocol

log = logging.getLogger(__name__)


class Prompt(Protocol):
    """A future that lets its waiter go on within `told`, which whoever settles it calls: see upstream.owner."""

    wake: Callable[[], None] | None

    def cancel(self) -> bool: ...
    def told(self) -> None: ...


class Run:
    """A coroutine on its way. `task` is set once it needed one; `ended` is called after its last step, whatever came of it."""

    __slots__ = ("_awaited", "_coroutine", "_ended", "_given_up", "_loop", "_resting", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._ended = ended
        self._awaited: Prompt | None = None
        self._resting = False
        self._given_up = False
        self.task: asyncio.Task[None] | None = None

    def step(self) -> None:
        """As far as it goes without waiting."""
        self._awaited = None
        try:
            awaited = self._coroutine.send(None)
        except StopIteration:
            self._ended()
        except Exception:
            log.exception("bug outside the pipeline")
            self._ended()
        except asyncio.CancelledError:
            self._ended()
            raise
        else:
            if hasattr(awaited, "told"):
                self._awaited = awaited
                awaited.wake = self.step
            else:
                self.task = self._loop.create_task(self._rest(awaited))

    def cancel(self) -> None:
        """Give it up: it sees CancelledError where it waits."""
        self._given_up = True
        if self.task is not None:
            # A task that has not begun would be thrown away with all that is left to do: it cancels itself when it has.
            if self._resting:
                self.task.cancel()
        elif self._awaited is not None:
            self._awaited.cancel()
            with suppress(asyncio.CancelledError):
                self._awaited.told()

    async def _rest(self, awaited: Any) -> None:
        self._resting = True
        if self._given_up and self.task is not None:
            self.task.cancel()
        try:
            await Rest(self._coroutine, awaited)
        finally:
            self._ended()
            self.task = None  # which would refer to this by the traceback of its cancellation


class Rest(Generator[Any, Any, None]):
    """What is left of a coroutine that has already said what it waits for, to be awaited by another one."""

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, None], awaited: Any) -> None:
        self._coroutine = coroutine
        self._awaited: list[Any] = [awaited]

    def __await__(self) -> Generator[Any, Any, None]:
        return self

    def send(self, value: Any) -> Any:
        """What it waits for next, the first time what it said before."""
        return self._awaited.pop() if self._awaited else self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """A cancellation, for the coroutine to see."""
        try:
            return self._coroutine.throw(*error)
        finally:
            error = ()  # which would refer to itself, by its traceback and this frame
