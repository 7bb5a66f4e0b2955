"""What goes wrong in a soak besides clients: targets and Redis killed and frozen, reloads, keys made and taken back."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from bench.soak.site import BROKEN, PEPPER
from bench.soak.world import World
from gateway.authn import key_entry, key_file
from tests.redis_server import RedisServer

RELOAD = 10.0
KEYS = 20
"""Living keys; beyond, the oldest is revoked."""


class Target:
    """One upstream process that can be killed, frozen and started again."""

    def __init__(self, port: int, folder: Path) -> None:
        self._command = [sys.executable, "-m", "bench.soak.upstream", str(port), str(folder)]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, cwd=Path(__file__).parents[2])

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


async def targets(world: World, found: list[Target]) -> None:
    """One target at a time, now and then all of an upstream's, killed or frozen for some seconds."""
    faults = world.ledger.faults
    turn = 0
    while await world.pause(15):
        turn += 1
        hit = found[:3] if turn % 5 == 0 else [found[turn % len(found)]]
        faults.begin(time.monotonic())
        frozen = turn % 3 == 0
        for target in hit:
            target.signal(signal.SIGSTOP) if frozen else target.kill()
        await world.pause(3)
        for target in hit:
            target.signal(signal.SIGCONT) if frozen else target.start()
        faults.end(time.monotonic())
        world.ledger.kinds["fault: target frozen" if frozen else "fault: target killed"] += len(hit)


async def store(world: World, redis: RedisServer) -> None:
    """Redis killed, or frozen, and back; no answer may show it."""
    turn = 0
    while await world.pause(25):
        turn += 1
        if turn % 3 == 0:
            redis.freeze()
            await world.pause(4)
            redis.thaw()
        else:
            redis.kill()
            await world.pause(4)
            await asyncio.to_thread(redis.start)
        world.ledger.kinds["fault: redis"] += 1


async def reloads(world: World, pid: int) -> None:
    """SIGHUP, to configurations in turn; every fourth is broken and must change nothing."""
    turn = 0
    while await world.pause(RELOAD):
        turn += 1
        if turn % 4 == 0:
            (world.site.folder / "config.yaml").write_text(BROKEN[turn // 4 % len(BROKEN)])
        else:
            world.site.write("ab"[turn % 2])
        world.reloads["refused" if turn % 4 == 0 else "applied"] += 1
        os.kill(pid, signal.SIGHUP)


async def keys(world: World) -> None:
    """A new API key every few seconds, the oldest living one revoked."""
    path = world.site.keys
    while True:
        key, entry = key_entry.new_entry(PEPPER.encode(), prefix="lgk", name=f"soak-{len(world.keys)}", now=time.time())
        await asyncio.to_thread(key_file.add, path, entry)
        world.keys[f"{key}@{time.monotonic()}"] = None
        living = [each for each, revoked in world.keys.items() if revoked is None]
        if len(living) > KEYS:
            world.keys[living[0]] = time.monotonic()
            await asyncio.to_thread(key_file.revoke, path, living[0].split("_")[1], time.time())
        if not await world.pause(5):
            return


def cast(world: World, found: list[Target], redis: RedisServer, pid: int) -> list[Coroutine[Any, Any, None]]:
    return [targets(world, found), store(world, redis), reloads(world, pid), keys(world)]
