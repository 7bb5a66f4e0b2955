"""Which questions two sets of policies answer differently: those of the audit trail, or those of the policies' own cases."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.authz import cases
from gateway.authz.easing import Demands, demands, easing
from gateway.authz.model import Case, Subject
from gateway.authz.recorded import Recorded, recorded
from gateway.authz.replay import Answer, Side, Verdict, compare, held
from gateway.authz.residual import atoms
from gateway.core.errors import GatewayError

EXAMPLES: Final = 5
KEPT: Final = 10_000
"""Different keys that are counted apart; what comes later is counted together."""
OTHERS: Final = "(others)"


@dataclass(slots=True)
class Tally:
    """How often each of many was seen, in bounded memory."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, key: str) -> None:
        if key not in self.counts and len(self.counts) >= KEPT:
            key = OTHERS
        self.counts[key] = self.counts.get(key, 0) + 1

    def most(self, number: int) -> list[tuple[str, int]]:
        """The most frequent, alike ones by name."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))[:number]


@dataclass(slots=True)
class Group:
    """Questions with the same change: how many, whose, and a few by name."""

    count: int = 0
    principals: Tally = field(default_factory=Tally)
    examples: list[str] = field(default_factory=list)

    def add(self, who: str, example: str) -> None:
        self.count += 1
        self.principals.add(who)
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)


@dataclass(slots=True)
class Difference:
    """What came out. `changes` are keyed by the words for the old and the new answer, `undecided` by rule and what it reads.

    `eased` are allows of both sides that demand something else; the words for the new one say what.
    """

    asked: int = 0
    same: int = 0
    eased: dict[tuple[str, str], Group] = field(default_factory=dict)
    changes: dict[tuple[str, str], Group] = field(default_factory=dict)
    undecided: dict[tuple[str, str], Group] = field(default_factory=dict)
    principals: Tally = field(default_factory=Tally)
    undecidable: int = 0
    contradicting: int = 0
    foreign: int = 0
    without_decision: int = 0
    first: str = ""
    last: str = ""

    @property
    def changed(self) -> int:
        return sum(group.count for group in self.changes.values())

    @property
    def easing(self) -> int:
        """How many are allowed as before, with other demands."""
        return sum(group.count for group in self.eased.values())


def replayed(events: Iterable[Mapping[str, Any]], old: Side, new: Side) -> Difference:
    """Ask both sides what the trail recorded."""
    found = Difference()
    for fields in events:
        event = recorded(fields)
        if event is None:
            found.without_decision += 1
        else:
            _compared(event, old, new, found)
    return found


def _compared(event: Recorded, old: Side, new: Side, found: Difference) -> None:
    try:
        before = old.lines(event, held(old, event))
        after = new.lines(event, held(new, event, old))
    except KeyError:
        found.foreign += 1
        return
    found.asked += 1
    found.first, found.last = found.first or event.stamp, event.stamp
    verdict = compare(before, after, Answer(event.allowed, event.rule))
    found.contradicting += verdict.contradicts
    if verdict.changes is None or (not verdict.changes and verdict.easing is None):
        found.undecidable += 1
        for line in dict.fromkeys((*before, *after)):
            reads = sorted({name for atom in atoms(line.formula) for name in atom.reads})
            if reads:
                _group(found.undecided, (line.name, ", ".join(reads))).add(event.who, event.id)
    elif verdict.changes:
        _group(found.changes, _words(verdict)).add(event.who, event.id)
        found.principals.add(event.who)
    elif verdict.easing:
        one, other = _words(verdict)
        _group(found.eased, (one, f"{other}, {verdict.easing}")).add(event.who, event.id)
    else:
        found.same += 1


def in_cases(old: Side, new: Side, match_old: cases.Match, match_new: cases.Match) -> Difference:
    """Ask both sides what the cases of either ask, each question once."""
    found = Difference()
    for name, subject, case in _questions(old, new):
        found.asked += 1
        one, other = (_answered(side, match, name, subject, case) for side, match in ((old, match_old), (new, match_new)))
        example = case.name or case.request
        if one.words.partition(" by ")[0] != other.words.partition(" by ")[0]:
            _group(found.changes, (one.words, other.words)).add(name, example)
            found.principals.add(name)
        elif eased := easing([one.demands], [other.demands]):
            _group(found.eased, (one.words, f"{other.words}, {eased}")).add(name, example)
        else:
            found.same += 1
    return found


def _questions(old: Side, new: Side) -> Iterator[tuple[str, Subject, Case]]:
    asked: set[tuple[str, str]] = set()
    for side in (new, old):
        for loaded in side.documents.tests:
            for case in loaded.model.cases:
                question = case.model_dump_json(exclude={"name", "expect", "rule", "then", "response", "sees"})
                for name, subject in loaded.model.subjects.items():
                    key = (question, subject.model_dump_json() + name)
                    if key not in asked:
                        asked.add(key)
                        yield name, subject, case


@dataclass(frozen=True, slots=True)
class Said:
    """An answer in words: its effect, and by what; and what an allow demands."""

    words: str
    demands: Demands = ()


def _answered(side: Side, match: cases.Match, name: str, subject: Subject, case: Case) -> Said:
    try:
        access = cases.access_request(case, side.policies, match)
        if access is None:
            return Said("no route")
        principal = side.policies.grant.at(cases.identity(name, subject), access.now)
        decision = side.policies.route(access.route).decide(principal, access)
    except GatewayError as error:
        return Said(f"refused before any rule ({error.reason})")
    return Said(words(Answer(decision.allowed, decision.rule)), demands(decision.obligations, side.policies.limits))


def words(answer: Answer) -> str:
    """An answer, for people."""
    if answer.rule is None:
        return "deny by default"
    return f"{'allow' if answer.allowed else 'deny'} by {answer.rule}"


def _words(verdict: Verdict) -> tuple[str, str]:
    one, other = (" or ".join(sorted(map(words, answers))) for answers in (verdict.old, verdict.new))
    return one, other


def _group(groups: dict[tuple[str, str], Group], key: tuple[str, str]) -> Group:
    if key not in groups and len(groups) >= KEPT:
        key = (OTHERS, OTHERS)
    return groups.setdefault(key, Group())
