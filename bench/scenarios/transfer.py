"""One body of 100 MB down and one up: how fast, and what the contender's memory grows by."""

import time
from dataclasses import replace

from bench.arena import Instance
from bench.figures import Sample
from bench.load import Unclean
from bench.process import forget_peak, kilobytes
from bench.scenarios.scenario import ENVOY_FULL, GATEWAY_FULL, NGINX_BARE, UPSTREAM, Column, Run, Scenario
from bench.scenarios.wire import answer_head, answer_length, connected, head
from bench.site import SIZES

SIZE = SIZES["100m"]
BUFFER = 1 << 20


def measure(instance: Instance, run: Run, seconds: float) -> Sample:
    """MB/s both ways. `growth_mb`: the peak of resident memory less what was resident before the first transfer of all."""
    before = run.memory.setdefault(instance.entry, {})
    if instance.pid is not None:
        before.setdefault("rss", kilobytes(instance.pid, "VmRSS"))
        forget_peak(instance.pid)
    found = {"down_mb_s": SIZE / 1e6 / down(instance), "up_mb_s": SIZE / 1e6 / up(instance, run)}
    if instance.pid is not None:
        found["growth_mb"] = (kilobytes(instance.pid, "VmHWM") - before["rss"]) / 1024
    return found


def down(instance: Instance) -> float:
    """Seconds from the request to the body's last byte."""
    buffer = bytearray(BUFFER)
    with connected(instance) as client:
        start = time.perf_counter()
        client.sendall(head(replace(instance.ask, path="/api/v1/files/100m")))
        if answer_length(client, buffer) != SIZE:
            raise Unclean("the answer has another length")
        return time.perf_counter() - start


def up(instance: Instance, run: Run) -> float:
    """Seconds from the request to the answer, which the upstream gives when it has the whole body."""
    piece = memoryview(bytes(BUFFER))
    port = run.arena.site.stream if instance.pid is None else None
    with connected(instance, port) as client:
        start = time.perf_counter()
        client.sendall(head(replace(instance.ask, method="POST", path="/api/v1/stream/sink"), SIZE))
        for _ in range(SIZE // BUFFER):
            client.sendall(piece)
        _, rest = answer_head(client)
        taken = time.perf_counter() - start
        if (rest or client.recv(64)) != b"%d" % SIZE:
            raise Unclean("the upstream has another length")
        return taken


TRANSFER = Scenario(
    "transfer",
    "100 MB down and up",
    "One at a time. nginx passes uploads on as they come and keeps answers in memory; the growth is the peak above what was resident before.",
    (UPSTREAM, NGINX_BARE, ENVOY_FULL, GATEWAY_FULL),
    (
        Column("down_mb_s", "MB/s down", ratios=True),
        Column("up_mb_s", "MB/s up", ratios=True),
        Column("growth_mb", "growth MB", ",.1f"),
    ),
    measure,
)
