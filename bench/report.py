"""What a reader sees: the machine, a table a scenario, the bars, what was left out and why. Markdown, for the terminal too."""

from collections.abc import Iterable, Mapping, Sequence

from bench.arena import Entry
from bench.bars import BARS
from bench.figures import median, ratio, spread
from bench.process import NotStarted
from bench.scenarios.scenario import Column, Run, Scenario

HEAD = """# How fast it is, beside other proxies

`make bench` writes this page; nobody edits it. [How to measure](../how-to/measure.md) says what is measured, how to run it on your own
machine, and how not to read the figures. Ratios are taken round by round, on one machine in one run, and their median is shown: they travel
between machines far better than requests a second do. The contender under test has one core to itself, the load and the upstreams have another
(two others on machines of four cores or more).
"""


def page(run: Run, scenarios: Sequence[Scenario], facts: Mapping[str, str]) -> str:
    """The whole page."""
    parts = [HEAD, "## The run\n", settings(run, facts), "## What the project asks of itself\n", bars(run)]
    for scenario in scenarios:
        parts += [f"## {scenario.title}\n", scenario.text + "\n", table(run, scenario), left_out(run, scenario)]
    parts += ["## What must be known to compare\n", notes(run)] if notes(run) else []
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def settings(run: Run, facts: Mapping[str, str]) -> str:
    rounds = {"rounds": str(run.rounds), "seconds a measurement": f"{run.seconds:g}"}
    return rows(["fact", "value"], [[name, value] for name, value in (dict(facts) | rounds | versions(run)).items()])


def versions(run: Run) -> dict[str, str]:
    """The versions of those that took part."""
    found = {}
    for entry in (entry for entries in run.found.values() for entry in entries):
        try:
            found[entry.contender.name] = entry.contender.version()
        except (NotStarted, OSError):
            continue
    return {name: version for name, version in found.items() if version}


def table(run: Run, scenario: Scenario) -> str:
    """Medians, with the widest deviation where a column has ratios, and the ratios."""
    titles = [""]
    for column in scenario.columns:
        titles += [column.title, *(ratio_titles(scenario) if column.ratios else ())]
    entries = run.found.get(scenario.name, {})
    return rows(titles, [[entry.label, *cells(run, scenario, entry)] for entry in entries])


def ratio_titles(scenario: Scenario) -> list[str]:
    return [f"× {entry.label}" for entry in dict.fromkeys(scenario.reference)]


def cells(run: Run, scenario: Scenario, entry: Entry) -> Iterable[str]:
    samples = run.samples(scenario.name, entry)
    for column in scenario.columns:
        yield figure(samples, column)
        if column.ratios:
            for other in dict.fromkeys(scenario.reference):
                found = ratio(samples, run.samples(scenario.name, other), column.figure)
                yield "" if found is None else f"{found:.2f}"


def figure(samples: Sequence[Mapping[str, float]], column: Column) -> str:
    plain = [dict(sample) for sample in samples]
    value = median(plain, column.figure)
    if value is None:
        return ""
    around = spread(plain, column.figure) if column.ratios else None
    return format(value, column.form) + (f" ±{around:.0%}" if around is not None else "")


def bars(run: Run) -> str:
    found = []
    for bar in BARS:
        measured, verdict = bar.verdict(run)
        found.append([bar.text, f"{'≥' if bar.at_least else '≤'} {bar.bound:g} {bar.unit}", measured, verdict])
    return rows(["", "asked", "measured", ""], found)


def left_out(run: Run, scenario: Scenario) -> str:
    """Who has no figures here, and why."""
    return "".join(f"- left out: {entry.label}: {reason}\n" for entry, reason in run.failures.get(scenario.name, {}).items())


def notes(run: Run) -> str:
    """What must be known to compare those who took part."""
    known = {entry.contender.note: None for entries in run.found.values() for entry in entries if entry.contender.note}
    return "".join(f"- {note}\n" for note in known)


def rows(titles: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] + ["---:"] * (len(titles) - 1), *body]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
