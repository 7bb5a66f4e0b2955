"""The slowest of a hundred requests at half of what a contender can take, counted from when each request was due."""

from bench.arena import Instance
from bench.figures import Sample
from bench.openloop import open_loop
from bench.scenarios.scenario import CADDY_BARE, ENVOY_FULL, GATEWAY_FULL, NGINX_BARE, Column, Run, Scenario
from bench.scenarios.throughput import busy


def most(instance: Instance, run: Run) -> float:
    """Requests a second at most: of this run's full chain, measured now where that was not asked for."""
    known = run.value("full", instance.entry, "rps")
    if known is None:
        memory = run.memory.setdefault(instance.entry, {})
        known = memory["most"] = memory.get("most") or busy(instance, run, 1.0)["rps"]
    return known


def measure(instance: Instance, run: Run, seconds: float) -> Sample:
    return open_loop(instance.port, instance.ask, most(instance, run) / 2, seconds, instance.folder)


TAIL = Scenario(
    "tail",
    "Delay at half load",
    "Requests due at a constant rate, half of each contender's own maximum above, over 64 connections; open loop.",
    (NGINX_BARE, CADDY_BARE, ENVOY_FULL, GATEWAY_FULL),
    (
        Column("rate", "req/s due"),
        Column("p50_us", "p50 µs"),
        Column("p99_us", "p99 µs", ratios=True),
        Column("p999_us", "p99.9 µs"),
    ),
    measure,
)
