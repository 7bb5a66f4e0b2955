"""Random expressions of the condition language, and what Google's engine (cel-cpp, as cel-expr-python) says to them.

`python -m tests.celfuzz` (`make fuzz-cel`) compares until so many expressions were accepted by both, over two processes that
start anew for every few thousand: the binding of the engine leaks.
"""

import argparse
import logging
import multiprocessing
import random
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from gateway.authz.attributes import POLICIES
from gateway.authz.cel.condition import Condition, clause
from gateway.authz.cel.definitions import define
from gateway.authz.cel.errors import FAULTS, CelError
from tests.asking import a_subject, an_access

NOW = 1_780_000_000
CLAIMS = {
    "org_id": "org_9",
    "auth_time": 1_780_000_000,
    "ratio": 2.5,
    "email_verified": True,
    "nothing": None,
    "tags": ["a", "b", 1, 2.0, True],
    "nested": {"list": [1, 2, 3], "text": "a"},
    "letters": "\u00e9\U0001f600",
    "count": "12",
    "until": "2026-06-01T00:00:00Z",
    "session": "1h30m",
    "big": 9_007_199_254_740_993,
    "words": ["red", "green", "blue"],
    "teams": [{"name": "red", "level": 3}, {"name": "blue", "level": 7}],
}
FACTS: dict[str, Any] = {
    "subject.id": "alice",
    "subject.issuer": "corp",
    "subject.roles": ["member", "viewer"],
    "subject.permissions": ["messages:read"],
    "subject.claims": CLAIMS,
    "resource.params": {"org_id": "org_9", "number": "-7"},
    "resource.path": "/v1/orgs/org_9/messages",
    "request.method": "GET",
    "request.query": {"tag": ["a", "b"]},
    "env.now": datetime.fromtimestamp(NOW, UTC),
}
ATOMS: dict[str, list[str]] = {
    "bool": ["true", "false", "subject.claims.email_verified == true"],
    "int": ["0", "1", "-1", "2", "7", "1780000000", "9223372036854775807", "-9223372036854775808", "size(subject.id)"],
    "double": ["0.0", "2.5", "-1.5", "1e3", "9007199254740992.0", "1e308"],
    "string": [
        *(
            "'GET'",
            "'org_9'",
            "'a'",
            "''",
            "r'\\\\'",
            "'\\u00e9'",
            "'messages:read'",
            "'12'",
            "'-7'",
            "'\\u00a0Ab\\u2003'",
            "'e'",
            "'true'",
        ),
        *("subject.id", "subject.issuer", "resource.params.org_id", "resource.params.nope", "resource.params.number"),
        *("resource.path", "request.method", "request.query.tag[1]"),
    ],
    "dyn": [
        *(f"subject.claims.{name}" for name in [*CLAIMS, "nope"]),
        *("subject.claims.tags[0]", "subject.claims.tags[9]", "subject.claims.nested.text", "subject.claims.nested['list']"),
        *("subject.claims.nested.nope.deeper", "subject.claims.teams[0].level", "[1, 'a', true][0]", "subject.claims.words[1]"),
    ],
    "strings": [
        "subject.roles",
        "subject.permissions",
        "['GET', 'HEAD']",
        "request.query.tag",
        "request.query.nope",
        "[subject.id]",
    ],
    "ints": ["[1, 2, 3]", "[3, 3]", "[subject.claims.auth_time]", "[0]"],
    "map": ["subject.claims", "subject.claims.nested", "{'text': 'a'}", "{'list': [1, 2, 3], 'text': 'a'}"],
    "timestamp": [
        *("env.now", "timestamp('2026-05-28T20:26:40Z')", "timestamp('2009-02-13T23:31:30.123456789Z')", "timestamp(0)"),
        *("timestamp('1945-05-07T02:41:00.5-05:00')", "timestamp(subject.claims.until)", "timestamp(subject.claims.auth_time)"),
    ],
    "duration": [
        *("duration('0s')", "duration('1h30m')", "duration('-1.5s')", "duration('300ms')", "duration(subject.claims.session)"),
        *("duration('1us7ns')", "duration('2400000h')"),
    ],
}
HAS = ["claims.org_id", "claims.nope", "claims.nested.text", "claims.nope.x", "claims.org_id.x", "claims.teams"]
ZONES = ["", "", "'Europe/Berlin'", "'America/St_Johns'", "'Asia/Kathmandu'", "'+02:00'", "'-09:30'", "'UTC'"]
FIELDS = ["FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear", "Hours", "Minutes", "Seconds", "Milliseconds"]
PATTERNS = ["^[a-z_]+[0-9]$", "a|b", "o", "^$", "\\\\d+", "(?i)ORG", "[^a-z]", "\\\\pL{2}", "^/v1/.*/messages$", "(a*)*b"]
KINDS = ["bool", "int", "double", "string", "dyn", "strings", "ints", "map", "timestamp", "duration"]


