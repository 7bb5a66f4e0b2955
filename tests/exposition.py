"""A strict reader of the Prometheus text exposition format 0.0.4: refuses what a lenient scraper lets pass."""

import re
from dataclasses import dataclass, field

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|Inf)|NaN")
SUFFIXES = ("_bucket", "_sum", "_count")


@dataclass
class Scraped:
    """One metric family as read back: samples by sample name and label set."""

    type: str
    help: str
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)


def labels_of(text: str) -> frozenset[tuple[str, str]]:
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        pair = LABEL.match(text, position)
        assert pair, f"malformed labels: {text}"
        assert pair[1] not in found, f"repeated label: {text}"
        found[pair[1]] = re.sub(r"\\(.)", lambda escape: "\n" if escape[1] == "n" else escape[1], pair[2])
        position = pair.end()
        if position < len(text):
            assert text[position] == ",", f"malformed labels: {text}"
            position += 1
            assert position < len(text), f"dangling comma: {text}"
    return frozenset(found.items())


def parse(exposition: bytes) -> dict[str, Scraped]:
    """Families by name. Asserts order (HELP, TYPE, samples), uniqueness, and that histograms add up."""
    text = exposition.decode("utf-8")
    assert text.endswith("\n")
    families: dict[str, Scraped] = {}
    current, awaiting_type = "", False
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            current, _, about = line[7:].partition(" ")
            assert NAME.fullmatch(current)
            assert current not in families, f"{current} is told twice"
            families[current] = Scraped("", about)
            awaiting_type = True
        elif line.startswith("# TYPE "):
            name, _, type = line[7:].partition(" ")
            assert awaiting_type
            assert name == current
            assert type in {"counter", "gauge", "histogram"}
            families[name].type = type
            awaiting_type = False
        else:
            assert not awaiting_type
            sample = re.fullmatch(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)", line)
            assert sample, f"malformed sample: {line!r}"
            family = families[current]
            allowed = {current + suffix for suffix in SUFFIXES} if family.type == "histogram" else {current}
            assert sample[1] in allowed, f"{sample[1]} stands under {current}"
            assert NUMBER.fullmatch(sample[3]), f"malformed number: {line!r}"
            key = sample[1], labels_of(sample[2] or "")
            assert key not in family.samples, f"repeated sample: {line!r}"
            family.samples[key] = float(sample[3])
    for name, family in families.items():
        if family.type == "histogram":
            check_histogram(name, family)
        if family.type == "counter":
            assert name.endswith("_total")
            assert all(value >= 0 for value in family.samples.values())
    return families


def check_histogram(name: str, family: Scraped) -> None:
    """Buckets grow with `le`, the last is +Inf and equals the count."""
    buckets: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
    for (sample, labels), value in family.samples.items():
        if sample == f"{name}_bucket":
            end = dict(labels)["le"]
            rest = frozenset(pair for pair in labels if pair[0] != "le")
            buckets.setdefault(rest, []).append((float(end.replace("+Inf", "inf")), value))
    counts = {labels: value for (sample, labels), value in family.samples.items() if sample == f"{name}_count"}
    assert counts.keys() == buckets.keys()
    for rest, found in buckets.items():
        assert found == sorted(found), f"{name} has buckets out of order"
        assert [value for _, value in found] == sorted(value for _, value in found)
        assert found[-1] == (float("inf"), counts[rest])
        assert (f"{name}_sum", rest) in family.samples
