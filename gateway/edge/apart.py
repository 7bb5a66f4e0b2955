"""Reading in a thread what a client may have made slow to read: no document keeps the event loop from the others."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from gateway.core.strict_json import parse

T = TypeVar("T")

MUCH: Final = 16 * 1024
"""Bytes that take milliseconds to read where a document is made to be slow to read."""


async def parsed(body: bytes) -> Any:
    """As `core.strict_json.parse`. Raises InvalidJson."""
    return await read(len(body), lambda: parse(body))


async def read(size: int, call: Callable[[], T]) -> T:
    """What a call gives that reads so many bytes: of few at once, of many in a thread."""
    return await asyncio.to_thread(call) if size > MUCH else call()