class Made(NamedTuple):
    """An expression with names of definitions, those definitions, and the same without names."""

    source: str
    definitions: dict[str, str]
    whole: str


class Expressions:
    """A stream of random conditions, most of which have a type."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.bound: list[tuple[str, str]] = []
        self.definitions: dict[str, str] = {}
        self.loops = 0

    def next(self) -> Made:
        """One condition."""
        self.bound, self.definitions, self.loops = [], {}, 0
        source = self.of("bool", self.random.choice([1, 2, 2, 3, 3, 4]))
        whole = source
        for name in reversed(self.definitions):
            whole = whole.replace(name, f"({self.definitions[name]})")
        return Made(source, dict(self.definitions), whole)

    def of(self, kind: str, depth: int, *, exactly: bool = False) -> str:
        """An expression of a type; mostly, unless `exactly`."""
        chance = self.random.random()
        if exactly:
            chance = max(chance, 0.13)
        if chance < 0.02:
            kind = self.random.choice(KINDS)
        elif chance < 0.12 and kind not in ("dyn", "strings", "ints", "map"):
            kind = "dyn"
        bound = [name for name, type in self.bound if type == kind]
        if bound and chance < 0.5:
            return self.random.choice(bound)
        if depth <= 0 or (chance > 0.9 and kind != "bool"):
            return self.random.choice(ATOMS[kind])
        if 0.85 < chance < 0.87 and not self.bound and len(self.definitions) < 2:
            return self.defined(kind, depth)
        make: Callable[[int], str] = getattr(self, f"{kind}_of")
        return make(depth - 1)

    def defined(self, kind: str, depth: int) -> str:
        source = self.of(kind, depth - 1)
        name = f"zz_{len(self.definitions)}_zz"
        self.definitions[name] = source
        return name

    def pick(self, *ways: str) -> str:
        return self.random.choice(ways)

    def bool_of(self, depth: int) -> str:
        of, pick = self.of, self.pick
        match self.random.randrange(14):
            case 0 | 1 | 2:
                return f"({of('bool', depth)} {pick('&&', '||')} {of('bool', depth)})"
            case 3:
                return f"!({of('bool', depth)})"
            case 4 | 5:
                kind = pick(*KINDS)
                return f"({of(kind, depth)} {pick('==', '!=')} {of(kind, depth)})"
            case 6 | 7:
                kind = pick("bool", "int", "double", "string", "dyn", "timestamp", "duration")
                return f"({of(kind, depth)} {pick('<', '<=', '>', '>=')} {of(kind, depth)})"
            case 8:
                return f"({of('string', depth)} in {of(pick('strings', 'map', 'dyn'), depth)})"
            case 9:
                return f"({of(pick('int', 'dyn'), depth)} in {of(pick('ints', 'dyn'), depth)})"
            case 10:
                return f"has(subject.{pick(*HAS)})"
            case 11:
                return f"{of('string', depth)}.{pick('startsWith', 'endsWith', 'contains')}({of('string', depth)})"
            case 12:
                return pick(
                    f"{of('string', depth)}.matches('{pick(*PATTERNS)}')",
                    f"({of('bool', depth)} ? {of('bool', depth)} : {of('bool', depth)})",
                    f"bool({of(pick('string', 'bool'), depth)})",
                )
            case _:
                return self.loop(pick("all", "exists", "exists_one"), "bool", depth)

    def int_of(self, depth: int) -> str:
        of, pick = self.of, self.pick
        match self.random.randrange(7):
            case 0 | 1 | 2:
                return f"({of('int', depth)} {pick(*'+-*/%')} {of('int', depth)})"
            case 3:
                return f"-({of('int', depth)})"
            case 4:
                return f"size({of(pick('string', 'strings', 'ints', 'map', 'dyn'), depth)})"
            case 5:
                return f"int({of(pick('int', 'double', 'string', 'timestamp'), depth, exactly=True)})"
            case _:
                return pick(
                    f"{of('timestamp', depth)}.get{pick(*FIELDS)}({pick(*ZONES)})",
                    f"{of('duration', depth)}.get{pick(*FIELDS[-4:])}()",
                    f"{of('string', depth)}.{pick('indexOf', 'lastIndexOf')}({of('string', depth)})",
                    f"{of('string', depth)}.{pick('indexOf', 'lastIndexOf')}({of('string', depth)}, {of('int', depth)})",
                )

    def double_of(self, depth: int) -> str:
        of, pick = self.of, self.pick
        return pick(
            f"({of('double', depth)} {pick(*'+-*/')} {of('double', depth)})",
            f"-({of('double', depth)})",
            f"double({of(pick('int', 'double', 'string'), depth)})",
        )

    def string_of(self, depth: int) -> str:
        of, pick = self.of, self.pick
        text = of("string", depth)
        return pick(
            f"({text} + {of('string', depth)})",
            f"{text}.{pick('lowerAscii', 'upperAscii', 'trim')}()",
            f"{text}.substring({of('int', depth)})",
            # An end behind the last character is an error for cel-cpp 0.1.3, see test_cel_differential.
            f"{text}.substring({pick('0', '1')}, size({text}) - {pick('1', '2')})",
            f"{text}.replace({of('string', depth)}, {of('string', depth)})",
            f"{text}.replace({of('string', depth)}, {of('string', depth)}, {pick('-1', '0', '1', '2')})",
            f"{text}.charAt({of('int', depth)})",
            f"string({self.surely(depth)})",
            f"({of('bool', depth)} ? {text} : {of('string', depth)})",
            f"{of('strings', depth)}[{pick('0', '1', '5')}]",
            f"{of('strings', depth)}.join({of('string', depth)})",
        )

    def surely(self, depth: int) -> str:
        """Of a type that `string` takes, whatever it is made of: of a double ours has no text, theirs has."""
        of = self.of
        return self.pick(f"({of('int', depth)} + 0)", f"!({of('bool', depth)})", f"({of('string', depth)} + '')")

    def dyn_of(self, depth: int) -> str:
        of, pick = self.of, self.pick
        return pick(
            f"({of('dyn', depth)} {pick(*'+-*/')} {of('dyn', depth)})",
            f"{of('map', depth)}[{of('string', depth)}]",
            f"subject.claims.tags[{of('int', depth)}]",
            f"[{of('dyn', depth)}, {of('int', depth)}][{pick('0', '1')}]",
        )

    def strings_of(self, depth: int) -> str:
        of, pick = self.of, self.pick
        return pick(
            f"({of('strings', depth)} + {of('strings', depth)})",
            f"{of('string', depth)}.split({of('string', depth)})",
            f"{of('string', depth)}.split({of('string', depth)}, {pick('-1', '0', '1', '2')})",
            f"[{of('string', depth)}, {of('string', depth)}]",
            self.loop("map", "string", depth),
            self.loop("filter", "bool", depth, pick("subject.roles", "subject.claims.words", "['a', 'b', 'ab']")),
        )

    def ints_of(self, depth: int) -> str:
        of, pick = self.of, self.pick
        return pick(
            f"({of('ints', depth)} + {of('ints', depth)})",
            f"[{of('int', depth)}, {of('int', depth)}]",
            self.loop("map", "int", depth),
        )

    def map_of(self, depth: int) -> str:
        return f"{{'text': {self.of(self.pick('int', 'string', 'dyn'), depth)}, 'x': {self.of('dyn', depth)}}}"

    def timestamp_of(self, depth: int) -> str:
        of, pick = self.of, self.pick
        return pick(
            f"({of('timestamp', depth)} {pick('+', '-')} {of('duration', depth)})",
            f"({of('duration', depth)} + {of('timestamp', depth)})",
            f"timestamp({pick('int(subject.claims.auth_time)', 'env.now', '-1')})",
        )

    def duration_of(self, depth: int) -> str:
        of, pick = self.of, self.pick
        return pick(
            f"({of('duration', depth)} {pick('+', '-')} {of('duration', depth)})",
            f"({of('timestamp', depth)} - {of('timestamp', depth)})",
        )

    def loop(self, macro: str, result: str, depth: int, over: str = "") -> str:
        """A macro over lists, for those that give a bool over maps too: the order of a map's keys is nobody's."""
        if len(self.bound) >= 2 or self.loops >= 3:
            return self.random.choice(ATOMS[result])
        ranges = {
            "strings": "string",
            "ints": "int",
            "dyn": "dyn",
            **({"map": "string"} if macro in ("all", "exists", "exists_one") else {}),
        }
        kind = self.pick(*ranges)
        over = over or (
            self.pick("subject.claims.tags", "subject.claims.teams", "subject.claims.words")
            if kind == "dyn"
            else self.of(kind, depth - 1)
        )
        name = f"v{len(self.bound)}"
        self.bound.append((name, ranges[kind]))
        self.loops += 1
        body = self.of(result, depth)
        test = f"{self.of('bool', depth - 1)}, " if macro == "map" and self.random.random() < 0.4 else ""
        self.bound.pop()
        return f"{over}.{macro}({name}, {test}{body})"


@cache
def google() -> Any:
    """The reference engine with our names and their types."""
    kind = cel.Type
    strings = kind.List(kind.STRING)
    types = {
        "subject.roles": strings,
        "subject.permissions": strings,
        "subject.claims": kind.Map(kind.STRING, kind.DYN),
        "resource.params": kind.Map(kind.STRING, kind.STRING),
        "request.query": kind.Map(kind.STRING, strings),
        "env.now": kind.TIMESTAMP,
    }
    variables = {name: types.get(name, kind.STRING) for name in FACTS}
    return cel.NewEnv(variables=variables, extensions=[ext_strings.ExtStrings()])


def theirs(source: str) -> str:
    """What Google's engine says: `refused`, `True`, `False` or `error`."""
    try:
        program = google().compile(source)
    except Exception:
        return "refused"
    if program.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        return "refused"
    value = program.eval(data=FACTS)
    return str(value.value()) if value.type() == cel.Type.BOOL else "error"


