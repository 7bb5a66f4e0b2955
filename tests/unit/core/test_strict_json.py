"""JSON that every parser reads the same way, or none."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.strict_json import MAX_DEPTH, InvalidJson, parse

REFUSED = {
    "empty": (b"", "json"),
    "not JSON": (b"{a: 1}", "json"),
    "trailing bytes": (b"{} {}", "json"),
    "single quotes": (b"{'a': 1}", "json"),
    "comment": (b"{} // x", "json"),
    "byte order mark": (b"\xef\xbb\xbf{}", "json"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "json"),
    "invalid UTF-8": (b'{"a":"\xff"}', "json"),
    "overlong UTF-8": (b'{"a":"\xc0\xaf"}', "json"),
    "encoded surrogate": (b'{"a":"\xed\xa0\x80"}', "json"),
    "raw control character": (b'{"a":"\x01"}', "json"),
    "NaN": (b"[NaN]", "number"),
    "Infinity": (b"[Infinity]", "number"),
    "-Infinity": (b"[-Infinity]", "number"),
    "infinite by exponent": (b"[1e999]", "number"),
    "integer of 400 digits": (b"[" + b"9" * 400 + b"]", "number"),
    "integer of 5000 digits": (b"[" + b"9" * 5000 + b"]", "number"),
    "leading zero": (b"[01]", "json"),
    "plus sign": (b"[+1]", "json"),
    "underscore": (b"[1_000]", "json"),
    "duplicate": (b'{"a":1,"a":2}', "duplicate"),
    "duplicate by escape": (b'{"a":1,"\\u0061":2}', "duplicate"),
    "duplicate by case": (b'{"method":1,"Method":2}', "duplicate"),
    "duplicate by long s": ('{"s":1,"\u017f":2}'.encode(), "duplicate"),
    "duplicate deep inside": (b'[{"x":{"a":1,"a":1}}]', "duplicate"),
    "NUL in a name": (b'{"na\\u0000me":1}', "member"),
    "lone high surrogate": (b'["\\ud800"]', "string"),
    "lone low surrogate": (b'["\\udc00"]', "string"),
    "lone surrogate in a name": (b'{"\\ud800":1}', "string"),
    "surrogates in the wrong order": (b'["\\udc00\\ud800"]', "string"),
    "too deep": (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "depth"),
    "far too deep": (b"[" * 100_000 + b"]" * 100_000, "depth"),
    "far too deep, unfinished": (b'{"a":' * 100_000, "depth"),
}


@pytest.mark.parametrize(("body", "keyword"), REFUSED.values(), ids=REFUSED.keys())
def test_document_that_parsers_read_differently_is_refused(body: bytes, keyword: str) -> None:
    with pytest.raises(InvalidJson) as refused:
        parse(body)
    assert str(refused.value) == keyword


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b" [1, -0.5, 1e3, true, null] ", [1, -0.5, 1000.0, True, None]),
        (b'{"a":{"a":1}}', {"a": {"a": 1}}),
        (b'"\\ud83d\\ude00 \\u00e9"', "\U0001f600 \u00e9"),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
        (b'{"a":"\\u0000"}', {"a": "\0"}),
    ],
    ids=["scalars", "same name in two objects", "surrogate pair", "as deep as allowed", "NUL in a value"],
)
def test_document_is_read(body: bytes, value: Any) -> None:
    found = parse(body)
    assert value is None or found == value


documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**300), 10**300) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii", exclude_characters="\0")).map(str.lower), inner)
    ),
    max_leaves=30,
)


@given(documents)
def test_whatever_json_writes_is_read_back(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value


@given(st.binary(max_size=200) | st.text(st.sampled_from('{}[]":,\\u0aD8e1-.')).map(str.encode))
def test_any_bytes_are_read_into_what_can_be_written_again_or_refused(body: bytes) -> None:
    with suppress(InvalidJson):
        value = parse(body)
        assert parse(json.dumps(value, ensure_ascii=False).encode()) == value
