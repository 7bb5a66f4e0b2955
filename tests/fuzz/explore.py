"""How long is tried: a short run among the other tests, or for as long as FUZZ_SECONDS says (`make fuzz`)."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.wireless import Wireless, WirelessLoop, wireless

EXAMPLES = 150
"""Of a short run, and of each of the rounds of a long one."""


def explore(folder: Path, examples: st.SearchStrategy[Any], check: Callable[[Wireless, Any], Awaitable[None]]) -> None:
    """Hold `check` to examples, in one gateway after the other; at least one round."""
    end = time.monotonic() + float(os.environ.get("FUZZ_SECONDS", "0"))
    rounds = 0
    while not rounds or time.monotonic() < end:
        rounds += 1
        (place := folder / str(rounds)).mkdir()
        with asyncio.Runner(loop_factory=WirelessLoop) as runner:
            explored(runner, place, examples, check)


def explored(
    runner: asyncio.Runner, folder: Path, examples: st.SearchStrategy[Any], check: Callable[[Wireless, Any], Awaitable[None]]
) -> None:
    """One round."""
    context = wireless(folder)
    gateway = runner.run(context.__aenter__())

    @settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(examples)
    def held(example: Any) -> None:
        runner.run(checked(gateway, example, check))

    try:
        held()
    finally:
        runner.run(context.__aexit__(None, None, None))


async def checked(gateway: Wireless, example: Any, check: Callable[[Wireless, Any], Awaitable[None]]) -> None:
    """One example, which leaves nothing behind for the next but what the gateway itself remembers."""
    try:
        await check(gateway, example)
    finally:
        await gateway.over()
