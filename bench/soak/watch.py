"""What the gateway uses while it soaks: sampled, and judged for growth after warm-up."""

import contextlib
import http.client
import re
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from bench.process import kilobytes, tree

EVERY = 3.0
WARM_UP = 0.2
"""The share of the soak that is not judged."""
WARM_UP_LEAST = 60.0
"""Seconds that are not judged at least: as long an idle upstream connection is kept, and before none of them is given up."""
NAMES = ("resident MiB", "descriptors", "threads", "loop delay ms")
SLACK = ((1.05, 8.0), (1.10, 40.0), (1.0, 3.0), (3.0, 50.0))
"""For each: the median of the last quarter may be the first quarter's median times the first, plus the second."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look, `at` seconds on the monotonic clock. The delay is how long the admin port took to say it lives."""

    at: float
    resident: float
    descriptors: float
    threads: float
    delay: float

    @property
    def figures(self) -> tuple[float, ...]:
        return astuple(self)[1:]


def look(pid: int, admin: int) -> Sample:
    """All processes of the gateway together. A port that does not answer within ten seconds counts as that long."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=10)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/livez")
        connection.getresponse().read()
    delay = (time.monotonic() - begun) * 1000
    return Sample(begun, kilobytes(pid, "VmRSS") / 1024, descriptors(pid), threads(pid), delay)


def descriptors(pid: int) -> int:
    total = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            total += len(list(Path(f"/proc/{each}/fd").iterdir()))
    return total


def threads(pid: int) -> int:
    total = 0
    for each in tree(pid):
        with contextlib.suppress(OSError):
            found = re.search(r"^Threads:\s+(\d+)", Path(f"/proc/{each}/status").read_text(), re.MULTILINE)
            total += int(found[1]) if found else 0
    return total


class Watch:
    """Samples in a thread of its own, so that busy clients do not count as the gateway's delay more than they must."""

    def __init__(self, pid: int, admin: int) -> None:
        self.samples: list[Sample] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(pid, admin), daemon=True)
        self._thread.start()

    def _run(self, pid: int, admin: int) -> None:
        while not self._stop.wait(EVERY):
            self.samples.append(look(pid, admin))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)


def warm(samples: Sequence[Sample]) -> Sequence[Sample]:
    """The samples that are judged."""
    begun = samples[0].at if samples else 0.0
    return [each for each in samples[int(len(samples) * WARM_UP) :] if each.at - begun >= WARM_UP_LEAST]


def slope(samples: Sequence[Sample], figure: int) -> float:
    """By least squares, an hour; 0 for fewer than two samples."""
    if len(samples) < 2:
        return 0.0
    line = statistics.linear_regression([each.at for each in samples], [each.figures[figure] for each in samples])
    return line.slope * 3600


def table(samples: Sequence[Sample]) -> list[str]:
    """First, last and maximum after warm-up, and the slope; a line a figure."""
    rows = [f"{'after warm-up':<16}{'first':>10}{'last':>10}{'max':>10}{'per hour':>12}"]
    for place, name in enumerate(NAMES if samples else ()):
        values = [each.figures[place] for each in samples]
        rows.append(f"{name:<16}{values[0]:>10.1f}{values[-1]:>10.1f}{max(values):>10.1f}{slope(samples, place):>12.1f}")
    return rows


def growth(samples: Sequence[Sample]) -> list[str]:
    """What grew beyond its slack between the first and the last quarter; nothing for fewer than eight samples."""
    quarter = len(samples) // 4
    if quarter < 2:
        return []
    found = []
    for place, (name, (factor, more)) in enumerate(zip(NAMES, SLACK, strict=True)):
        first = statistics.median(each.figures[place] for each in samples[:quarter])
        last = statistics.median(each.figures[place] for each in samples[-quarter:])
        if last > first * factor + more:
            found.append(f"{name} grew from {first:.1f} to {last:.1f}")
    return found
