"""What a scenario is: who takes part, what one measurement does, which figures come of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bench.arena import Arena, Entry, Instance
from bench.contenders import CADDY, DIRECT, ENVOY, GATEWAY, NGINX
from bench.contenders.contender import Setup
from bench.figures import Sample, median

UPSTREAM = Entry(DIRECT)
NGINX_BARE = Entry(NGINX)
CADDY_BARE = Entry(CADDY)
ENVOY_FULL = Entry(ENVOY, Setup("full"))
GATEWAY_FULL = Entry(GATEWAY, Setup("full"))


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a table. `ratios` adds columns that compare it with nginx and with Envoy's full chain, round by round."""

    figure: str
    title: str
    form: str = ",.0f"
    ratios: bool = False


@dataclass(slots=True)
class Run:
    """One run of the harness: how long and how often, and what has been found so far."""

    arena: Arena
    seconds: float = 2.0
    rounds: int = 5
    clients: int = 5000
    quick: bool = False
    """Scenarios that start new processes each round have one."""
    warm: set[Entry] = field(default_factory=set)
    found: dict[str, dict[Entry, list[Sample]]] = field(default_factory=dict)
    failures: dict[str, dict[Entry, str]] = field(default_factory=dict)
    memory: dict[Entry, dict[str, float]] = field(default_factory=dict)
    """What scenarios remember of an entry from one round to the next."""

    def samples(self, scenario: str, entry: Entry) -> list[Sample]:
        return self.found.get(scenario, {}).get(entry, [])

    def value(self, scenario: str, entry: Entry, figure: str) -> float | None:
        return median(self.samples(scenario, entry), figure)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One table."""

    name: str
    title: str
    text: str
    entries: tuple[Entry, ...]
    columns: tuple[Column, ...]
    measure: Callable[[Instance, Run, float], Sample]
    """Measures a running entry for about so many seconds. Raises Unclean or OSError: the entry is left out, and why is said."""
    fresh: bool = False
    """Each measurement has a new process, which nothing has warmed up."""
    added: tuple[tuple[str, str], ...] = ()
    """(figure, its name as a difference): what remains when the upstream's own is taken away."""
    reference: tuple[Entry, Entry] = (NGINX_BARE, ENVOY_FULL)
    """What ratios are taken against."""
