"""Rounds: every contender is measured once before any is measured again, so that what disturbs the machine disturbs all alike."""

import contextlib
import subprocess
import sys
from collections.abc import Sequence

from bench.arena import Arena, Entry, Instance
from bench.figures import Sample
from bench.load import Unclean
from bench.process import NotStarted
from bench.scenarios.scenario import UPSTREAM, Run, Scenario

FAILURES = (Unclean, NotStarted, OSError, subprocess.TimeoutExpired)


def play(run: Run, scenarios: Sequence[Scenario]) -> None:
    """Measure them all; contenders stop when no later scenario needs them."""
    for number, scenario in enumerate(scenarios):
        print(f"{scenario.name}: {scenario.title} …", file=sys.stderr, flush=True)
        rounds(run, scenario)
        run.arena.keep(entry for later in scenarios[number + 1 :] if not later.fresh for entry in later.entries)


def rounds(run: Run, scenario: Scenario) -> None:
    """All rounds of one scenario, after one that is not counted for those that have not worked yet."""
    entries = run.found.setdefault(scenario.name, {})
    failures = run.failures.setdefault(scenario.name, {})
    entries |= {entry: [] for entry in scenario.entries}
    cold = [entry for entry in scenario.entries if not scenario.fresh and entry not in run.warm]
    turn(run, scenario, cold, min(1.0, run.seconds))
    run.warm.update(cold)
    for _ in range(1 if scenario.fresh and run.quick else run.rounds):
        found = turn(run, scenario, [entry for entry in scenario.entries if entry not in failures], run.seconds)
        for entry, sample in differences(scenario, found).items():
            entries[entry].append(sample)


def turn(run: Run, scenario: Scenario, entries: Sequence[Entry], seconds: float) -> dict[Entry, Sample]:
    """One measurement of each; who fails is left out of the scenario from then on."""
    found = {}
    for entry in entries:
        try:
            found[entry] = once(run, scenario, entry, seconds)
        except FAILURES as error:
            run.failures[scenario.name][entry] = str(error) or type(error).__name__
            run.found[scenario.name].pop(entry)
    return found


def once(run: Run, scenario: Scenario, entry: Entry, seconds: float) -> Sample:
    """One measurement of one entry. Raises one of FAILURES."""
    with contextlib.ExitStack() as stack:
        return scenario.measure(standing(run.arena, scenario, entry, stack), run, max(seconds, entry.contender.least))


def standing(arena: Arena, scenario: Scenario, entry: Entry, stack: contextlib.ExitStack) -> Instance:
    if scenario.fresh:
        return stack.enter_context(arena.fresh(entry))
    instance = arena.get(entry)
    if instance is None:
        raise NotStarted(arena.failures[entry])
    return instance


def differences(scenario: Scenario, found: dict[Entry, Sample]) -> dict[Entry, Sample]:
    """The samples of a round, with what each contender adds to the upstream's own figures."""
    own = found.get(UPSTREAM)
    if own is None:
        return found
    added = {entry: {new: sample[name] - own[name] for name, new in scenario.added} for entry, sample in found.items()}
    return {entry: sample | (added[entry] if entry != UPSTREAM else {}) for entry, sample in found.items()}
