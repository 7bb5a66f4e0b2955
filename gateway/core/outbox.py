"""What is written at one turn of the event loop goes out together, at its end.

Writing to a socket wakes whoever waits at the other end. On a virtual machine that may be an exit to the hypervisor each time,
while it slept; written together, the first wakes it and the others find it awake. A request that is alone does not wait.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary, ref

TOGETHER: Final = 32
"""Writes after which they go out before the turn ends, so that the other end has something to do meanwhile."""
LARGE: Final = 65536
"""Bytes that are a burst by themselves, and are written at once."""


class Transport(Protocol):
    """Of asyncio's, what an outlet needs."""

    def is_closing(self) -> bool: ...
    def write(self, data: bytes) -> None: ...


class Loop(Protocol):
    """Of asyncio's event loop, what an outbox needs."""

    def call_soon(self, callback: Callable[[], None], /) -> object: ...


class Outbox:
    """The writes of one event loop's turn. `busy` is how many requests are in flight; whoever begins and ends them counts."""

    __slots__ = ("__weakref__", "_loop", "_scheduled", "_waiting", "before", "busy")

    def __init__(self, loop: Loop) -> None:
        self._loop = ref(loop)  # which is what outboxes are kept by
        self._scheduled = False
        self._waiting: deque[Outlet] = deque()
        self.busy = 0
        self.before: Callable[[], None] | None = None

    def hold(self, before: Callable[[], None]) -> None:
        """From now on nothing that can wait for the turn's end leaves sooner, and not before `before` was called."""
        self.before = before

    def add(self, outlet: "Outlet") -> None:
        """An outlet has something waiting."""
        waiting = self._waiting
        if len(waiting) >= TOGETHER:
            self._flush()
        waiting.append(outlet)
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        loop = self._loop()
        if loop is not None:
            self._scheduled = True
            loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        self._flush()

    def _flush(self) -> None:
        waiting = self._waiting
        try:
            while waiting:
                waiting.popleft().flush()
        finally:
            if waiting and not self._scheduled:  # one that fails must not keep the others
                self._schedule()


class Outlet:
    """One connection's way out. `waiting` is what was to be sent and is not written yet; the order is always kept."""

    __slots__ = ("_outbox", "_transport", "waiting")

    def __init__(self, transport: Transport, outbox: Outbox) -> None:
        self._transport = transport
        self._outbox = outbox
        self.waiting = b""

    def send_soon(self, data: bytes) -> None:
        """Write with what others have to write at this turn."""
        outbox = self._outbox
        if outbox.before is not None and self.waiting:
            self.waiting += data
        elif outbox.before is None and (outbox.busy < 2 or self.waiting or len(data) > LARGE):
            self.send(data)
        else:
            self.waiting = data
            outbox.add(self)

    def send(self, data: bytes) -> None:
        """Write now, silently nothing where the other end is gone."""
        if self.waiting:
            self.flush()
        if not self._transport.is_closing():
            self._transport.write(data)

    def flush(self) -> None:
        """Write what waits. Where the other end is gone it stays: whoever asks learns that it never left."""
        data = self.waiting
        if data and not self._transport.is_closing():
            before = self._outbox.before
            if before is not None:
                before()
            self.waiting = b""
            self._transport.write(data)


OUTBOXES: Final[WeakKeyDictionary[Any, Outbox]] = WeakKeyDictionary()


def outbox_of(loop: Any) -> Outbox:
    """The outbox of an event loop."""
    found = OUTBOXES.get(loop)
    if found is None:
        found = OUTBOXES[loop] = Outbox(loop)
    return found