@cache
def asked() -> tuple[Any, ...]:
    """The same facts as our conditions are asked with."""
    subject = a_subject(id="alice", claims=CLAIMS, roles=("member", "viewer"), permissions=("messages:read",))
    params = FACTS["resource.params"]
    return subject, an_access(query=b"tag=a&tag=b", path="/v1/orgs/org_9/messages", params=params, now=float(NOW))


def ours(made: Made) -> str:
    """What a condition says; where the generated code and the exact walk differ, that."""
    environment, refused = define(made.definitions, POLICIES)
    try:
        if refused:
            return "refused"
        condition = Condition([clause(made.source, environment)])
    except CelError:
        return "refused"
    exact = _outcome(condition.exact)
    fast = _outcome(condition.fast)
    return exact if fast in (exact, "error") else f"fast {fast}, exact {exact}"


def _outcome(ask: Callable[..., Any]) -> str:
    try:
        return str(ask(*asked()))
    except FAULTS:
        return "error"


def compared(seed: int, count: int) -> tuple[Counter[tuple[str, str]], list[tuple[Made, str, str]]]:
    """So many expressions: how often each pair of outcomes was seen, and those that both accept and judge differently."""
    logging.disable(logging.CRITICAL)
    stream = Expressions(seed)
    counts: Counter[tuple[str, str]] = Counter()
    different = []
    for _ in range(count):
        made = stream.next()
        mine, reference = ours(made), theirs(made.whole)
        counts[mine, reference] += 1
        if "refused" not in (mine, reference) and mine != reference:
            different.append((made, mine, reference))
    logging.disable(logging.NOTSET)
    return counts, different


