"""What a reader sees: what was asked of whom, a table a set, and what the project asks of itself. Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.policy.sets import CONDITION
from bench.report import rows

HEAD = """# What a policy decision costs

`make bench-policy` writes this page; nobody edits it. The same rules and questions are given to the gateway (the compiled wheel, and
the same sources interpreted), to Google's CEL engine (cel-expr-python), to Cedar (cedarpy) and to Casbin (pycasbin), each in a process and an
environment of its own; a run ends without a page where an answer differs.

A tenth of the rules deny, the others allow with a permission, and most conditions are different ones. Fifty subjects ask 3,000 questions; the
slow engines as many of them as fit into a second. Rounds are interleaved. "mean" is the time of all questions asked in a row, divided by their
number; of the rounds the median counts. For the other columns each question is asked by itself between two looks at the clock, which alone make a
short answer dearer (caches and branch predictors are then the clock's too): of every question the median of its rounds counts, mean ("single") and
percentiles are over the questions. All are microseconds, less what the clock and a call of nothing cost. What each engine must make of Python's
values for a question is part of its time, since an application pays for it; what the gateway reads is what its request path has at hand.

A condition stands beside the same as a function written by hand in Python, which is what the least of it costs here.
CEL knows conditions, not rules: "index" finds the rules to ask by route and method as the gateway does, "loop" looks at all of them.
"""
BARS = (
    ("mean at 1,000 rules", "1,000 rules, 200 routes", 1.0),
    ("mean at 10,000 rules", "10,000 rules, 2,000 routes", 2.0),
    ("mean at 10,000 rules on 100 routes", "10,000 rules, 100 routes", 2.0),
    ("mean of a condition of four terms", "A condition of four terms", 0.5),
)
Table = Sequence[Mapping[str, Any]]


def page(tables: Mapping[str, Table], known: Mapping[str, str]) -> str:
    parts = [HEAD, "## The run\n", rows(["fact", "value"], [[name, value] for name, value in known.items()])]
    parts += ["## What the project asks of itself\n", bars(tables)]
    for title, table in tables.items():
        parts += [f"## {title}\n", *([f"`{CONDITION}`\n"] if title.startswith("A condition") else []), shown(table)]
    return "\n".join(parts).rstrip() + "\n"


def bars(tables: Mapping[str, Table]) -> str:
    found = []
    for text, title, bound in BARS:
        for row in tables.get(title, ()):
            if row["engine"].startswith("ours"):
                verdict = "holds" if row["mean"] <= bound else "missed"
                found.append([f"{text}, {row['engine']}", f"≤ {bound:g} µs", f"{row['mean']:.2f} µs", verdict])
    return rows(["", "asked", "measured", ""], found)


def shown(table: Table) -> str:
    titles = ["", "questions", "mean µs", "single µs", "p50 µs", "p99 µs", "× ours"]
    body = [
        [
            row["engine"],
            f"{row['questions']:,}",
            *(f"{row[name]:,.2f}" for name in ("mean", "single", "p50", "p99")),
            f"{row['ratio']:,.1f}",
        ]
        for row in table
    ]
    return rows(titles, body)
