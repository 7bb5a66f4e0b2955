"""JSON that two readers could understand differently is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authn.strict_json import is_clean, loads

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"a":1,"a":2}', id="duplicate member"),
        pytest.param(b'{"x":[{"a":1,"a":1}]}', id="duplicate member, deep"),
        pytest.param(b'{"a":1,"\\u0061":2}', id="duplicate member, escaped"),
        pytest.param(b"NaN", id="not a number"),
        pytest.param(b'{"exp":Infinity}', id="infinity"),
        pytest.param(b"-Infinity", id="minus infinity"),
        pytest.param(b"1e999", id="overflow"),
        pytest.param(b"1" * 41, id="long integer"),
        pytest.param(b"1." + b"1" * 41, id="long fraction"),
        pytest.param(b"[" * 33 + b"]" * 33, id="33 deep"),
        pytest.param(b"[" * 100_000, id="very deep"),
        pytest.param(b"\xff", id="not UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param(b"{} {}", id="two texts"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b"", id="empty"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
    ],
)
def test_what_is_ambiguous_or_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        loads(text)


def test_thirty_two_levels_are_read() -> None:
    for inside in ("", "1", '"text"'):
        text = "[" * 32 + inside + "]" * 32
        assert json.dumps(loads(text.encode())) == text


@given(PLAIN)
def test_what_another_writer_wrote_is_read_the_same(value: Any) -> None:
    assert loads(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused_never_worse(raw: bytes) -> None:
    try:
        value = loads(raw)
    except ValueError:
        return
    assert json.loads(raw) == value


@pytest.mark.parametrize("text", ["a\x00b", "\n", "\x7f", "\x85", "\ud800", "a\x1b[31m"], ids=repr)
@pytest.mark.parametrize("place", [lambda t: t, lambda t: {"a": [t]}, lambda t: {t: 1}], ids=["itself", "deep", "name"])
def test_control_characters_and_surrogates_are_found_wherever_they_are(text: str, place: Any) -> None:
    assert not is_clean(place(text))


@pytest.mark.parametrize(
    "value", ["Ünïcödé ☂ 🙂", "a b", "zero\u200bwidth", "nbsp\u00a0", 1, None, True, {"a": ["b", 2]}], ids=repr
)
def test_ordinary_text_is_clean(value: Any) -> None:
    assert is_clean(value)
