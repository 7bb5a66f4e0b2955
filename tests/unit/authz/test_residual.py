"""What is left of a condition when a part of what it reads is unknown: never something that the whole would contradict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.attributes import POLICIES
from gateway.authz.cel import tree
from gateway.authz.cel.condition import clause
from gateway.authz.cel.errors import FAULTS
from gateway.authz.cel.evaluate import evaluate
from gateway.authz.cel.operations import boolean
from gateway.authz.residual import Atom, Residuals, atoms, outcome, shape
from tests.asking import a_subject, an_access

KNOWN = frozenset({"resource.params", "request.method"})
PARTS = [
    "true",
    "resource.params.org_id == 'org_9'",
    "resource.params.none == 'x'",
    "request.method == 'GET'",
    "subject.claims.yes",
    "subject.claims.no",
    "subject.claims.none",
    "has(subject.claims.none)",
    "subject.claims.yes == resource.params.org_id",
    "'a' in subject.groups",
]
EXPRESSIONS = st.recursive(
    st.sampled_from(PARTS),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]} && {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} || {two[1]})"),
        inner.map(lambda one: f"!({one})"),
        st.tuples(inner, inner, inner).map(lambda three: f"({three[0]} ? {three[1]} : {three[2]})"),
    ),
    max_leaves=8,
)


def value(node: tree.Tree) -> bool | None:
    subject = a_subject(claims={"yes": True, "no": False}, groups=("a",))
    try:
        return boolean(evaluate(node, (subject, an_access())))
    except FAULTS:
        return None


def left(source: str) -> object:
    arguments = (a_subject(), an_access())
    return Residuals().of(clause(source, POLICIES).tree, arguments, KNOWN)


@given(EXPRESSIONS)
def test_in_the_world_as_it_is_what_is_left_gives_what_the_whole_gives(source: str) -> None:
    whole = clause(source, POLICIES).tree
    formula = Residuals().of(whole, (a_subject(), an_access()), KNOWN)
    by_shape = {shape(node): node for node in tree.walk(whole)}
    world = {atom: value(by_shape[atom.shape]) for atom in atoms(formula)}
    assert outcome(formula, world) is value(whole)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("request.method == 'GET'", True),
        ("resource.params.none == 'x'", None),
        ("subject.claims.a && request.method == 'PUT'", False),
        ("subject.claims.a || request.method == 'GET'", True),
        ("!(subject.claims.a && request.method == 'PUT')", True),
        ("request.method == 'GET' ? resource.params.org_id == 'x' : subject.claims.a", False),
        ("resource.params.none == 'x' ? subject.claims.a : subject.claims.b", None),
    ],
)
def test_what_is_known_decides_where_it_can(source: str, expected: bool | None) -> None:
    assert left(source) is expected


def test_an_unknown_part_says_what_it_reads() -> None:
    found = left("request.method == 'GET' && subject.claims.a == request.host")
    assert isinstance(found, Atom)
    assert found.reads == ("request.host", "subject.claims")


def test_the_same_part_is_the_same_wherever_it_is_written() -> None:
    assert left("subject.claims.a == 1") == left("  request.method == 'GET' && subject.claims.a   == 1")
    assert left("subject.claims.a == 1") != left("subject.claims.a == 2")
    assert left("subject.claims.a == 1") != left("subject.claims.a == true")
    assert left("subject.claims.a == '1'") != left("subject.claims.a == 1.0")
