"""What a client costs that is connected and says nothing."""

import contextlib
from collections.abc import Iterator

from bench.arena import Instance
from bench.figures import Sample
from bench.process import kilobytes
from bench.scenarios.scenario import ENVOY_FULL, GATEWAY_FULL, NGINX_BARE, Column, Run, Scenario
from bench.scenarios.wire import answer_length, connected, head

WARM = 300
"""Requests before the first reading, so that what every process keeps once is not counted as the clients'."""


def measure(instance: Instance, run: Run, seconds: float) -> Sample:
    """Memory of so many clients after one request each, one after the other: bytes each, proportional and resident."""
    assert instance.pid is not None
    with clients(instance, WARM):
        pass
    before = {name: kilobytes(instance.pid, name, "smaps_rollup") for name in ("Pss", "Rss")}
    with clients(instance, run.clients):
        after = {name: kilobytes(instance.pid, name, "smaps_rollup") for name in ("Pss", "Rss")}
    return {"clients": run.clients, **{f"{name.lower()}_kb": (after[name] - before[name]) / run.clients for name in after}}


@contextlib.contextmanager
def clients(instance: Instance, count: int) -> Iterator[None]:
    """So many kept connections, each with one request answered."""
    request, buffer = head(instance.ask), bytearray(65536)
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(connected(instance))
            client.sendall(request)
            answer_length(client, buffer)
        yield


IDLE = Scenario(
    "idle",
    "Idle clients",
    "Kept connections after one request each, in a process that has answered a few before. KB of 1,024 bytes each.",
    (NGINX_BARE, ENVOY_FULL, GATEWAY_FULL),
    (
        Column("clients", "clients"),
        Column("pss_kb", "PSS KB each", ",.1f", ratios=True),
        Column("rss_kb", "RSS KB each", ",.1f"),
    ),
    measure,
    fresh=True,
)
