"""An entry put into a YAML file: everything else stays as it was, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.document import parse
from gateway.config.entry import put

VALUE = "lgs1:k1:1790000000:AAAA:BBBB"
CASES = {
    "no section": ("a: 1\n", f"a: 1\n\nsealed:\n  bot: {VALUE}\n"),
    "no line break at the end": ("a: 1", f"a: 1\n\nsealed:\n  bot: {VALUE}\n"),
    "nothing at all": ("", f"sealed:\n  bot: {VALUE}\n"),
    "comments only": ("# c\n", f"# c\n\nsealed:\n  bot: {VALUE}\n"),
    "an empty section": ("sealed:  # ours\na: 1\n", f"sealed:  # ours\n  bot: {VALUE}\na: 1\n"),
    "an empty section at the end": ("sealed:", f"sealed:\n  bot: {VALUE}\n"),
    "an empty mapping": ("sealed: {}  # ours\na: 1\n", f"sealed: {{bot: {VALUE}}}  # ours\na: 1\n"),
    "a mapping on one line": ("sealed: {x: y}\n", f"sealed: {{bot: {VALUE}, x: y}}\n"),
    "other entries": (
        "sealed:\n    x: 1 # one\n    # about y\n    y: 'z'   # two\n\n# next\na: 1\n",
        f"sealed:\n    x: 1 # one\n    # about y\n    y: 'z'   # two\n    bot: {VALUE}\n\n# next\na: 1\n",
    ),
    "the last line": ("sealed:\n  x: y", f"sealed:\n  x: y\n  bot: {VALUE}\n"),
    "windows line ends": ("a: 1\r\nsealed:\r\n  x: y\r\n", f"a: 1\r\nsealed:\r\n  x: y\r\n  bot: {VALUE}\r\n"),
    "replaced": ("sealed:\n  bot: lgs1:old:1:A:B  # ours\n  x: y\n", f"sealed:\n  bot: {VALUE}  # ours\n  x: y\n"),
    "replaced in quotes": ("sealed:\n  'bot': \"lgs1:old\" # ours\n", f"sealed:\n  'bot': {VALUE} # ours\n"),
    "replaced on one line": ("sealed: {x: y, bot: revoked, z: 1}\n", f"sealed: {{x: y, bot: {VALUE}, z: 1}}\n"),
    "replaced at the end": ("sealed:\n  bot: revoked", f"sealed:\n  bot: {VALUE}"),
}


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=CASES.keys())
def test_the_rest_of_the_file_stays_as_it_was(before: str, after: str) -> None:
    assert put("f", before, "sealed", "bot", VALUE) == after
    assert put("f", after, "sealed", "bot", VALUE) == after


@pytest.mark.parametrize(
    "text",
    [
        "sealed:\n  bot: >-\n    lgs1:old\n",
        "sealed:\n  x: |\n    a\n    b\n",
        "sealed:\n  bot: lgs1:old\n    more\n",
        "sealed: [a]\n",
        "sealed: text\n",
        "sealed: null\n",
        "{a: 1}\n",
        "a: 1\n...\n",
    ],
)
def test_what_cannot_be_edited_safely_is_left_to_a_person(text: str) -> None:
    with pytest.raises(ValueError, match=f"f is written in a way .* below `sealed:` by hand: bot: {VALUE}"):
        put("f", text, "sealed", "bot", VALUE)


@pytest.mark.parametrize("text", ["- a\n", "text\n"])
def test_what_is_no_mapping_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="f is no mapping"):
        put("f", text, "sealed", "bot", VALUE)


def test_a_broken_file_is_told_by_its_place() -> None:
    with pytest.raises(ValueError, match="f:1:4: not YAML"):
        put("f", "a: ]", "sealed", "bot", VALUE)


@pytest.mark.parametrize("name", ["123", "1.5", "true", "null", "0x10", "1e999", "yes", "bot-1.x_y"])
def test_every_name_is_read_again_as_text(name: str) -> None:
    written = put("f", "a: 1\n", "sealed", name, VALUE)
    assert parse("f", written).value == {"a": 1, "sealed": {name: VALUE}}
    assert put("f", written, "sealed", name, "revoked") == written.replace(VALUE, "revoked")


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
LINES = st.sampled_from(["", "# c", "a: 1", "b: {c: [d]}", "sealed:", "  x: y", "  z: 'q' # r", "e:", "  - f", "sealed: {}"])


@given(st.lists(LINES, max_size=8), NAMES)
def test_whatever_the_file_is_only_one_line_is_added_or_nothing_changes(lines: list[str], name: str) -> None:
    before = "\n".join(lines)
    try:
        after = put("f", before, "sealed", name, VALUE)
    except ValueError:
        return
    assert parse("f", after).value["sealed"][name] == VALUE
    kept = [line for line in after.splitlines() if VALUE not in line]
    assert [line for line in before.splitlines() if line and line in kept] == [line for line in kept if line and line in lines]
