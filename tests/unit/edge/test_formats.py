"""Formats of ours: exactly what each refuses; and that a format nothing checks is told with its place."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.formats import KNOWN, OWN, STANDARD, is_safe_filename, is_single_line, is_without_markup, refuse_unknown
from gateway.edge.schema import Schema

EVERY = [chr(point) for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF]


@pytest.mark.parametrize(
    "text", ["", "plain", "a & b", "AT&T", "1 ≤ 2", "line\nline\ttab\r\n", "?a=1&b=2", "Größe 5 \U0001f600", "{{x}} ${y}"]
)
def test_text_without_markup_passes(text: str) -> None:
    assert is_without_markup(text)


@pytest.mark.parametrize("text", ["<b>", "a < b", "b > a", "&lt;script", "&#106;avascript:", "&#x6a", "&amp;", "\x00", "\x0b", "\x1b[31m", "\x85", "\x7f",
                                  "\uff1cscript\uff1e", "\ufe64b\ufe65", "\u226e", "\u226f"], ids=ascii)  # fmt: skip
def test_text_that_could_leave_text_is_markup(text: str) -> None:
    assert not is_without_markup(text)
    assert not is_without_markup(f"before {text} behind")


def test_no_character_that_compatibility_turns_into_an_angle_bracket_is_without_markup() -> None:
    turned = [each for each in EVERY if set("<>") & set(unicodedata.normalize("NFKD", each))]
    assert len(turned) >= 8
    assert [each for each in turned if is_without_markup(each)] == []


def test_a_single_line_is_one_line_to_every_reader_of_lines() -> None:
    assert is_single_line("Größe: 5, \u2003wide")
    single = "".join(filter(is_single_line, EVERY))
    assert len(single.splitlines()) == 1
    assert "Cc" not in set(map(unicodedata.category, single))


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "report.pdf",
        "Größe 5.pdf".replace("ö", "\u00f6"),
        "a-b_c (1).tar.gz",
        "console.txt",
        "com10",
        "日本.txt",
        "100%.txt",
        "a" * 255,
    ],
)
def test_safe_names_pass(name: str) -> None:
    assert is_safe_filename(name)


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "a\\b", "C:a", "a..b", ".htaccess", "-rf", "~root", " a", "a ", "a.", "a\x00.png", "a\nb", "a\x85",
                                  "CON", "con.txt", "Nul", "COM1.log", "lpt9", "COM\u00b9", "aux ", "NUL .txt", "a%2fb", "%2e%2e", "a?b", "a*", "a|b", 'a"b', "a<b",
                                  "o\u0308.txt", "exe.\u202egpj", "\u2066a", "a\u2215b".replace("\u2215", "\uff0f"), "\u2025", "\uff0e\uff0e", "\u2100", "a" * 256, "ö" * 128, "\ud800"],
                         ids=ascii)  # fmt: skip
def test_names_that_mean_more_than_a_file_here_are_unsafe(name: str) -> None:
    assert not is_safe_filename(name)


@given(st.text(max_size=300))
def test_own_formats_answer_for_any_text(text: str) -> None:
    for check in OWN.values():
        assert check(text) in (True, False)
    if is_safe_filename(text):
        assert "/" not in unicodedata.normalize("NFKC", text)
        assert is_single_line(text)


@pytest.mark.parametrize("name", sorted(STANDARD))
def test_every_format_we_say_we_know_is_asserted(name: str) -> None:
    refused = {
        "regex": "(",
        "json-pointer": "a",
        "relative-json-pointer": "x",
        "uri-template": "{",
        "iri-reference": "\\ ",
        "uri-reference": "\\ ",
        "idn-hostname": "a..b",
    }
    assert Schema({"format": name}).findings(refused.get(name, "no such thing %% \\"), 9) == [("", "format")]


@pytest.mark.parametrize("name", sorted(OWN))
def test_own_formats_are_asserted_by_schemas_and_say_nothing_of_other_types(name: str) -> None:
    schema = Schema({"properties": {"a": {"format": name}}})
    assert schema.findings({"a": "x\x00"}, 9) == [("/a", "format")]
    assert schema.findings({"a": "x"}, 9) == schema.findings({"a": 5}, 9) == []


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        (
            {"properties": {"a": {"format": "no-markups"}}},
            "/properties/a/format: unknown format 'no-markups' (did you mean 'no-markup'?)",
        ),
        (
            {"$defs": {"never/used": {"format": "datetime"}}},
            "/$defs/never~1used/format: unknown format 'datetime' (did you mean 'date-time'?)",
        ),
        ({"if": {"format": "e-mail"}}, "/if/format"),
        ({"allOf": [{}, {"items": {"format": "x"}}]}, "/allOf/1/items/format"),
        ({"type": "integer", "format": "int32"}, "/format"),
        ({"additionalProperties": {"not": {"format": "x"}}}, "/additionalProperties/not/format"),
    ],
    ids=["property", "unused definition", "if", "list", "of a number", "not"],
)
def test_unknown_format_is_told_with_its_place_wherever_it_stands(schema: Any, place: str) -> None:
    with pytest.raises(ValueError) as refused:
        Schema(schema)
    assert place in str(refused.value)


def test_what_only_looks_like_a_format_is_none() -> None:
    refuse_unknown(
        {
            "enum": [{"format": "x"}],
            "const": {"format": "x"},
            "default": {"format": "x"},
            "properties": {"format": {"type": "string"}},
        }
    )
    assert STANDARD | OWN.keys() == KNOWN
