"""Two worker processes beside one, not pinned. Where load and upstream have no cores of their own, twice as much is not to be had."""

from bench.arena import Entry, Instance
from bench.contenders import GATEWAY
from bench.contenders.contender import Setup
from bench.figures import Sample
from bench.process import cpu_by_process
from bench.scenarios.scenario import Column, Run, Scenario
from bench.scenarios.throughput import CPU, P99, RATE, busy

ONE = Entry(GATEWAY, Setup("full", pinned=False))
TWO = Entry(GATEWAY, Setup("full", pinned=False, workers=2))


def measure(instance: Instance, run: Run, seconds: float) -> Sample:
    """Throughput, and `capacity`: requests for each second of processor time of the busiest process, which is the rate they could
    take if each had a core to itself."""
    assert instance.pid is not None
    before = cpu_by_process(instance.pid)
    found = busy(instance, run, seconds)
    after = cpu_by_process(instance.pid)
    return found | {"capacity": found["requests"] / max(after[pid] - before.get(pid, 0.0) for pid in after)}


WORKERS = Scenario(
    "workers",
    "Two workers",
    "The gateway's full chain, not pinned; on two cores the load and the upstream take what they need from the workers. The last column is "
    "requests for each second of processor time of the busiest process: the rate they could take with a core each.",
    (ONE, TWO),
    (RATE, CPU, P99, Column("capacity", "req/s a core each", ratios=True)),
    measure,
    reference=(ONE, ONE),
)
