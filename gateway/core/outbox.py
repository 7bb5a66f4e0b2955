"""What is written at one turn of the event loop goes out together, at its end.

Writing to a socket wakes whoever waits at the other end. On a virtual machine that may be an exit to the hypervisor each time,
while it slept; written together, the first wakes it and the others find it awake. A request that is alone does not wait.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

TOGETHER: Final = 32
"""Writes after which they go out before the turn ends, so that the other end has something to do meanwhile."""
LARGE: Final = 65536
"""Bytes that are a burst by themselves, and are written at once."""


class Transport(Protocol):
    """Of asyncio's, what an outlet needs."""

    def is_closing(self) -> bool: ...
    def write(self, data: bytes) -> None: ...


class Outbox:
    """The writes of one event loop's turn. `busy` is how many requests are in flight; whoever begins and ends them counts."""

    __slots__ = ("_call_soon", "_scheduled", "_waiting", "busy")

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._scheduled = False
        self._waiting: deque[Outlet] = deque()
        self.busy = 0

    def add(self, outlet: "Outlet") -> None:
        """An outlet has something waiting."""
        waiting = self._waiting
        waiting.append(outlet)
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._turn)
        if len(waiting) >= TOGETHER:
            self._flush()

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
                self._scheduled = True
                self._call_soon(self._turn)


class Outlet:
    """One connection's way out. `waiting` is what was to be sent and is not written yet; the order is always kept."""

    __slots__ = ("_transport", "outbox", "waiting")

    def __init__(self, transport: Transport, outbox: Outbox) -> None:
        self._transport = transport
        self.outbox = outbox
        self.waiting = b""

    def send_soon(self, data: bytes) -> None:
        """Write with what others have to write at this turn."""
        outbox = self.outbox
        if outbox.busy < 2 or self.waiting or len(data) > LARGE:
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
        """Write what waits."""
        data, self.waiting = self.waiting, b""
        if data and not self._transport.is_closing():
            self._transport.write(data)


OUTBOXES: Final[WeakKeyDictionary[Any, Outbox]] = WeakKeyDictionary()


def outbox_of(loop: Any) -> Outbox:
    """The outbox of an event loop."""
    found = OUTBOXES.get(loop)
    if found is None:
        found = OUTBOXES[loop] = Outbox(loop.call_soon)
    return found
