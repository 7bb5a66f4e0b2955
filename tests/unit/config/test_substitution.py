"""Variables in the scalar values of configuration files."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.document import read
from gateway.config.substitution import substitute

KNOWN = {
    "NAME": "value",
    "EMPTY": "",
    "NUMBER": "8080",
    "TRUTH": "true",
    "NOTHING": "null",
    "SNEAKY": "a: b\n- *x",
    "NESTED": "${NAME}",
    "DOLLARS": "$$",
}


def substituted(text: str, variables: dict[str, str] | None = None) -> Any:
    found = substitute(read("f", text), KNOWN if variables is None else variables)
    assert found.problems == []
    return found.value


REPLACED = {
    "variable": ("${NAME}", "value"),
    "inside text": ("a-${NAME}-b", "a-value-b"),
    "twice": ("${NAME}${NAME}", "valuevalue"),
    "default, unset": ("${UNSET:-other}", "other"),
    "default, empty": ("${EMPTY:-other}", "other"),
    "default, set": ("${NAME:-other}", "value"),
    "default that is empty": ("x${UNSET:-}", "x"),
    "default with specials": ("${UNSET:-a:b$c d?e}", "a:b$c d?e"),
    "required, set": ("${NAME:?why}", "value"),
    "dollar sign": ("$$", "$"),
    "escaped reference": ("$${NAME}", "${NAME}"),
    "lone dollar sign": ("$", "$"),
    "dollar sign before text": ("$NAME and $5", "$NAME and $5"),
    "end of an expression": ("^a$", "^a$"),
    "unquoted number": ("${NUMBER}", 8080),
    "unquoted truth": ("${TRUTH}", True),
    "unquoted null": ("${NOTHING}", None),
    "unquoted empty": ("${EMPTY}", None),
    "unquoted default": ("${UNSET:-5}", 5),
    "never structure": ("${SNEAKY}", "a: b\n- *x"),
    "never recursive": ("${NESTED}", "${NAME}"),
    "dollar signs in a value": ("${DOLLARS}", "$$"),
}


@pytest.mark.parametrize(("text", "value"), REPLACED.values(), ids=REPLACED.keys())
def test_an_unquoted_scalar_is_substituted_and_typed_again(text: str, value: Any) -> None:
    found = substituted(f"a: {text}")
    assert found == {"a": value}
    assert type(found["a"]) is type(value)


@pytest.mark.parametrize("quoted", ["'{}'", '"{}"', "|-\n  {}", ">-\n  {}"], ids=["single", "double", "literal", "folded"])
@pytest.mark.parametrize("name", ["NUMBER", "TRUTH", "NOTHING", "EMPTY"])
def test_a_quoted_scalar_stays_text(quoted: str, name: str) -> None:
    assert substituted("a: " + quoted.format(f"${{{name}}}")) == {"a": KNOWN[name]}


def test_keys_are_left_alone() -> None:
    assert substituted('"${NAME}": {"$$": 1}') == {"${NAME}": {"$$": 1}}


def test_scalars_are_found_at_any_depth() -> None:
    assert substituted("a: [{b: ['${NAME}', 1]}, x]") == {"a": [{"b": ["value", 1]}, "x"]}


WRONG = {
    "unset": ("${UNSET}", "the variable UNSET is not set (set it, or give a default: ${UNSET:-…})"),
    "required": ("${UNSET:?the frontend's origin}", "the variable UNSET is not set: the frontend's origin"),
    "required, empty": ("${EMPTY:?say it}", "the variable EMPTY is not set: say it"),
    "required, no words": ("${UNSET:?}", "the variable UNSET is not set: it is required"),
    "not a name": ("${1X}", "not a substitution (write ${NAME}, ${NAME:-default} or ${NAME:?message}, and $$ for a dollar sign)"),
    "never closed": ("${NAME", "not a substitution"),
    "nothing": ("${}", "not a substitution"),
    "other form": ("${NAME-x}", "not a substitution"),
    "nested": ("${UNSET:-${NAME}}", "not a substitution"),
    "other language": ("${env:NAME}", "not a substitution"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_replaced_is_a_problem_in_its_place(text: str, message: str) -> None:
    found = substitute(read("f", f"x: 1\na: '{text.replace(chr(39), chr(39) * 2)}'"), KNOWN)
    assert len(found.problems) == 1
    assert str(found.problems[0]).startswith(f"f:2:4: a: {message}")
    assert found.value == {"x": 1, "a": None}


def test_all_that_cannot_be_replaced_is_told() -> None:
    found = substitute(read("f", "a: ${A}\nb: ['${B}', '${']\n"), {})
    assert [(problem.line, problem.path) for problem in found.problems] == [(1, "a"), (2, "b[0]"), (2, "b[1]")]


def test_a_number_that_is_none_after_substitution_is_a_problem_without_its_value() -> None:
    [problem] = substitute(read("f", "a: ${BIG}"), {"BIG": "9" * 30}).problems
    assert problem.message == "after substitution: the number does not fit into 64 bits"


def test_a_variable_that_is_no_text_is_refused() -> None:
    [problem] = substitute(read("f", "a: ${RAW}"), {"RAW": "\udcff"}).problems
    assert problem.message == "the variable RAW is not UTF-8 text"


def test_the_document_itself_is_not_changed() -> None:
    document = read("f", "a: ${UNSET}\nb: ${NAME}")
    substitute(document, KNOWN)
    assert document.value == {"a": "${UNSET}", "b": "${NAME}"}
    assert document.problems == []


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30), st.text(max_size=10))
def test_a_value_is_taken_as_it_is_whatever_stands_in_it(value: str, unused: str) -> None:
    found = substitute(read("f", 'a: "<${X}>"'), {"X": value, "Y": unused})
    assert found.value == {"a": f"<{value}>"}


@given(st.text("${}:-?$AB x", max_size=20))
def test_whatever_is_written_is_replaced_or_refused_and_doubling_dollars_keeps_it(text: str) -> None:
    import json

    document = substitute(read("f", json.dumps({"a": text})), {"A": "1"})
    assert document.problems or isinstance(document.value["a"], str)
    assert substituted(json.dumps({"a": text.replace("$", "$$")})) == {"a": text}
