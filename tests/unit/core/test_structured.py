"""Structured fields: the published tests of the HTTP working group, whole, and what is never to be read in two ways."""

import base64
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import structured
from gateway.core.structured import Date, Display, Member, Token

READ: dict[str, Callable[[str], Any]] = {"item": structured.item, "list": structured.listed, "dictionary": structured.dictionary}


def cases(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob("*.json")):
        yield from json.loads(file.read_text(), parse_float=Decimal)


def bare(value: Any) -> Any:
    """As the published tests write a bare item."""
    if isinstance(value, Token):
        return {"__type": "token", "value": str(value)}
    if isinstance(value, bytes):
        return {"__type": "binary", "value": base64.b32encode(value).decode()}
    if isinstance(value, Date):
        return {"__type": "date", "value": int(value)}
    return {"__type": "displaystring", "value": str(value)} if isinstance(value, Display) else value


def shown(found: Any) -> Any:
    """As the published tests write what was read."""
    if isinstance(found, dict):
        return [[key, shown(member)] for key, member in found.items()]
    if isinstance(found, list):
        return [shown(member) for member in found]
    value, parameters = found
    listed = [[key, bare(parameter)] for key, parameter in parameters.items()]
    return [[shown(each) for each in value] if isinstance(value, list) else bare(value), listed]


def written(found: Any) -> list[str]:
    text = structured.whole(found)
    return [text] if text else []


def test_the_published_tests_are_read_and_written_as_they_say(vectors: Path) -> None:
    read = refused = 0
    for case in cases(vectors / "structured-fields"):
        text = ", ".join(case["raw"])
        try:
            found: Any = READ[case["header_type"]](text)
        except ValueError:
            assert case.get("must_fail") or case.get("can_fail"), case["name"]
            refused += 1
            continue
        assert not case.get("must_fail"), case["name"]
        assert shown(found) == case["expected"], case["name"]
        assert written(found) == case.get("canonical", case["raw"]), case["name"]
        read += 1
    assert (read, refused) == (727, 864)


def value_of(told: Any) -> Any:
    """What the published tests write as a bare item."""
    return Token(told["value"]) if isinstance(told, dict) else told


def member_of(told: Any) -> Any:
    value, parameters = told
    return value_of(value), {key: value_of(each) for key, each in parameters}


def test_the_published_tests_of_writing_hold(vectors: Path) -> None:
    seen = 0
    for case in cases(vectors / "structured-fields" / "serialisation-tests"):
        kind, told = case["header_type"], case["expected"]
        made: Any = member_of(told) if kind == "item" else None
        made = [member_of(each) for each in told] if kind == "list" else made
        made = {key: member_of(each) for key, each in told} if kind == "dictionary" else made
        seen += 1
        if not case.get("must_fail"):
            assert written(made) == case["canonical"], case["name"]
        else:
            with pytest.raises(ValueError, match=r"\w"):
                written(made)
    assert seen > 500


@pytest.mark.parametrize("text", ["a=1, a=2", "a=1;b;b=2", "a=(x;k;k=1)", "a=1, b=2, a"])
def test_what_comes_twice_is_refused_where_one_reader_could_take_the_other(text: str) -> None:
    assert structured.dictionary(text)
    with pytest.raises(ValueError, match="twice"):
        structured.dictionary(text, once=True)


KEYS = st.from_regex(r"\A[a-z*][a-z0-9_.*-]{0,8}\Z")
BARE: st.SearchStrategy[Any] = st.one_of(
    st.integers(-structured.LARGEST, structured.LARGEST),
    st.decimals(-999_999_999_999, 999_999_999_999, places=3),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)),
    st.binary(),
    st.booleans(),
    st.from_regex(r"\A[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]{0,8}\Z").map(Token),
    st.text(st.characters(exclude_categories=["Cs"])).map(Display),
    st.integers(-structured.LARGEST, structured.LARGEST).map(Date),
)
ITEMS = st.tuples(BARE, st.dictionaries(KEYS, BARE, max_size=3))
MEMBERS = st.one_of(ITEMS, st.tuples(st.lists(ITEMS, max_size=3), st.dictionaries(KEYS, BARE, max_size=3)))


@given(st.lists(MEMBERS, min_size=1, max_size=3))
def test_what_is_written_is_read_as_the_same(members: list[Member]) -> None:
    text = ", ".join(map(structured.written, members))
    found = structured.listed(text)
    assert shown(found) == shown(members)
    assert ", ".join(map(structured.written, found)) == text


@given(st.text(st.characters(max_codepoint=0x7F), max_size=40))
def test_any_text_is_read_or_refused_as_a_value(text: str) -> None:
    for read in READ.values():
        try:
            read(text)
        except ValueError:
            continue


@pytest.mark.parametrize("value", [structured.LARGEST + 1, Decimal(10**12), "é", "\x7f", Token(""), Token("a b")])
def test_what_has_no_form_is_not_written(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        structured.written((value, {}))
