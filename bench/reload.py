"""How long a reload of a large policy set keeps requests waiting. What a decision costs: bench/decision.py.

    python bench/reload.py --rules 10000 --routes 2000

A gateway in this process serves a client over loopback, one request after the other, while it reloads again and again. The
figures: the longest and the 99th percentile of the requests' latency while nothing reloads and while a reload runs, and how long
a reload takes as a whole.
"""

import argparse
import asyncio
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from gateway.process import Process
from gateway.source import Source

HEAD = """version: 1
listen: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
policies: policies
upstreams: {api: {url: "http://127.0.0.1:9", allow_plaintext: true, allow_private: true}}
audit: {file: audit.jsonl}
log: {level: error}
routes:
"""
ROUTE = '  - {{name: svc{group}.r{n}, match: {{path: "/svc{group}/r{n}/{{id}}"}}, upstream: api, anonymous: true}}\n'
CONDITIONS = (
    "subject.claims.org == resource.params.id",
    "cidr('10.{b}.0.0/16').containsIP(request.client_ip) && request.method in ['GET', 'HEAD']",
    "has(subject.claims.team) && subject.claims.team == 'team{n}'",
)


def write(folder: Path, rules: int, routes: int, turn: int) -> None:
    """A configuration of so many routes, and policies of ten rules each. `turn` makes each version another."""
    (folder / "policies").mkdir(exist_ok=True)
    lines = [ROUTE.format(group=n // 20, n=n) for n in range(routes)]
    (folder / "config.yaml").write_text(HEAD + "".join(lines))
    roles = "apiVersion: gateway/v1\nkind: Roles\nroles:\n  reader: ['data:read']\n  writer: ['data:write']\n"
    (folder / "policies" / "roles.yaml").write_text(roles + f"# {turn}\n")
    randomly = random.Random(7)
    for policy in range(rules // 10):
        names = ", ".join(f"svc{n // 20}.r{n}" for n in randomly.sample(range(routes), 2))
        text = [f"apiVersion: gateway/v1\nkind: Policy\nname: p{policy}\nroutes: [{names}]\nrules:\n"]
        for rule in range(10):
            when = CONDITIONS[rule % 3].format(b=(policy + turn) % 250, n=rule)
            verb = "deny" if rule == 0 else "allow"
            permission = "" if rule == 0 else f", permission: 'data:{'write' if rule % 2 else 'read'}'"
            text.append(f'  - {{name: r{rule}, {verb}: [GET, POST]{permission}, when: "{when}"}}\n')
        (folder / "policies" / f"p{policy}.yaml").write_text("".join(text))


async def latencies(port: int, until: asyncio.Future[Any] | None, count: int) -> list[float]:
    """Milliseconds of requests one after the other, `count` of them or until something is done."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found: list[float] = []
    while (until is not None and not until.done()) or (until is None and len(found) < count):
        start = time.perf_counter()
        writer.write(b"GET /svc1/r20/x HTTP/1.1\r\nHost: bench\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
        found.append((time.perf_counter() - start) * 1000)
    writer.close()
    return found


def show(title: str, found: list[float]) -> None:
    ordered = sorted(found)
    print(
        f"{title:28s} {len(found):6d} requests  p50 {statistics.median(found):7.2f} ms  p99 {ordered[int(len(found) * 0.99)]:7.2f} ms  max {ordered[-1]:7.2f} ms"
    )


async def main(options: argparse.Namespace, folder: Path) -> None:
    write(folder, options.rules, options.routes, 0)
    process = Process(Source((folder / "config.yaml",), (), dict(os.environ)))
    start = time.perf_counter()
    await process.start(alone=True)
    print(f"start with {options.rules} rules over {options.routes} routes: {time.perf_counter() - start:.2f} s")
    try:
        port = process.address("listen")[1]
        await latencies(port, None, 500)
        show("nothing reloads", await latencies(port, None, 3000))
        during: list[float] = []
        for turn in range(options.reloads):
            write(folder, options.rules, options.routes, turn + 1)
            start = time.perf_counter()
            reload = asyncio.ensure_future(process.reload())
            during += await latencies(port, reload, 0)
            if not reload.result():
                raise SystemExit("the reload was refused")
            print(f"reload {turn + 1}: {time.perf_counter() - start:.2f} s")
        show("while a reload runs", during)
    finally:
        await process.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, default=10000)
    parser.add_argument("--routes", type=int, default=2000)
    parser.add_argument("--reloads", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        uvloop.run(main(chosen, Path(name)))
