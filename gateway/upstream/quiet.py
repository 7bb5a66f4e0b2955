"""What the event loop does not know yet: whether the other end of an idle connection has spoken, or left."""

import asyncio
from collections.abc import Callable
from select import POLLIN, poll

Peek = Callable[[int], list[tuple[int, int]]]


def peek_of(transport: asyncio.BaseTransport) -> Peek:
    """Called with 0 it gives something where there is something to be read, at once: the end of the connection, or poison.

    The loop learns of it at its next turn, which is too late for a request that may not be sent twice. For use while the
    transport is not closing.
    """
    ready = poll()
    ready.register(transport.get_extra_info("socket"), POLLIN)
    return ready.poll
