"""A question asked while a configuration is loaded, which cannot go on before there is an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from gateway.core.ports import Fetch

Speaking = Callable[[], AbstractAsyncContextManager[Fetch]]
"""A client for the calls of one event loop."""
T = TypeVar("T")


def waited(speaking: Speaking, ask: Callable[[Fetch], Awaitable[T]]) -> T:
    """What `ask` gives, in an event loop of its own on another thread. Raises what it raises."""

    async def asked() -> T:
        async with speaking() as fetch:
            return await ask(fetch)

    return awaited(asked)


def awaited(ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The same without a client."""
    # Whoever loads a configuration may do so inside an event loop, which cannot be entered a second time.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(ask())).result()
