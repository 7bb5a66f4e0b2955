"""The accounting of a soak: which answers were given, which faults excuse a failed one, and whether the audit trail says the same."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

FAULTY = frozenset({502, 503, 504})
"""What a request may be answered with while an upstream is down, beside what it is answered otherwise."""
TOLD = 40
"""Complaints that are kept word by word; further ones are counted."""


@dataclass(slots=True)
class Faults:
    """When upstreams were down, by the monotonic clock. `grace` seconds after its end a fault still excuses."""

    grace: float
    open: int = 0
    _since: float = 0.0
    _spans: list[tuple[float, float]] = field(default_factory=list)

    def begin(self, now: float) -> None:
        if not self.open:
            self._since = now
        self.open += 1

    def end(self, now: float) -> None:
        self.open -= 1
        if not self.open:
            self._spans.append((self._since, now + self.grace))

    def excuse(self, begun: float, ended: float) -> bool:
        """Whether any of that time lies in a fault or its grace."""
        if self.open and ended >= self._since:
            return True
        return any(since <= ended and begun <= until for since, until in self._spans)


@dataclass(slots=True)
class Ledger:
    """What clients saw. `answers` holds the status by request id."""

    faults: Faults
    answers: dict[str, int] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)

    def answered(self, kind: str, request: str | None, status: int) -> None:
        """An answer's head came. One without a request id, or with that of another answer, is wrong."""
        self.kinds[f"{kind} {status}"] += 1
        if request is None:
            self.complain(kind, f"{status} without X-Request-Id")
        elif request in self.answers:
            self.complain(kind, f"{status} has the request id of another answer: {request}")
        else:
            self.answers[request] = status

    def complain(self, kind: str, what: str) -> None:
        self.wrong[kind] += 1
        if len(self.told) < TOLD:
            self.told.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {kind}: {what}")

    def judge(self, kind: str, found: int | None, allowed: frozenset[int], begun: float, *, request: str | None = None) -> bool:
        """Whether an answer is one whose body must be right: neither refused by a fault, nor cut off (None), nor wrong."""
        if found in allowed:
            return True
        ended = time.monotonic()
        if (found is None or found in FAULTY) and self.faults.excuse(begun, ended):
            self.kinds[f"{kind} excused"] += 1
            return False
        said = "broke off" if found is None else f"answered {found}"
        self.complain(kind, f"{said} after {ended - begun:.2f} s without a fault ({request or 'no id'})")
        return False


def trail(path: Path) -> Iterator[bytes]:
    """Every line of an audit file and its rotated predecessors, oldest first, with its line end."""
    rotated = [each for each in path.parent.glob(f"{path.name}.*") if each.suffix[1:].isdigit()]
    for each in [*sorted(rotated, key=lambda file: -int(file.suffix[1:])), path]:
        with each.open("rb") as file:
            yield from file


@dataclass(slots=True)
class Audited:
    """What the audit trail says, and what is wrong with it."""

    lines: int = 0
    events: Counter[str] = field(default_factory=Counter)
    statuses: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read(lines: Iterable[bytes]) -> Audited:
    """Parse the trail; a line that is no JSON object or not whole, and a second line of one request, are problems."""
    found = Audited()
    for line in lines:
        found.lines += 1
        try:
            event = json.loads(line)
            name = event["event"]
        except (ValueError, KeyError, TypeError):
            found.problems.append(f"line {found.lines} is no event: {line[:80]!r}")
            continue
        if not line.endswith(b"\n"):
            found.problems.append(f"line {found.lines} is not whole: {line[-80:]!r}")
        found.events[name] += 1
        if name == "request":
            if event["request_id"] in found.statuses:
                found.problems.append(f"two lines for {event['request_id']}")
            found.statuses[event["request_id"]] = event["status"]
    return found


def differences(answers: dict[str, int], audited: dict[str, int]) -> list[str]:
    """Answers without a line, and lines that tell another status."""
    lost = [f"no audit line for {request} ({status})" for request, status in answers.items() if request not in audited]
    other = [
        f"{request} was answered {status} and audited {audited[request]}"
        for request, status in answers.items()
        if request in audited and audited[request] != status
    ]
    return lost + other
