"""The garbage collector of a process that is the gateway's alone, and its threads: they must not hold requests up.

A configuration of 10,000 rules is millions of objects. A collection that looks at them all, or the freeing of them all at once,
takes hundreds of milliseconds in which nothing else runs. What a configuration is made of lives until the next one and holds no
cycles, so that counting references frees it; the collector is spared the sight of it.

What is frozen is everything that lives, also connections, requests and tunnels. So these hold no cycles either once they ended
(tests/wire/test_endings.py): one that was alive at a freeze would never be freed.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

YOUNG: Final = 50_000
"""Objects made between two collections of the young ones: Python's default of 700 costs a tenth of the throughput."""
SWITCH: Final = 0.001
"""Seconds after which a thread that computes gives way to the event loop (Python's default is 0.005). A thread that renders metrics
or builds a configuration delays each turn of the loop by this; on one core the kernel's own slices make less no better."""


def settle() -> None:
    """After the start: what was made stays, and need not be looked at again; threads give way sooner."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 50)
    sys.setswitchinterval(SWITCH)


@contextmanager
def undisturbed() -> Iterator[None]:
    """While a configuration is made: no collections; afterwards what was made is left out of them.

    Garbage is collected first, whoever made it: what is frozen as garbage is never freed.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def release(pieces: list[object]) -> None:
    """Let go of many objects one at a time, the last first. On a thread of its own others may run in between."""
    while pieces:
        pieces.pop()
