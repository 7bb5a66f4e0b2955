"""What only the garbage collector could free: objects of the gateway that refer to themselves and that nobody else refers to.

The gateway freezes what lives at a reload (gateway/memory.py), and a knot that is frozen is never freed.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tests.house import House
from tests.standalone import until

OURS = ("gateway", "httptools", "starlette", "hiredis", "ssl")
"""Whose objects count, by the first word of their type's module; frames count by their file."""


@contextmanager
def knots() -> Iterator[Counter[str]]:
    """The knots made within the block, by type; filled when it has ended."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.update(name for each in gc.garbage if (name := ours(each)))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.collect()


def ours(thing: Any) -> str:
    """What to call an object that counts, or nothing."""
    if isinstance(thing, FrameType):
        return f"frame of {thing.f_code.co_qualname}" if "/gateway/" in thing.f_code.co_filename else ""
    kind = type(thing)
    return f"{kind.__module__}.{kind.__qualname__}" if kind.__module__.partition(".")[0] in OURS else ""


async def emptied(gateway: House) -> None:
    """Wait until no client is left and nothing goes on behind the last one."""

    async def over() -> bool:
        return gateway.process.server.connections == 0

    await until(over, "connections stay")
    for _turn in range(20):
        await asyncio.sleep(0.002)
