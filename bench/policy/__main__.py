"""Policy decisions beside engines of others: the same rules, the same questions, the same answers.

    python -m bench.policy [--rounds 5] [--write docs/explanation/policy-speed.md]

`make bench-policy` installs the others and the compiled gateway first. Rounds are interleaved: each engine asks once before any asks again.
The mean is that of questions asked in a row; beside it each is asked by itself, and the median of its rounds counts.
"""

import argparse
import json
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contenders.place import beneath
from bench.figures import percentile
from bench.machine import Foreign, disturbance, facts
from bench.policy import sets
from bench.policy.page import page

REPOSITORY = Path(__file__).parents[2]
RUN = "import sys, runpy; sys.path.append(sys.argv[1]); runpy.run_module(sys.argv[2], run_name='__main__')"
RIVALS = ("bench.policy.cel", "bench.policy.cedar", "bench.policy.casbin")


@dataclass(frozen=True)
class Measured:
    """Nanoseconds: of one question when they are asked in a row (the median of the rounds), and of each when asked by itself."""

    mean: float
    single: list[float]


@dataclass
class Engine:
    """A process that asks the questions of one job. `mark` tells two of the same module apart."""

    python: Path
    module: str
    mark: str = ""
    process: Any = None
    rounds: list[dict[str, Any]] = field(default_factory=list)
    build: float = 0.0

    def start(self, job: dict[str, Any], stack: ExitStack) -> None:
        command = [str(self.python), "-P", "-c", RUN, str(REPOSITORY), self.module]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        self.process = stack.enter_context(process)
        stack.callback(process.kill)
        self._tell(job)
        self.build = self._told()["build"]

    def ask(self) -> None:
        self._tell("go")
        self.rounds.append(self._told())

    def _tell(self, what: Any) -> None:
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def _told(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.module} ended")
        found: dict[str, Any] = json.loads(line)
        return found


def engines(*, rivals: bool = True) -> list[Engine]:
    """Those that are installed: the gateway compiled and interpreted, then the rivals."""
    release, others = beneath("gateway") / "bin" / "python", beneath("policy") / "bin" / "python"
    found = [Engine(release, "bench.policy.ours", "compiled")] if release.exists() else []
    found.append(Engine(Path(sys.executable), "bench.policy.ours", "interpreted"))
    return found + ([Engine(others, module) for module in RIVALS] if rivals and others.exists() else [])


def measure(job: dict[str, Any], found: list[Engine], rounds: int) -> dict[str, Measured]:
    """By engine, what its questions took. Raises SystemExit where two answers differ."""
    with ExitStack() as stack:
        for engine in found:
            engine.start(job, stack)
        for _ in range(rounds):
            for engine in found:
                engine.ask()
    measured: dict[str, Measured] = {}
    answers: dict[str, list[bool]] = {}
    for engine in found:
        for name in engine.rounds[0]:
            label = f"{name} ({engine.mark})" if engine.mark else name
            several = [one[name]["times"] for one in engine.rounds]
            single = [statistics.median(times) for times in zip(*several, strict=False)]
            measured[label] = Measured(statistics.median(one[name]["mean"] for one in engine.rounds), single)
            answers[label] = engine.rounds[0][name]["answers"]
    compare(answers)
    return measured


def compare(answers: dict[str, list[bool]]) -> None:
    first, *others = answers
    for other in others:
        wrong = sum(mine is not theirs for mine, theirs in zip(answers[first], answers[other], strict=False))
        if wrong:
            raise SystemExit(f"{other} answers {wrong} of {len(answers[other])} questions unlike {first}")


def figures(measured: dict[str, Measured]) -> list[dict[str, Any]]:
    """A row an engine, in microseconds; the ratio is over the questions that both were asked, one by one."""
    first = next(iter(measured.values()))
    rows = []
    for name, found in measured.items():
        times = found.single
        rows.append(
            {
                "engine": name,
                "questions": len(times),
                "mean": found.mean / 1000,
                "single": statistics.fmean(times) / 1000,
                "p50": percentile(times, 0.5) / 1000,
                "p99": percentile(times, 0.99) / 1000,
                "ratio": statistics.fmean(times) / max(1.0, statistics.fmean(first.single[: len(times)])),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.policy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="a round of one engine at most")
    parser.add_argument("--only", default="", help="sets whose title contains this")
    parser.add_argument("--ours", action="store_true", help="without the others")
    parser.add_argument("--write", type=Path, help="also write the page to this file")
    options = parser.parse_args()
    known, foreign = facts(), Foreign.begin()
    tables: dict[str, list[dict[str, Any]]] = {}
    for title, count, routes in (*sets.SIZES, *sets.CROWDED):
        if options.only in title:
            job = {"rules": sets.rules(count, routes), "questions": sets.questions(routes, 3000), "seconds": options.seconds}
            tables[title] = figures(measure(job, engines(rivals=not options.ours), options.rounds))
    job = {"condition": True, "questions": sets.questions(200, 3000), "seconds": options.seconds}
    found = [engine for engine in engines(rivals=not options.ours) if engine.module not in RIVALS[1:]]
    tables["A condition of four terms"] = figures(measure(job, found, options.rounds))
    known |= {"processor time taken by others": disturbance(foreign.share())}
    text = page(tables, known)
    print(text)
    if options.write is not None:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
