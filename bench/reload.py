"""How long a reload of a large policy set keeps requests waiting.

    python bench/reload.py --rules 10000 --routes 2000 --files 100 [--workers 2] [--python .make/bench/gateway/bin/python]

`gateway serve` gets requests at a constant rate over a few connections; a request's delay counts from when it was due. Windows in which
nothing reloads alternate with windows of a reload (SIGHUP until the new generation serves, and a second more, in which the old one is
let go of). What is added is the worst delay of a window with a reload less that of the window before it. Every rule of every turn has a
condition that no other has.

On a machine that others use too, delays tell of those. So for each request it is also told how much processor time the gateway's own threads
spent while it waited ("own"): what a reload adds to that is the reload's, whoever else wants the processor.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import percentile
from bench.machine import Foreign, disturbance
from bench.process import free_port

ROUTE = '  - {{name: svc{group}.r{n}, match: {{path: "/svc{group}/r{n}/{{id}}"}}, upstream: api, anonymous: true}}\n'
CONDITIONS = (
    "subject.claims.org == resource.params.id && subject.claims.tenant != 't{unique}'",
    "cidr('10.{b}.0.0/16').containsIP(request.client_ip) && resource.params.id != 'x{unique}'",
    "has(subject.claims.team) && subject.claims.team == 'team{unique}'",
)
REQUEST = b"GET /svc1/r20/x HTTP/1.1\r\nHost: bench\r\n\r\n"


def write(folder: Path, options: argparse.Namespace, turn: int) -> None:
    """A configuration of so many routes, and policies in so many files. `turn` makes each version another."""
    (folder / "policies").mkdir(exist_ok=True)
    head = f"""version: 1
listen: {{address: "127.0.0.1:{options.port}"}}
admin: {{address: "127.0.0.1:{options.admin}"}}
policies: policies
upstreams: {{api: {{url: "http://127.0.0.1:9", allow_plaintext: true, allow_private: true}}}}
audit: {{file: audit.jsonl}}
log: {{level: error}}
routes:
"""
    (folder / "config.yaml").write_text(head + "".join(ROUTE.format(group=n // 20, n=n) for n in range(options.routes)))
    roles = "apiVersion: gateway/v1\nkind: Roles\nroles:\n  reader: ['data:read']\n  writer: ['data:write']\n"
    (folder / "policies" / "roles.yaml").write_text(roles + f"# {turn}\n")
    randomly = random.Random(7)
    each = options.rules // options.files
    for policy in range(options.files):
        names = ", ".join(f"svc{n // 20}.r{n}" for n in randomly.sample(range(options.routes), min(2, options.routes)))
        text = [f"apiVersion: gateway/v1\nkind: Policy\nname: p{policy}\nroutes: [{names}]\nrules:\n"]
        text += [rule(number, policy * each + number, turn) for number in range(each)]
        (folder / "policies" / f"p{policy}.yaml").write_text("".join(text))


def rule(number: int, unique: int, turn: int) -> str:
    when = CONDITIONS[number % 3].format(b=(number + turn) % 250, unique=f"{unique}-{turn}")
    verb = "deny" if number % 10 == 0 else "allow"
    permission = "" if verb == "deny" else f", permission: 'data:{'write' if number % 2 else 'read'}'"
    return f'  - {{name: r{number}, {verb}: [GET, POST]{permission}, when: "{when}"}}\n'


@dataclass
class Load:
    """Requests at a constant rate over some connections, for as long as it runs."""

    port: int
    rate: float
    connections: int
    process: int
    delays: list[tuple[float, float]] = field(default_factory=list)

    async def run(self, until: asyncio.Event) -> None:
        await asyncio.gather(*(self._one(number, until) for number in range(self.connections)))

    async def _one(self, number: int, until: asyncio.Event) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        pause = self.connections / self.rate
        due = time.perf_counter() + pause * number / self.connections
        while not until.is_set():
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            start, spent = time.perf_counter(), processor(self.process)
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
            # From when it was sent where this process came late itself; what then waits behind a slow answer counts in full.
            waited = time.perf_counter() - min(start, max(due, start - pause))
            self.delays.append((waited * 1000, processor(self.process) - spent))
            due += pause
        writer.close()

    def taken(self) -> list[tuple[float, float]]:
        found, self.delays = self.delays, []
        return found


def processor(process: int) -> float:
    """Milliseconds that all threads of a process have run."""
    total = 0
    for thread in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e6


async def generation(port: int) -> str:
    """What the gateway serves now, "" while it does not."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return ""
    writer.write(b"GET /readyz?verbose HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    found = json.loads(body) if b" 200 " in head.split(b"\r\n")[0] + b" " else {}
    return str(found.get("generation", ""))


async def another(port: int, before: str, process: subprocess.Popen[bytes]) -> str:
    """The next generation, once it serves."""
    while (now := await generation(port)) in ("", before):
        if process.poll() is not None:
            raise SystemExit("the gateway ended")
        await asyncio.sleep(0.05)
    return now


def memory(process: int) -> float:
    """Resident MiB of the process that serves."""
    return int(Path(f"/proc/{process}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


def show(title: str, found: list[tuple[float, float]]) -> str:
    waited, own = zip(*found, strict=True)
    return (
        f"{title:7s} {len(found):6d} requests  p50 {statistics.median(waited):6.2f}  p99 {percentile(waited, 0.99):6.2f}  "
        f"max {max(waited):7.2f} ms  own: p99 {percentile(own, 0.99):6.2f}  max {max(own):6.2f} ms"
    )


def worst(found: list[tuple[float, float]], which: int) -> float:
    return max(one[which] for one in found)


async def main(options: argparse.Namespace, folder: Path) -> None:
    write(folder, options, 0)
    start = time.perf_counter()
    workers = ("--workers", str(options.workers)) if options.workers > 1 else ()
    command = [options.python, "-P", "-m", "gateway", "serve", "--config", "config.yaml", *workers]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    done = asyncio.Event()
    foreign = Foreign.begin()
    try:
        now = await another(options.admin, "", process)
        print(
            f"start with {options.rules} rules in {options.files} files over {options.routes} routes: {time.perf_counter() - start:.2f} s"
        )
        load = Load(options.port, options.rate, options.connections, process.pid)
        running = asyncio.ensure_future(load.run(done))
        await asyncio.sleep(1)
        length, added = 4.0, list[list[float]]()
        for turn in range(options.reloads):
            write(folder, options, turn + 1)
            load.taken()
            await asyncio.sleep(length)
            quiet = load.taken()
            process.send_signal(signal.SIGHUP)
            start = time.perf_counter()
            now = await another(options.admin, now, process)
            took = time.perf_counter() - start
            await asyncio.sleep(1)
            during = load.taken()
            length = took + 1
            added.append([worst(during, which) - worst(quiet, which) for which in (0, 1)])
            print(show("quiet", quiet))
            print(f"{show('reload', during)}  took {took:.2f} s, resident {memory(process.pid):.0f} MiB")
        done.set()
        await running
        for title, several in zip(("the worst delay", "the worst own time"), zip(*added, strict=True), strict=True):
            print(f"added to {title}: median {statistics.median(several):.2f} ms, most {max(several):.2f} ms")
    finally:
        process.terminate()
        process.wait(30)
    print(f"processor time taken by others: {disturbance(foreign.share())}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, default=10000)
    parser.add_argument("--routes", type=int, default=2000)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--reloads", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--python", default=sys.executable)
    chosen = parser.parse_args()
    chosen.port, chosen.admin = free_port(), free_port()
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(chosen, Path(name)))
