"""The soak: `python -m bench.soak --seconds 1800`. Exit 0: nothing was wrong; 1: what was wrong stands at the end."""

import argparse
import asyncio
import contextlib
import http.client
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.machine import raise_limits
from bench.process import STARTUP, stop, wait_until_it_listens
from bench.soak import abuse, faults, honest, ledger
from bench.soak.ledger import Faults, Ledger
from bench.soak.site import ENVIRON, Site
from bench.soak.watch import Watch, descriptors, growth, table, warm
from bench.soak.world import World
from tests.redis_server import RedisServer

GRACE = 8.0
"""Seconds after a target's return in which its failures still count as the fault's: ejection, health checks, slow start."""
REST = 20
"""Descriptors that may be open beyond those at the start when all clients have gone, kept upstream connections not counted."""
LEAVE = 60.0


@contextlib.contextmanager
def gateway(site: Site, workers: int) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway that serves, until the block ends."""
    out = site.folder / "gateway.out"
    command = [sys.executable, "-m", "gateway", "serve", "--config", "config.yaml", "--workers", str(workers)]
    with out.open("wb") as sink:
        environ = {**os.environ, **ENVIRON, "PYTHONPATH": str(Path(__file__).parents[2])}
        process = subprocess.Popen(command, cwd=site.folder, env=environ, stdout=sink, stderr=sink, start_new_session=True)
    try:
        wait_until_it_listens(process, site.plain, STARTUP, out)
        yield process
    finally:
        if process.poll() is None:
            stop(process)


async def load(world: World, targets: list[faults.Target], redis: RedisServer, pid: int) -> None:
    """Everything at once until it is over, and until everybody has gone."""
    plays = [*honest.cast(world), *abuse.cast(world), *faults.cast(world, targets, redis, pid)]
    tasks = [asyncio.create_task(play) for play in plays]
    tasks.append(asyncio.create_task(world.end()))
    _, pending = await asyncio.wait(tasks, timeout=world.until - time.monotonic() + LEAVE)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            world.ledger.complain("the soak itself", repr(result))
    if pending:
        world.ledger.complain("the soak itself", f"{len(pending)} clients did not come to an end")


def counters(site: Site) -> dict[str, float]:
    """The gateway's own figures, by name and labels."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", site.admin, timeout=30)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    return {name: float(value) for name, value in re.findall(r"^([a-z_]+(?:\{[^}]*\})?) ([0-9.e+-]+)$", text, re.MULTILINE)}


def settled(site: Site, pid: int, before: int) -> tuple[int, int]:
    """Descriptors once all clients have gone, without and with idle upstream connections; waits for idle clients to be ended."""
    until = time.monotonic() + 40
    while True:
        kept = sum(value for name, value in counters(site).items() if name.startswith("gateway_upstream_connections{"))
        now = descriptors(pid)
        if now - kept <= before + REST or time.monotonic() > until:
            return now - int(kept), now
        time.sleep(0.5)  # another process's descriptors can only be looked at again


def reloads(found: dict[str, float]) -> list[float]:
    return [value for name, value in found.items() if name.startswith("gateway_config_reloads_total{")]


def counted(world: World) -> list[str]:
    """What the gateway's counters say otherwise than the soak."""
    until = time.monotonic() + 15
    while sum(reloads(found := counters(world.site))) < sum(world.reloads.values()) and time.monotonic() < until:
        time.sleep(0.5)  # and its counters only be read again
    names = {f'gateway_config_reloads_total{{outcome="{outcome}"}}': sent for outcome, sent in world.reloads.items()}
    wrong = [f"{name} is {found.get(name, 0):g}, not {sent}" for name, sent in names.items() if found.get(name, 0) != sent]
    lost = ("gateway_audit_dropped_total", "gateway_audit_failures_total")
    return wrong + [f"{name} is {found[name]:g}" for name in lost if found.get(name, 0)]


def soak(site: Site, seconds: int, workers: int, stack: contextlib.ExitStack) -> list[str]:
    """Run it and print the figures; what was wrong."""
    redis = RedisServer(site.folder).start()
    stack.callback(redis.kill)
    targets = [faults.Target(port, site.folder) for port in (*site.back, *site.live)]
    for target in targets:
        stack.callback(target.kill)
    process = stack.enter_context(gateway(site, workers))
    time.sleep(2)  # what a start does in the background is no growth
    before, watch = descriptors(process.pid), Watch(process.pid, site.admin)
    book = Ledger(Faults(GRACE))
    world = World(site, book, time.monotonic() + seconds)
    asyncio.run(load(world, targets, redis, process.pid))
    watch.stop()
    if process.poll() is not None:
        return [f"the gateway ended with {process.returncode}", *book.told]
    after, open_ = settled(site, process.pid, before)
    wrong = counted(world)
    stop(process)
    audited = ledger.read(ledger.trail(site.audit))
    differing = ledger.differences(book.answers, audited.statuses)
    report(book, audited, seconds)
    print(
        "\n".join(
            [
                *table(warm(watch.samples)),
                f"descriptors before {before}, when all had gone {open_}, {after} without kept upstream connections",
            ]
        )
    )
    wrong += [f"{count} x {kind}" for kind, count in book.wrong.items()] + book.told
    wrong += audited.problems[:20] + differing[:20] + growth(warm(watch.samples))
    wrong += [f"{len(differing)} answers differ from the audit trail"] if differing else []
    wrong += [f"{after} descriptors when all had gone, {before} before"] if after > before + REST else []
    wrong += [f"the gateway drained with exit code {process.returncode}"] if process.returncode else []
    intruders = site.folder / "intruders"
    return wrong + (intruders.read_text(errors="replace").splitlines()[:20] if intruders.exists() else [])


def report(book: Ledger, audited: ledger.Audited, seconds: int) -> None:
    print(f"{seconds} s, {len(book.answers)} answers with an id, {len(book.answers) / seconds:.0f}/s; wrong: {book.wrong.total()}")
    for kind, count in sorted(book.kinds.items()):
        print(f"  {kind:<34}{count:>9}")
    print(f"audit: {audited.lines} lines, {len(audited.statuses)} requests; {dict(sorted(audited.events.items()))}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=1800)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    raise_limits()
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="soak-") as name, contextlib.ExitStack() as stack:
        site = Site(Path(name), f"unix://{name}/redis.sock")
        site.furnish(options.seconds)
        wrong = soak(site, options.seconds, options.workers, stack)
        if wrong:
            print("gateway said:", (site.folder / "gateway.out").read_text(errors="replace")[-3000:])
    print("\n".join(["WRONG", *wrong]) if wrong else "nothing was wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
