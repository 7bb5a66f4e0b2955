"""Values in answers: found where they stand, replaced there, everything else left as it means what it meant."""

import json
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlencode
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.credentials.captured.capturing import moment
from gateway.credentials.captured.documents import FormDocument, JsonDocument, Unreadable, reader, steps_of
from gateway.credentials.captured.xml import XmlDocument

VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
PLACE = ("r", "a", "t")


@pytest.mark.parametrize(
    ("pointer", "steps"), [("/a", ("a",)), ("/a/0/b~1c~0d", ("a", "0", "b/c~d")), ("/~01", ("~1",)), ("/a b/é", ("a b", "é"))]
)
def test_a_pointer_is_read_as_rfc_6901_has_it(pointer: str, steps: tuple[str, ...]) -> None:
    assert steps_of(pointer) == steps


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    ),
    VALUES,
)
def test_what_is_put_into_json_is_there_and_all_the_rest_is_the_same(rest: Any, value: str) -> None:
    document = JsonDocument(json.dumps({"items": [{"token": "old"}], "rest": "x"}).encode())
    document.put(("items", "0", "token"), value)
    assert json.loads(document.written()) == {"items": [{"token": value}], "rest": "x"}
    try:
        whole = JsonDocument(json.dumps({"rest": rest}).encode())
    except Unreadable:
        return
    assert json.loads(whole.written()) == {"rest": rest}


@pytest.mark.parametrize(
    "steps", [("items", "1"), ("items", "00"), ("items", "-"), ("items", "-1"), ("items", "9" * 30), ("x",), ("items", "²")]
)
def test_what_is_not_in_json_is_not_found(steps: tuple[str, ...]) -> None:
    assert JsonDocument(b'{"items": ["a"]}').get(steps) is None


@given(VALUES, VALUES)
def test_what_is_put_into_a_form_is_there_and_all_the_rest_is_the_same(value: str, rest: str) -> None:
    document = FormDocument(urlencode({"token": "old", "rest": rest, "none": ""}).encode())
    assert document.get(("rest",)) == rest
    document.put(("token",), value)
    assert parse_qs(document.written().decode(), keep_blank_values=True) == {"token": [value], "rest": [rest], "none": [""]}


@pytest.mark.parametrize(
    "body", [b"", b"a", b"a=1&a=2", b"a=1&A=2", b"a=\xff", b"a=%ff", b"&".join(b"a%d=" % n for n in range(300))]
)
def test_a_form_that_is_none_or_says_something_twice_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        FormDocument(body)


def xml(value: str) -> bytes:
    return f"<r xmlns='urn:x'><b t='1'/><a><t>{escape(value)}</t><c>é &amp; </c></a></r>".encode()


@given(VALUES, VALUES, st.sampled_from([b"", b"\xef\xbb\xbf", b"<?xml version='1.0'?>\n"]))
def test_what_is_put_into_xml_stands_where_the_old_one_stood(value: str, other: str, before: bytes) -> None:
    document = XmlDocument(before + xml(value), [PLACE])
    assert document.get(PLACE) == value
    document.put(PLACE, other)
    assert document.written() == before + xml(other)


@pytest.mark.parametrize("text", ["a&#x41;b&amp;c", "&lt;a&gt;", "&#97;bc", "abc&#97;"])
def test_the_text_of_an_element_is_read_and_replaced_whole_with_its_references(text: str) -> None:
    document = XmlDocument(xml("").replace(b"<t></t>", f"<t>{text}</t>".encode()), [PLACE])
    document.put(PLACE, "other")
    assert document.written() == xml("other")


@given(st.binary(max_size=200) | st.text("<>/rat&;!?[]'\" =-x:#", max_size=60).map(str.encode))
def test_nothing_but_unreadable_comes_of_any_bytes(body: bytes) -> None:
    for format in ("json", "xml", "form"):
        with suppress(Unreadable):
            reader(format, [PLACE])(body).written()


BOMB = b"<!DOCTYPE r [<!ENTITY a 'xxxxxxxxxx'><!ENTITY b '&a;&a;&a;&a;'>]><r><a><t>&b;</t></a></r>"
OUTSIDE = b"<!DOCTYPE r SYSTEM 'file:///etc/passwd'><r><a><t>x</t></a></r>"


@pytest.mark.parametrize(
    "body", [BOMB, OUTSIDE, b"<?pi x?><r/>", b"<r><!-- x --></r>", b"<r>" * 65 + b"</r>" * 65, b"<r>&a;</r>", b"<r>\xff</r>"]
)
def test_xml_that_could_be_read_in_two_ways_or_asks_for_more_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        XmlDocument(body, [PLACE])


UNTIMELY: list[Any] = [None, True, "", "soon", "2040-01-01T00:00:00", "9" * 13, [], {}, float("inf"), "-5", "²"]


@pytest.mark.parametrize(
    ("stated", "when"),
    [
        (600, 1600.0),
        ("600", 1600.0),
        (600.5, 1600.5),
        (1_900_000_000, 1_900_000_000.0),
        ("1900000000", 1_900_000_000.0),
        ("2040-01-01T00:00:00Z", 2_208_988_800.0),
        ("2040-01-01T01:00:00.5+01:00", 2_208_988_800.5),
        (10**300, 1e12),
        *[(odd, None) for odd in UNTIMELY],
    ],
)
def test_a_time_is_told_in_seconds_or_as_a_date(stated: object, when: float | None) -> None:
    assert moment(stated, 1000.0) == when
