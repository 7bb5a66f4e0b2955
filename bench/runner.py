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
    entries = run.found.setdefault(scenario.name, {})
    failures = run.failures.setdefault(scenario.name, {})
    entries |= {entry: [] for entry in scenario.entries}
    for turn in range(-1 if not scenario.fresh else 0, run.rounds):
        found: dict[Entry, Sample] = {}
        for entry in [entry for entry in scenario.entries if entry not in failures]:
            try:
                found[entry] = once(run, scenario, entry, run.seconds if turn >= 0 else min(1.0, run.seconds))
            except FAILURES as error:
                failures[entry] = str(error) or type(error).__name__
                entries.pop(entry)
        if turn >= 0:
            for entry, sample in differences(scenario, found).items():
                entries[entry].append(sample)


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
