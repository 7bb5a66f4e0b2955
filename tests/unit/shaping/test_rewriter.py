"""Documents rewritten as they stream: against a plain reference, in whatever pieces they come."""

import json
from itertools import pairwise
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.json_path import JsonPath, parse
from gateway.core.obligations import Redaction, Style
from gateway.shaping.faults import Unreadable
from gateway.shaping.plan import Plan
from gateway.shaping.rewriter import Rewriter
from gateway.shaping.styles import Styles
from tests.unit.shaping import reference
from tests.unit.shaping.reference import KEY, Members, Number

STYLES = Styles(KEY)
NAMES = ["a", "b", "email", "", 'q"\\/', "é€😀", "0"]


def redactions(paths: dict[str, str]) -> tuple[Redaction, ...]:
    return tuple(Redaction(parse(path), Style(style)) for path, style in paths.items())


def rewriter(paths: dict[str, str] | None = None, *fields: list[str]) -> Rewriter:
    return Rewriter(Plan(redactions(paths or {}), tuple(tuple(parse(path) for path in allowed) for allowed in fields)), STYLES)


def rewritten(document: str | bytes, paths: dict[str, str] | None = None, *fields: list[str], step: int | None = None) -> str:
    data = document.encode() if isinstance(document, str) else document
    made = rewriter(paths, *fields)
    size = step or max(1, len(data))
    return (b"".join(made.feed(data[at : at + size]) for at in range(0, len(data), size)) + made.end()).decode()


# Random documents, paths and pieces

texts = st.one_of(
    st.sampled_from(NAMES), st.text(max_size=12), st.sampled_from(["user@example.com", "\ud83d", "x" * 40, "\n\t\x00"])
)
numbers = st.one_of(
    st.integers(-(10**12), 10**12), st.sampled_from(["1.50", "-0", "1e5", "0.1E-7", "123456789012345678901234567890"])
)
names = st.one_of(st.sampled_from(NAMES), st.text(max_size=6).filter(lambda text: "\0" not in text))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers.map(Number), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.lists(st.tuples(names, inner), max_size=5).map(Members)),
    max_leaves=25,
)
documents = st.one_of(st.lists(values, max_size=6), st.lists(st.tuples(names, values), max_size=6).map(Members))
steps = st.one_of(st.sampled_from(NAMES), st.integers(0, 3), st.none(), st.just(...))
paths = st.lists(steps, min_size=1, max_size=5).filter(
    lambda path: path[-1] is not ... and not any(a is b is ... for a, b in pairwise(path))
).map(tuple)  # fmt: skip


def written(value: Any, chance: Random) -> str:
    """A value as JSON text, with any white space and any escapes."""

    def sign(letter: str) -> str:
        if letter in '"\\' or ord(letter) < 0x20 or "\ud800" <= letter <= "\udfff":
            return json.dumps(letter)[1:-1]
        return "".join(f"\\u{half:04x}" for half in halves(letter)) if chance.random() < 0.1 else letter

    def text(content: str) -> str:
        return '"' + "".join(map(sign, content)) + '"'

    def gap() -> str:
        return chance.choice(["", "", "", "", " ", "\n", " \t\r\n"])

    def write(value: Any) -> str:
        if isinstance(value, Members):
            return "{" + (",".join(f"{gap()}{text(name)}{gap()}:{write(each)}" for name, each in value) or gap()) + "}"
        if isinstance(value, list):
            return "[" + (",".join(map(padded, value)) or gap()) + "]"
        if isinstance(value, Number):
            return str(value)
        return text(value) if isinstance(value, str) else json.dumps(value)

    def padded(value: Any) -> str:
        return gap() + write(value) + gap()

    return padded(value)


def halves(letter: str) -> list[int]:
    """A character's UTF-16 units."""
    units = letter.encode("utf-16-be")
    return [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]


@st.composite
def cases(draw: st.DrawFn) -> tuple[bytes, tuple[Redaction, ...], tuple[tuple[JsonPath, ...], ...], int]:
    document = written(draw(documents), Random(draw(st.integers(0, 1000)))).encode()
    redact = draw(st.lists(st.builds(Redaction, paths, st.sampled_from(Style)), max_size=4))
    fields = draw(st.lists(st.lists(paths, min_size=1, max_size=3).map(tuple), max_size=2))
    return document, tuple(redact), tuple(fields), draw(st.integers(1, 40))


@settings(max_examples=60)
@given(cases())
def test_it_says_what_the_reference_says_in_any_pieces(
    case: tuple[bytes, tuple[Redaction, ...], tuple[tuple[JsonPath, ...], ...], int],
) -> None:
    document, redact, fields, size = case
    plan = Plan(redact, fields)
    found = []
    for step in (len(document), size, 1):
        made = Rewriter(plan, STYLES)
        found.append(b"".join(made.feed(document[at : at + step]) for at in range(0, len(document), step)) + made.end())
    assert found[0] == found[1] == found[2]
    expected = reference.shaped(reference.read(document), redact, fields)
    assert reference.read(found[0]) == expected
    if expected == reference.read(document):
        assert found[0] == document


@settings(max_examples=60)
@given(cases(), st.data())
def test_what_is_not_json_is_refused_wherever_it_stands(
    case: tuple[bytes, tuple[Redaction, ...], tuple[tuple[JsonPath, ...], ...], int], data: st.DataObject
) -> None:
    document, redact, fields, size = case
    at = data.draw(st.integers(0, len(document) - 1))
    damage = [b"", b",", b"}", b"]", b"{", b"1", b'"', b"\\", b"\x00", b"\xff", b":"]
    broken = document[:at] + data.draw(st.sampled_from(damage)) + document[at + 1 :]
    try:
        json.loads(broken.decode())
        valid = True
    except ValueError:
        valid = False
    outcomes = set()
    for step in (len(broken) or 1, size, 1):
        made = Rewriter(Plan(redact, fields), STYLES)
        try:
            for start in range(0, len(broken), step):
                made.feed(broken[start : start + step])
            made.end()
            outcomes.add(True)
        except Unreadable:
            outcomes.add(False)
    assert len(outcomes) == 1
    # Of valid ones some are refused, too: NUL or half a pair in a name, or no container where an allow-list applies.
    assert valid or outcomes == {False}
