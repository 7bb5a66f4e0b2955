"""What a gateway of several workers takes of memory, and what forking them from one process shares: `python -m bench.shared_memory`.

Reads /proc/PID/smaps_rollup after a few thousand requests: Rss counts shared pages in full, Pss its share of them, Private its own.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.house import Upstream
from tests.population import population
from tests.standalone import Standalone, standalone

WANTED = ("Rss", "Pss", "Private")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--requests", type=int, default=5000)
    arguments = parser.parse_args()
    for workers in sorted({1, arguments.workers}):
        asyncio.run(measured(workers, arguments.requests))


async def measured(workers: int, requests: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with Upstream() as upstream:
            options, limits = ["--workers", str(workers)], {"per_worker": True}
            async with standalone(Path(folder), upstream, options=options, address="127.0.0.1:0", rate_limits=limits) as gateway:
                async with population(await port(gateway), clients=32) as clients:
                    await clients.more(requests)
                print(f"--workers {workers}")
                show("first process", gateway.process.pid)
                for nursery in children(gateway.process.pid):
                    show("forked from", nursery)
                    for number, worker in enumerate(children(nursery)):
                        show(f"worker {number}", worker)
                await gateway.end()


async def port(gateway: Standalone) -> int:
    while b"gateway.started" not in gateway.audit:
        await asyncio.sleep(0.05)
    return int(gateway.audit.split(b'"listen":"127.0.0.1:')[1].split(b'"')[0])


def children(pid: int) -> list[int]:
    return [int(found) for found in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def show(name: str, pid: int) -> None:
    sums = dict.fromkeys(WANTED, 0)
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        for kind in WANTED:
            if line.startswith((f"{kind}:", f"{kind}_")) and "Pss_" not in line:
                sums[kind] += int(line.split()[1])
    print(f"  {name:14}" + "".join(f"  {kind} {size / 1024:6.1f} MiB" for kind, size in sums.items()))


if __name__ == "__main__":
    main()
