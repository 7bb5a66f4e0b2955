"""The condition language against Google's engine (cel-cpp, as cel-expr-python): random expressions, equal outcomes.

LATCHGATE_CEL_EXPRESSIONS says how many (3,000 unless told), LATCHGATE_CEL_SEED where the randomness begins.
"""

import logging
import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from cel_expr_python import cel

from gateway.authz.attributes import POLICIES
from gateway.authz.cel.condition import Condition, clause
from gateway.authz.cel.errors import FAULTS, CelError
from tests.asking import a_subject, an_access

EXPRESSIONS = int(os.environ.get("LATCHGATE_CEL_EXPRESSIONS", "3000"))
SEED = int(os.environ.get("LATCHGATE_CEL_SEED", "1"))

CLAIMS = {
    "org_id": "org_9",
    "auth_time": 1_780_000_000,
    "ratio": 2.5,
    "email_verified": True,
    "nothing": None,
    "tags": ["a", "b", 1, 2.0, True],
    "nested": {"list": [1, 2, 3], "text": "a"},
    "letters": "\u00e9\U0001f600",
}
FACTS = {
    "subject.id": "alice",
    "subject.issuer": "corp",
    "subject.roles": ["member", "viewer"],
    "subject.permissions": ["messages:read"],
    "subject.claims": CLAIMS,
    "resource.params": {"org_id": "org_9"},
    "resource.path": "/v1/orgs/org_9/messages",
    "request.method": "GET",
    "request.query": {"tag": ["a", "b"]},
}
STRINGS = ["'GET'", "'org_9'", "'member'", "'a'", "''", "r'\\'", "'\\u00e9'", "'messages:read'"]
ATOMS = [
    "subject.id",
    "subject.issuer",
    "subject.roles",
    "subject.permissions",
    "subject.claims",
    "subject.claims.org_id",
    "subject.claims.nope",
    "subject.claims.auth_time",
    "subject.claims.ratio",
    "subject.claims.email_verified",
    "subject.claims.nothing",
    "subject.claims.tags",
    "subject.claims.tags[0]",
    "subject.claims.tags[9]",
    "subject.claims.nested",
    "subject.claims.nested.list",
    "subject.claims.nested['text']",
    "subject.claims.nested.nope.deeper",
    "subject.claims.letters",
    "resource.params.org_id",
    "resource.params.nope",
    "resource.params['org_id']",
    "resource.path",
    "request.method",
    "request.query.tag",
    "request.query.tag[1]",
    "request.query.nope",
    "1",
    "-1",
    "1780000000",
    "2.5",
    "1e3",
    "true",
    "false",
    "null",
    "['GET', 'HEAD']",
    "[1, 2]",
    "[1, 'a', true]",
    "[subject.id, 'b']",
    "{'text': 'a'}",
    "{'list': [1, 2, 3], 'text': 'a'}",
    "[]",
]
HAS = [
    "subject.claims.org_id",
    "subject.claims.nope",
    "subject.claims.nested.text",
    "subject.claims.nope.x",
    "resource.params.q",
    "subject.claims.org_id.x",
]


class Expressions:
    """A stream of random expressions, about half of which have a type."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def __iter__(self) -> Iterator[str]:
        while True:
            yield self.made(self.random.choice([1, 2, 3]))

    def made(self, depth: int) -> str:
        choose, chance = self.random.choice, self.random.random()
        if depth <= 0 or chance < 0.05:
            return choose([*ATOMS, *STRINGS])
        if chance < 0.33:
            return f"({self.made(depth - 1)} {choose(['==', '!=', '<', '<=', '>', '>=', 'in', 'in'])} {self.made(depth - 2)})"
        if chance < 0.66:
            return f"({self.made(depth - 1)} {choose(['&&', '||'])} {self.made(depth - 1)})"
        if chance < 0.74:
            return f"!({self.made(depth - 1)})"
        if chance < 0.79:
            return f"({self.made(depth - 1)} ? {self.made(depth - 1)} : {self.made(depth - 1)})"
        if chance < 0.84:
            return f"has({choose(HAS)})"
        if chance < 0.93:
            return f"{self.made(depth - 2)}.{choose(['startsWith', 'endsWith', 'contains'])}({self.made(depth - 2)})"
        return f"size({self.made(depth - 2)}) {choose(['>', '==', '<='])} {choose([0, 1, 2, 5])}"


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
    }
    return cel.NewEnv(variables={name: types.get(name, kind.STRING) for name in FACTS})


def theirs(engine: Any, source: str) -> str:
    try:
        program = engine.compile(source)
    except Exception:
        return "refused"
    if program.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        return "refused"
    value = program.eval(data=FACTS)
    return str(value.value()) if value.type() == cel.Type.BOOL else "error"


def ours(source: str, arguments: tuple[Any, ...]) -> str:
    try:
        condition = Condition([clause(source, POLICIES)])
    except CelError:
        return "refused"
    try:
        return str(condition.test(*arguments))
    except FAULTS:
        return "error"


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[str, str]]:
    logging.disable(logging.CRITICAL)
    subject = a_subject(id="alice", claims=CLAIMS, roles=("member", "viewer"), permissions=("messages:read",))
    access = an_access(query=b"tag=a&tag=b", path="/v1/orgs/org_9/messages")
    engine = google()
    found: dict[str, tuple[str, str]] = {}
    for _, source in zip(range(EXPRESSIONS), Expressions(SEED), strict=False):
        found[source] = (ours(source, (subject, access)), theirs(engine, source))
    logging.disable(logging.NOTSET)
    return found


def test_what_both_accept_has_the_same_outcome(outcomes: dict[str, tuple[str, str]]) -> None:
    different = {source: pair for source, pair in outcomes.items() if "refused" not in pair and pair[0] != pair[1]}
    assert different == {}


def test_nothing_is_accepted_that_the_reference_refuses(outcomes: dict[str, tuple[str, str]]) -> None:
    # The reference gives `c ? dyn : string` the type string; here it stays dyn and is checked while evaluating.
    plain = {source: pair for source, pair in outcomes.items() if "?" not in source}
    assert [source for source, (mine, reference) in plain.items() if reference == "refused" and mine != "refused"] == []


def test_enough_expressions_were_compared(outcomes: dict[str, tuple[str, str]]) -> None:
    counts = Counter(outcomes.values())
    assert counts["True", "True"] > EXPRESSIONS / 100
    assert counts["False", "False"] > EXPRESSIONS / 100
    assert counts["error", "error"] > EXPRESSIONS / 100
