"""The lexis of conditions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.authz.cel.errors import CelError
from gateway.authz.cel.lexer import MAX_BYTES, Kind, tokens


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("42", 42),
        ("0x1F", 31),
        ("9223372036854775807", 2**63 - 1),
        ("2.5", 2.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.5e-3", 0.0015),
        ("'a'", "a"),
        ('"a"', "a"),
        ("''", ""),
        ("'''a'b\nc'''", "a'b\nc"),
        ('"""a"b"""', 'a"b'),
        (r"r'a\n'", r"a\n"),
        (r"R'\\a'", r"\\a"),
        (r"'\a\b\f\n\r\t\v\\\?\'\"\`'", "\a\b\f\n\r\t\v\\?'\"`"),
        (r"'\x41\X42\u00e9\U0001F600\101'", "AB\u00e9\U0001f600A"),
        (r"'\x00'", "\0"),
    ],
)
def test_a_literal_stands_for_its_value(source: str, value: object) -> None:
    token, end = tokens(source)
    assert token.value == value
    assert type(token.value) is type(value)
    assert (token.start, token.end, end.kind) == (0, len(source), Kind.END)


def test_spaces_and_comments_separate_tokens() -> None:
    found = tokens("a // comment '\n\t. b//end")
    assert [(token.text, token.start) for token in found] == [("a", 0), (".", 16), ("b", 18), ("", 24)]


@pytest.mark.parametrize(
    ("source", "offset", "message"),
    [
        ("1u", 0, "unsigned"),
        ("b'a'", 0, "bytes"),
        ("rb'a'", 0, "bytes"),
        ("'a", 0, "not closed"),
        ("'a\nb'", 0, "not closed"),
        ("'''a'", 0, "not closed"),
        (r"'\q'", 1, "unknown escape"),
        (r"'\ud800'", 1, "not a character"),
        (r"'\U00110000'", 1, "not a character"),
        (r"'\x4'", 1, "unknown escape"),
        (r"'\400'", 1, "unknown escape"),
        ("9223372036854775809", 0, "64-bit"),
        (r"r'\'", 0, "raw string"),
        ("1e999", 0, "too large"),
        ("1abc", 0, "not a number"),
        ("0x", 0, "not a number"),
        ("a = b", 2, "unexpected character '='"),
        ("a & b", 2, "unexpected character '&'"),
        ("a.`b`", 2, "unexpected character '`'"),
        ("a\0b", 1, "U+0000"),
        ("'\ud800'", 1, "U+D800"),
        ("\u00e9", 0, "unexpected character"),
        ("\u0661", 0, "unexpected character"),
    ],
)
def test_what_is_no_token_is_refused_where_it_stands(source: str, offset: int, message: str) -> None:
    with pytest.raises(CelError, match=message.replace("+", r"\+")) as caught:
        tokens(source)
    assert caught.value.offset == offset


def test_an_expression_may_be_4096_bytes_long() -> None:
    assert len(tokens("'" + "a" * (MAX_BYTES - 2) + "'")) == 2
    assert len(tokens("'" + "\u00e9" * (MAX_BYTES // 2 - 1) + "'")) == 2


@pytest.mark.parametrize(
    "source", ["'" + "a" * (MAX_BYTES - 1) + "'", "'" + "\u00e9" * (MAX_BYTES // 2) + "'"], ids=["ascii", "utf-8"]
)
def test_a_longer_one_is_refused(source: str) -> None:
    with pytest.raises(CelError, match="4096 bytes"):
        tokens(source)


def places(source: str) -> list[tuple[int, int]]:
    """Where the tokens stand, or where the mistake does."""
    try:
        return [(token.start, token.end) for token in tokens(source)]
    except CelError as error:
        return [(error.offset, error.offset)]


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
def test_any_text_gives_tokens_or_a_cel_error(source: str) -> None:
    found = places(source)
    assert found == sorted(found)
    assert all(0 <= start <= end <= len(source) for start, end in found)