def _task(task: tuple[int, int]) -> tuple[Counter[tuple[str, str]], list[tuple[Made, str, str]]]:
    return compared(*task)


def main() -> int:
    """Compare until `--count` expressions were accepted by both; 1 when one of them was judged differently."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    different: list[tuple[Made, str, str]] = []
    tasks = ((seed, 4_000) for seed in range(options.seed, options.seed + 10_000))
    with multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=1) as pool:
        for found, wrong in pool.imap_unordered(_task, tasks):
            counts.update(found)
            different.extend(wrong)
            if sum(number for pair, number in counts.items() if "refused" not in pair) >= options.count:
                break
        pool.terminate()
    sys.stdout.write(report(counts, different))
    return 1 if different else 0


def report(counts: Counter[tuple[str, str]], different: list[tuple[Made, str, str]]) -> str:
    """The counts for people."""
    both = sum(number for pair, number in counts.items() if "refused" not in pair)
    mine = sum(number for (us, them), number in counts.items() if us == "refused" != them)
    them = sum(number for (us, them), number in counts.items() if them == "refused" != us)
    lines = [
        f"{both} accepted by both, {len(different)} disagreements",
        *(f"{counts[name, name]} agreed: {name}" for name in ("True", "False", "error")),
        f"{mine} refused by us only, {them} by them only, {counts['refused', 'refused']} by both",
        *(f"ours {mine}, theirs {reference}: {made.whole}" for made, mine, reference in different[:20]),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
