"""The YAML reader: a strict subset, a place for every node, and never an exception."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import document
from gateway.config.document import MAX_DEPTH, Document, dotted, read
from gateway.config.node import Steps


def told(text: str | bytes) -> list[str]:
    return [str(problem) for problem in read("f", text).problems]


SCALARS = {
    "null": None, "~": None, "": None, "Null": None, "true": True, "False": False, "TRUE": True,
    "yes": "yes", "no": "no", "on": "on", "Off": "Off", "y": "y",
    "12": 12, "-7": -7, "+3": 3, "0o17": 15, "0x1F": 31, "017": 17, "1_000": "1_000", "0b11": "0b11", "12:30": "12:30", "190:20:30": "190:20:30",
    "1.5": 1.5, ".5": 0.5, "1e3": 1000.0, "1.": 1.0, "-.5": -0.5, ".": ".", "1.2.3": "1.2.3", "2026-11-21": "2026-11-21",
    "2001-12-14t21:59:43.10-05:00": "2001-12-14t21:59:43.10-05:00", "=": "=", "0o8": "0o8", "0xg": "0xg", "\uff11": "\uff11", "64KiB": "64KiB",
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SCALARS.items(), ids=[text or "empty" for text in SCALARS])
def test_unquoted_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: Any) -> None:
    found = read("f", f"a: {text}\n")
    assert found.problems == []
    assert found.value == {"a": value}
    assert type(found.value["a"]) is type(value)


@pytest.mark.parametrize("text", [text for text in SCALARS if text])
def test_a_quoted_scalar_is_always_text(text: str) -> None:
    assert read("f", f"a: '{text}'\nb: \"{text}\"\nc: |-\n  {text}\n").value == {"a": text, "b": text, "c": text}


REFUSED = {
    "duplicate key": ("a: 1\nb: 2\na: 3", "f:3:1: duplicate key 'a' (first on line 1)"),
    "duplicate key written twice differently": ('a: 1\n"a": 2', "f:2:1: duplicate key 'a' (first on line 1)"),
    "duplicate key in a flow mapping": ("x: {a: 1, a: 2}", "f:1:11: duplicate key 'a' (first on line 1)"),
    "anchor": ("a: &x 1", "f:1:4: anchors are not allowed (write the value out where it is needed)"),
    "anchor on a mapping": ("a: &x {b: 1}", "f:1:4: anchors are not allowed (write the value out where it is needed)"),
    "alias": ("a: 1\nb: *x", "f:2:4: aliases are not allowed (write the value out)"),
    "alias as a key": ("*x : 1", "f:1:1: aliases are not allowed (write the value out)"),
    "tag": ("a: !!python/object/apply:os.system [id]", "f:1:4: tags are not allowed (quote the value if it begins with !)"),
    "local tag": ("a: !env HOME", "f:1:4: tags are not allowed (quote the value if it begins with !)"),
    "tag without a name": ("a: ! 12", "f:1:4: tags are not allowed (quote the value if it begins with !)"),
    "merge key": ("<<: {a: 1}", "f:1:1: merge keys are not allowed (write the keys out)"),
    "number as a key": ("1: a", 'f:1:1: a key is a string (write "1")'),
    "boolean as a key": ("x:\n  true: a", 'f:2:3: a key is a string (write "true")'),
    "null as a key": ("? \n: a", 'f:1:2: a key is a string (write "")'),
    "list as a key": ("? [a]\n: b", "f:1:3: a key is a string (a list or mapping cannot be a key)"),
    "mapping as a key": ("? {a: b}\n: c", "f:1:3: a key is a string (a list or mapping cannot be a key)"),
    "second document": ("a: 1\n---\nb: 2", "f:2:1: a file holds one document (move what follows --- to another file)"),
    "directive": ("%YAML 1.1\n---\na: yes", "f:1:1: directives are not allowed (remove the line that begins with %)"),
    "tab as indentation": ("a:\n\tb: 1", "f:2:1: not YAML: found character that cannot start any token"),
    "colon in a value": ("a: b: c", "f:1:5: not YAML: mapping values are not allowed in this context"),
    "quote never closed": ('a: "x', "f:1:6: not YAML: found unexpected end of stream (a quote is opened and never closed)"),
    "brace never closed": ("a: {b: 1", "f:1:9: not YAML: did not find expected ',' or '}'"),
    "NUL": ("a: 1\nb: \x00", "f:2:4: the character U+0000 is not allowed"),
    "escape sequence of a terminal": ("a: \x1b[2J", "f:1:4: the character U+001B is not allowed"),
    "line separator that only some readers honour": ("a: 1 # x\u2028b: 2", "f:1:9: the character U+2028 is not allowed"),
    "next line that only some readers honour": ("a: 1 # x\x85b: 2", "f:1:9: the character U+0085 is not allowed"),
    "NUL as an escape": ('a: "x\\0"', "f:1:4: control characters are not allowed, escaped neither"),
    "NUL as an escape in a key": ('"x\\0": 1', "f:1:1: control characters are not allowed, escaped neither"),
    "integer of 65 bits": ("a: 9223372036854775808", "f:1:4: the number does not fit into 64 bits (quote it if it is text)"),
    "integer of a thousand digits": ("a: " + "9" * 5000, "f:1:4: the number does not fit into 64 bits (quote it if it is text)"),
    "float without bound": ("a: 1e999", "f:1:4: the number is too large (quote it if it is text)"),
    "infinity": ("a: -.inf", "f:1:4: infinity and not-a-number are not accepted (quote it if it is text)"),
    "not a number": ("a: .nan", "f:1:4: infinity and not-a-number are not accepted (quote it if it is text)"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_subset_leaves_out_is_refused_with_its_place(text: str, problem: str) -> None:
    found = told(text)
    assert found
    assert found[0].startswith(problem)


@pytest.mark.parametrize("text", [text for text, _ in REFUSED.values()], ids=REFUSED.keys())
def test_the_reader_in_pure_python_refuses_the_same(text: str) -> None:
    assert document.parse("f", text, yaml.SafeLoader).problems


def test_not_utf_8_is_refused() -> None:
    assert told(b"a: \xff\xfe") == ["f:1:1: is not UTF-8 text"]
    assert told("a: 1".encode("utf-16")) == ["f:1:1: is not UTF-8 text"]


def test_a_byte_order_mark_moves_nothing() -> None:
    found = read("f", b"\xef\xbb\xbfa: 1")
    assert found.value == {"a": 1}
    assert found.place(("a",)) == (1, 4)


def test_a_file_larger_than_the_bound_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    with file.open("wb") as stream:
        stream.truncate(document.MAX_BYTES + 1)
    assert [problem.message for problem in read(file).problems] == ["is larger than 16 MiB"]


@pytest.mark.parametrize(("path", "message"), [("absent.yaml", "No such file"), (".", "Is a directory")], ids=["absent", "folder"])
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, path: str, message: str) -> None:
    [problem] = read(tmp_path / path).problems
    assert problem.message.startswith(f"cannot be read: {message}")
    assert (problem.line, problem.column) == (1, 1)


def test_billion_laughs_is_refused_before_anything_is_expanded() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)]
    found = read("f", "\n".join(lines))
    assert {problem.message for problem in found.problems} == {"anchors are not allowed", "aliases are not allowed"}
    assert len(json.dumps(found.value)) < 2000


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "], ids=["lists", "mappings", "block lists"])
def test_nesting_has_a_bound(opening: str) -> None:
    assert any(f"nested deeper than {MAX_DEPTH} levels" in line for line in told(opening * 5000))


def test_the_number_of_values_has_a_bound() -> None:
    assert told("[" + "a," * document.MAX_NODES + "]") == ["f:1:2000000: more than 1000000 values in one file"]


def test_the_number_of_problems_has_a_bound() -> None:
    assert len(told("a: 1\n" * 5000)) == document.MAX_PROBLEMS


def test_every_problem_of_a_file_is_told_and_the_rest_of_it_read() -> None:
    found = read("f", "a: 1\na: 2\nb: !x 3\nc: &y 4\nd: 5\n")
    assert [problem.line for problem in found.problems] == [2, 3, 4]
    assert found.value == {"a": 1, "b": 3, "c": 4, "d": 5}


def test_a_place_is_that_of_the_value_or_of_its_key() -> None:
    found = read("f", "a:\n  b: {c: 1, d: [x, 'y', \"z\"]}\n  e: |\n    text\n")
    assert found.place(("a", "b", "d", 1)) == (2, 20)
    assert found.place(("a", "b", "d", 2)) == (2, 25)
    assert found.place(("a", "b", "d"), key=True) == (2, 13)
    assert found.place(("a", "e")) == (3, 6)
    assert found.place(("a", "e"), key=True) == (3, 3)
    assert found.where(("a",)) == ("f", 2, 3)


def test_the_place_of_what_is_absent_is_that_of_the_deepest_node_present() -> None:
    found = read("f", "a:\n  b:\n    - c: 1\n")
    assert found.place(("a", "b", 0, "name")) == (3, 7)
    assert found.place(("a", "b", 7)) == (3, 5)
    assert found.place(("x", "y")) == (1, 1)
    assert found.place(("a", "b", 0, "c", "deeper")) == (3, 10)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_lines_are_counted_whatever_ends_them(end: str) -> None:
    found = read("f", end.join(["a: 1", "b:", "  c: x", ""]))
    assert found.place(("b", "c")) == (3, 6)


def test_columns_count_characters_not_bytes() -> None:
    assert read("f", "a: {ä𝄞: 1, b: 2}").place(("a", "b")) == (1, 15)


LOCATED = {
    "plain": ("v: a == b", "a == b"),
    "plain over lines": ("v: a ==\n   b &&\n\n   c", "a == b &&\nc"),
    "single quotes": ("v: 'a == ''b'' && c'", "a == 'b' && c"),
    "single quotes over lines": ("v: 'a\n  b ''c'''", "a b 'c'"),
    "double quotes": ('v: "a\\tb \\u00e9 \\"c\\" \\x41 \\U0001F600 d"', 'a\tb é "c" A 😀 d'),
    "double quotes, joined lines": ('v: "a \\\n    b\n    c"', "a b c"),
    "literal": ("v: |\n  a\n    b\n\n  c\n", "a\n  b\n\nc\n"),
    "literal with an indicator": ("v: |2-\n    a\n   b\n", "  a\n b"),
    "literal, blank lines first": ("v: |  # note\n\n\n  a\n  b\n", "\n\na\nb\n"),
    "literal in a list": ("v:\n- |-\n  a\n  b", "a\nb"),
    "folded": ("v: >-\n  a\n  b\n\n  c\n    d\n  e\n", "a b\nc\n  d\ne"),
    "folded, several breaks": ("v: >\n  a\n\n\n  b\n", "a\n\nb\n"),
    "CRLF": ("v: |\r\n  a\r\n  b\r\n", "a\nb\n"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), LOCATED.values(), ids=LOCATED.keys())
def test_every_character_of_a_string_is_found_in_the_file(text: str, value: str) -> None:
    found = read("f", text)
    path: Steps = ("v", 0) if isinstance(found.value["v"], list) else ("v",)
    lines = text.replace("\r\n", "\n").split("\n")
    assert found.value["v"] == value or found.value["v"][0] == value
    for offset, character in enumerate(value):
        line, column = found.locate(path, offset)
        written = (lines[line - 1] + "\n")[column - 1]
        assert written in {character, "\\"} or (character in " \n" and written in " \n"), (offset, character, line, column)


def test_the_end_of_a_string_is_found_too() -> None:
    assert read("f", "v: ab\nw: 1").locate(("v",), 2) == (1, 6)
    assert read("f", "v: 'ab'").locate(("v",), 2) == (1, 7)
    assert read("f", "v: |\n  ab\n").locate(("v",), 2) == (2, 5)


def test_paths_are_written_as_people_write_them() -> None:
    assert dotted(("routes", 3, "match", "path")) == "routes[3].match.path"
    assert dotted(("cors", "a b", "x")) == 'cors["a b"].x'
    assert dotted((0, "id")) == "[0].id"
    assert dotted(()) == ""


@given(st.text() | st.binary())
@settings(max_examples=400)
def test_whatever_is_read_the_reader_returns(content: str | bytes) -> None:
    found = read("f", content)
    assert isinstance(found, Document)
    assert all(problem.line >= 1 and problem.column >= 1 for problem in found.problems)


YAMLISH = st.text(st.sampled_from(list("ab1:-?[]{},&*!|>'\"%#@` \n\t~.<=0xé")), max_size=60)


@given(YAMLISH)
@settings(max_examples=1500)
def test_whatever_looks_like_yaml_is_read_or_refused(content: str) -> None:
    found = read("f", content)
    assert found.problems or found.value is None or isinstance(found.value, (str, int, float, bool, list, dict))
    lines = content.replace("\r", "\n").count("\n") + 1
    assert all(1 <= problem.line <= lines for problem in found.problems)


TEXT = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x2FF, exclude_characters="\x7f" + "".join(map(chr, range(0x80, 0xA0)))),
    max_size=8,
)
LEAF = st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | TEXT
TREE = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=20)


def leaves(value: Any, path: Steps = ()) -> list[tuple[Steps, Any]]:
    if isinstance(value, dict) and value:
        return [leaf for key, child in value.items() for leaf in leaves(child, (*path, key))]
    if isinstance(value, list) and value:
        return [leaf for number, child in enumerate(value) for leaf in leaves(child, (*path, number))]
    return [(path, value)]


@given(TREE, st.sampled_from([None, 2]))
@settings(max_examples=300)
def test_json_is_read_as_json_and_every_leaf_is_where_its_place_says(tree: Any, indent: int | None) -> None:
    text = json.dumps(tree, ensure_ascii=False, indent=indent)
    found = read("f", text)
    assert found.problems == []
    assert found.value == tree
    lines = text.split("\n")
    for path, leaf in leaves(tree):
        line, column = found.place(path)
        assert lines[line - 1][column - 1 :].startswith(json.dumps(leaf, ensure_ascii=False))


@given(TREE.filter(lambda tree: isinstance(tree, (dict, list))))
@settings(max_examples=200)
def test_block_style_is_read_with_the_same_places_in_pure_python(tree: Any) -> None:
    text = yaml.safe_dump(tree, allow_unicode=True)
    fast = read("f", text)
    slow = document.parse("f", text, yaml.SafeLoader)
    assert [str(problem) for problem in slow.problems] == [str(problem) for problem in fast.problems]
    assert slow.value == fast.value
    assert slow.marks == fast.marks
