"""Files laid over one another, and whose each value is."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.anchor import anchor
from gateway.config.document import read
from gateway.config.layers import Layers, merge
from gateway.settings import Settings

BASE = "a: 1\nmap: {x: 1, y: {z: 1}}\nlist: [{n: 1}, {n: 2}]\nword: base\n"
OVER = "map: {y: {z: 2}, w: 3}\nlist:\n  - {m: 5}\nword: {now: a map}\n"


def layers(*texts: str) -> Layers:
    return Layers([read(f"f{number}", text) for number, text in enumerate(texts)])


def test_mappings_merge_and_everything_else_is_replaced() -> None:
    assert layers(BASE, OVER).value == {
        "a": 1,
        "map": {"x": 1, "y": {"z": 2}, "w": 3},
        "list": [{"m": 5}],
        "word": {"now": "a map"},
    }


PLACES: dict[str, tuple[tuple[str | int, ...], tuple[str, int, int]]] = {
    "untouched": (("a",), ("f0", 1, 4)),
    "untouched in a merged mapping": (("map", "x"), ("f0", 2, 10)),
    "replaced": (("map", "y", "z"), ("f1", 1, 14)),
    "added": (("map", "w"), ("f1", 1, 21)),
    "item of a replaced list": (("list", 0, "m"), ("f1", 3, 9)),
    "absent from the new list, present in the old": (("list", 0, "n"), ("f1", 3, 5)),
    "beyond the new list": (("list", 1, "n"), ("f1", 3, 3)),
    "a mapping for a word": (("word", "now"), ("f1", 4, 13)),
    "in no file": (("nowhere",), ("f1", 1, 1)),
}


@pytest.mark.parametrize(("path", "place"), PLACES.values(), ids=PLACES.keys())
def test_each_value_keeps_the_place_of_the_file_that_gave_it(path: tuple[str | int, ...], place: tuple[str, int, int]) -> None:
    assert layers(BASE, OVER).where(path) == place


def test_problems_of_all_files_are_kept() -> None:
    assert [problem.file for problem in layers("a: *x", "b: *y").problems] == ["f0", "f1"]


def test_a_file_that_could_not_be_read_hides_no_other() -> None:
    assert layers("a: [", "b: 1").value == {"b": 1}
    assert layers("b: 1", "").value == {"b": 1}


TREES: st.SearchStrategy[Any] = st.recursive(
    st.integers() | st.lists(st.integers(), max_size=2), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)


@given(TREES, TREES)
def test_what_the_later_file_says_holds_and_nothing_else_is_lost(base: Any, over: Any) -> None:
    merged = merge(base, over)
    if not isinstance(base, dict) or not isinstance(over, dict):
        assert merged == over
        return
    assert set(merged) == set(base) | set(over)
    assert all(merged[key] == base[key] for key in set(base) - set(over))
    assert all(merged[key] == merge(base.get(key), over[key]) for key in over)


def test_relative_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    text = (
        "policies: [p, /abs]\nlisten: {tls: {certificate: c.crt, key: {file: sub/c.key}}}\nroutes: [{validate: {body: b.json}}]\n"
    )
    found = anchor(read(tmp_path / "deep" / "config.yaml", text), Settings)
    deep = tmp_path / "deep"
    assert found.value["policies"] == [str(deep / "p"), "/abs"]
    assert found.value["listen"]["tls"] == {"certificate": str(deep / "c.crt"), "key": {"file": str(deep / "sub/c.key")}}
    assert found.value["routes"][0]["validate"]["body"] == str(deep / "b.json")


@pytest.mark.parametrize(
    "text",
    [
        'audit: {file: "-"}',
        "log: {level: info}",
        "credentials: {a: {inject: bearer, secret: {env: A}}}",
        "policies: ''",
        "policies: 5",
        "x: [1]",
    ],
)
def test_what_is_no_path_is_left_alone(tmp_path: Path, text: str) -> None:
    document = read(tmp_path / "config.yaml", text)
    assert anchor(document, Settings).value == document.value
