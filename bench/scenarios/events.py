"""Server-sent events: how much later an event arrives than it was sent."""

import re
import time
from dataclasses import replace

from bench.arena import Instance
from bench.figures import Sample, percentile
from bench.load import Unclean
from bench.scenarios.scenario import ENVOY_FULL, GATEWAY_FULL, NGINX_BARE, UPSTREAM, Column, Run, Scenario
from bench.scenarios.wire import answer_head, connected, head

EVENT = re.compile(rb"data: (\d+)\n\n")


def measure(instance: Instance, run: Run, seconds: float) -> Sample:
    """Each event holds the monotonic clock of when it was sent; the client compares it with its own, which is the same."""
    port = run.arena.site.stream if instance.pid is None else None
    delays: list[float] = []
    with connected(instance, port) as client:
        client.sendall(head(replace(instance.ask, path="/api/v1/stream/events")))
        _, held = answer_head(client)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            piece = client.recv(65536)
            arrived = time.monotonic_ns()
            if not piece:
                raise Unclean("the stream ended")
            held += piece
            delays += [(arrived - int(found[1])) / 1000 for found in EVENT.finditer(held)]
            held = held[held.rfind(b"\n\n") + 2 :] if b"\n\n" in held else held
    if len(delays) < 10:
        raise Unclean(f"only {len(delays)} events arrived")
    return {"events": len(delays), "p50_us": percentile(delays, 0.5), "p99_us": percentile(delays, 0.99)}


EVENTS = Scenario(
    "events",
    "Server-sent events",
    "One event every 2 ms or so; its delay is from when the upstream sent it to when the client has it.",
    (UPSTREAM, NGINX_BARE, ENVOY_FULL, GATEWAY_FULL),
    (
        Column("p50_us", "p50 µs"),
        Column("p99_us", "p99 µs"),
        Column("added_us", "added p50 µs", ratios=True),
    ),
    measure,
    added=(("p50_us", "added_us"),),
)
