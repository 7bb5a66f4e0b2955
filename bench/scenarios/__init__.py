"""What is measured, one file a kind. `SCENARIOS` is the order in which it happens and is reported."""

from bench.scenarios.events import EVENTS
from bench.scenarios.idle import IDLE
from bench.scenarios.scenario import Scenario
from bench.scenarios.tail import TAIL
from bench.scenarios.throughput import BARE, FULL, KINDS
from bench.scenarios.transfer import TRANSFER
from bench.scenarios.workers import WORKERS

SCENARIOS: tuple[Scenario, ...] = (BARE, FULL, TAIL, *KINDS, TRANSFER, IDLE, EVENTS, WORKERS)
