"""What the project asks of itself: figures that a run is held against. They are printed, never a gate."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.arena import Entry
from bench.contenders import LONG
from bench.figures import ratio
from bench.scenarios.scenario import CADDY_BARE, ENVOY_FULL, GATEWAY_FULL, NGINX_BARE, Run
from bench.scenarios.workers import ONE, TWO


@dataclass(frozen=True, slots=True)
class Bar:
    """One sentence with a bound. `measured` gives None where the run has nothing to say."""

    text: str
    bound: float
    at_least: bool
    measured: Callable[[Run], float | None]
    unit: str = "×"

    def verdict(self, run: Run) -> tuple[str, str]:
        """(the figure, PASS or short or not measured)."""
        found = self.measured(run)
        if found is None:
            return "", "not measured"
        held = found >= self.bound if self.at_least else found <= self.bound
        return f"{found:,.2f} {self.unit}", "PASS" if held else "short"


def against(scenario: str, figure: str, ours: Entry, theirs: Entry) -> Callable[[Run], float | None]:
    return lambda run: ratio(run.samples(scenario, ours), run.samples(scenario, theirs), figure)


def figure(scenario: str, name: str, factor: float = 1.0) -> Callable[[Run], float | None]:
    def measured(run: Run) -> float | None:
        found = run.value(scenario, GATEWAY_FULL, name)
        return None if found is None else found * factor

    return measured


def slowest_rival(run: Run) -> float | None:
    """The smaller of the ratios to the rivals of the long run, of those that started."""
    rivals = [entry for entry in run.found.get("full", {}) if entry.contender in LONG]
    found = [against("full", "rps", GATEWAY_FULL, entry)(run) for entry in rivals]
    return min((value for value in found if value is not None), default=None)


BARS = (
    Bar("full chain, requests a second beside Envoy's full chain", 1.4, True, against("full", "rps", GATEWAY_FULL, ENVOY_FULL)),
    Bar("the same by processor time a request", 1.4, True, against("full", "cpu_us", ENVOY_FULL, GATEWAY_FULL)),
    Bar("full chain beside nginx bare", 0.45, True, against("full", "rps", GATEWAY_FULL, NGINX_BARE)),
    Bar("the same by processor time a request", 0.45, True, against("full", "cpu_us", NGINX_BARE, GATEWAY_FULL)),
    Bar("full chain beside Caddy bare", 2.0, True, against("full", "rps", GATEWAY_FULL, CADDY_BARE)),
    Bar("full chain beside ContextForge and LiteLLM", 15.0, True, slowest_rival),
    Bar("added p50 at one connection beside nginx's", 1.3, False, against("full", "added_us", GATEWAY_FULL, NGINX_BARE)),
    Bar("p99 at half load beside Envoy's", 1.5, False, against("tail", "p99_us", GATEWAY_FULL, ENVOY_FULL)),
    Bar("100 MB down beside nginx", 0.5, True, against("transfer", "down_mb_s", GATEWAY_FULL, NGINX_BARE)),
    Bar("100 MB up beside nginx", 0.5, True, against("transfer", "up_mb_s", GATEWAY_FULL, NGINX_BARE)),
    Bar("growth of resident memory meanwhile", 20.0, False, figure("transfer", "growth_mb"), "MB"),
    Bar("an idle client", 15.0, False, figure("idle", "pss_kb"), "KB"),
    Bar("added delay of an event", 0.3, False, figure("events", "added_us", 0.001), "ms"),
    Bar("two workers beside one", 1.7, True, against("workers", "rps", TWO, ONE)),
    Bar("the same with a core each, by processor time", 1.7, True, against("workers", "capacity", TWO, ONE)),
)
