"""Two worker processes beside one, on all cores: load and upstream take their part of the same cores, so twice as much is not to be had."""

from bench.arena import Entry
from bench.contenders import GATEWAY
from bench.contenders.contender import Setup
from bench.scenarios.scenario import Scenario
from bench.scenarios.throughput import CPU, P99, RATE, busy

ONE = Entry(GATEWAY, Setup("full", pinned=False))
TWO = Entry(GATEWAY, Setup("full", pinned=False, workers=2))
WORKERS = Scenario(
    "workers",
    "Two workers",
    "The gateway's full chain, not pinned: on two cores the load and the upstream take what they need from the workers.",
    (ONE, TWO),
    (RATE, CPU, P99),
    busy,
    reference=(ONE, ONE),
)
