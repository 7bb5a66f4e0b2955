"""Which element decided a macro, as the trace of a decision tells it."""

from pathlib import Path
from typing import Any

import pytest

from gateway.authz import trace
from gateway.authz.explain import Part, explain
from tests.asking import a_subject, an_access, policies, policy


def told(folder: Path, condition: str, **subject: Any) -> Part:
    found = policies(folder, policy(f'- {{name: a, allow: any, when: "{condition}"}}'))
    explanation = explain(found, a_subject(**subject), an_access())
    assert len(trace.text(explanation)) < 1000
    return explanation.rules[0].clauses[0].whole


@pytest.mark.parametrize(
    ("condition", "result", "element"),
    [
        ("subject.groups.exists(g, g == 'x')", False, "no element of 3"),
        ("subject.groups.exists(g, g == 'b')", True, "element 1 ('b')"),
        ("subject.groups.all(g, g != 'b')", False, "element 1 ('b')"),
        ("subject.groups.all(g, g != 'x')", True, "all 3 elements"),
        ("subject.groups.exists_one(g, g == 'c')", True, "element 2 ('c')"),
        ("subject.groups.exists_one(g, g != 'a')", False, "element 1 ('b') and element 2 ('c')"),
        ("subject.groups.exists_one(g, g == 'x')", False, "no element of 3"),
        ("subject.claims.list.exists(o, o.n == 2)", None, "element 0 ('odd') has no value"),
        ("subject.claims.list.exists(o, o.n == 1)", True, "element 1 ({'n': 1})"),
        ("subject.claims.map.exists(k, k == 'two')", True, "key 'two' (2)"),
        ("subject.claims.empty.exists(g, g == 'x')", False, "no element of 0"),
        ("subject.claims.missing.exists(g, g == 'x')", None, ""),
        ("subject.claims.number.exists(g, g == 'x')", None, ""),
        ("subject.groups.filter(g, g == 'x').size() == 1", False, ""),
        ("subject.id == 'alice'", True, ""),
    ],
)
def test_a_macro_tells_the_element_that_decided(tmp_path: Path, condition: str, result: bool | None, element: str) -> None:
    claims = {"list": ["odd", {"n": 1}], "map": {"one": 1, "two": 2}, "empty": [], "number": 7}
    part = told(tmp_path, condition, groups=("a", "b", "c"), claims=claims)
    assert (part.result, part.element) == (result, element)


def test_it_stands_beside_the_result_in_text_and_data(tmp_path: Path) -> None:
    found = policies(
        tmp_path, policy("- {name: a, allow: any, when: \"subject.id == 'alice' && subject.groups.exists(g, g == 'b')\"}")
    )
    explanation = explain(found, a_subject(groups=("a", "b")), an_access())
    assert any(line.endswith("true    element 1 ('b')") for line in trace.text(explanation).split("\n"))
    deciding = trace.data(explanation)["rules"][0]["conditions"][0]["deciding"]
    assert [part.get("element") for part in deciding] == [None, "element 1 ('b')"]


def test_an_element_is_bounded_and_cannot_redraw_a_terminal(tmp_path: Path) -> None:
    part = told(tmp_path, "subject.groups.exists(g, g.size() > 3)", groups=("\x1b[2J" + "x" * 5000,))
    assert len(part.element) < 200
    assert "\x1b" not in part.element
