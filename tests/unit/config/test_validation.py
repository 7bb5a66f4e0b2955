"""Findings about data against a model: all at once, each in its place, in plain words, never with the value."""

import json
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from gateway.config.document import read
from gateway.config.validation import suggest, validate
from gateway.config.values import Duration, FilePath, FileSecret, Model, Name, SecretRef, Size
from gateway.settings import Settings


class Leaf(Model):
    """One leaf."""

    kind: Literal["leaf"]
    size: Size = 1


class Branch(Model):
    """One branch."""

    kind: Literal["branch"]
    leaves: list[Leaf]


class Redis(Model):
    """A store."""

    redis: str


class Tree(Model):
    """Everything validation meets."""

    name: Name
    from_: Annotated[str, Field(alias="from")] = "here"
    age: Annotated[int, Field(ge=1, le=9)] = 1
    on: bool = False
    wait: Duration = 1.0
    file: FilePath | None = None
    secret: SecretRef | None = None
    key: FileSecret | None = None
    store: Literal["memory"] | Redis = "memory"
    who: list[str] | Literal["any"] = "any"
    part: Annotated[Leaf | Branch, Field(discriminator="kind")] | None = None
    parts: dict[Name, Leaf] = {}
    words: Annotated[list[str], Field(min_length=1)] = ["a"]


WRONG = {
    "unknown key": ("name: a\nagee: 1", "f:2:1: agee: unknown key 'agee' (did you mean 'age'?)"),
    "unknown key by its alias": ("name: a\nform: x", "f:2:1: form: unknown key 'form' (did you mean 'from'?)"),
    "a field's Python name": ("name: a\nfrom_: x", "f:2:1: from_: unknown key 'from_' (did you mean 'from'?)"),
    "unknown key, nothing near": ("name: a\npart: {kind: leaf, zzz: 1}", "f:2:20: part.zzz: unknown key 'zzz' (known: kind, size)"),
    "missing key": ("age: 1", "f:1:1: 'name' is required"),
    "missing key of a part": ("name: a\npart:\n  kind: branch", "f:2:1: part: 'leaves' is required"),
    "missing key of a list's item": (
        "name: a\npart:\n  kind: branch\n  leaves:\n    - size: 1",
        "f:5:7: part.leaves[0]: 'kind' is required",
    ),
    "number for text": ("name: 1", "f:1:7: name: expected text (quote it)"),
    "text for a number": ("name: a\nage: x", "f:2:6: age: expected a whole number"),
    "fraction for a number": ("name: a\nage: 1.5", "f:2:6: age: expected a whole number"),
    "text for a truth": ("name: a\non: yes", "f:2:5: on: expected true or false"),
    "number for a truth": ("name: a\non: 1", "f:2:5: on: expected true or false"),
    "too small": ("name: a\nage: 0", "f:2:6: age: must be at least 1"),
    "too large": ("name: a\nage: 10", "f:2:6: age: must be at most 9"),
    "duration": ("name: a\nwait: 10", "f:2:7: wait: a duration is written like 500ms, 10s, 5m, 24h or 90d"),
    "size": (
        "name: a\npart: {kind: leaf, size: 1MB}",
        "f:2:26: part.size: a size is written like 64KiB, 1MiB or 4096",
    ),
    "path": ("name: a\nfile: 3", "f:2:7: file: expected a path"),
    "name": ("name: 'a b'", "f:1:7: name: a name has letters, digits, '.', '_' and '-'"),
    "name as a key": ("name: a\nparts: {'a b': {kind: leaf}}", 'f:2:9: parts["a b"]: a name has letters'),
    "bare secret": (
        "name: a\nsecret: hunter2",
        "f:2:9: secret: a secret is a reference: {env: NAME}, {file: PATH} or {sealed: NAME}",
    ),
    "secret with two sources": ("name: a\nsecret: {env: A, file: b}", "f:2:9: secret: a secret is a reference"),
    "secret with an unknown source": ("name: a\nsecret: {evn: A}", "f:2:9: secret: a secret is a reference"),
    "secret with more": ("name: a\nsecret: {env: A, x: 1}", "f:2:18: secret.x: unknown key 'x' (known: env)"),
    "secret's variable": ("name: a\nsecret: {env: '**'}", "f:2:15: secret.env: a variable's name has letters"),
    "bare key": ("name: a\nkey: hunter2", "f:2:6: key: a private key is a reference: {file: PATH} (keys and passwords are never"),
    "word": ("name: a\nstore: memry", "f:2:8: store: expected 'memory' or a mapping"),
    "near word": ("name: a\npart: {kind: laef}", "f:2:7: part: 'kind': expected one of 'leaf', 'branch'"),
    "no kind": ("name: a\npart: {size: 1}", "f:2:7: part: 'kind' is required"),
    "inside the likelier branch": ("name: a\nstore: {redis: 5}", "f:2:16: store.redis: expected text (quote it)"),
    "list or word": ("name: a\nwho: 5", "f:2:6: who: expected a list or 'any'"),
    "list or word, list": ("name: a\nwho: [5]", "f:2:7: who[0]: expected text (quote it)"),
    "empty list": ("name: a\nwords: []", "f:2:8: words: must not be empty"),
    "mapping for a list": ("name: a\nwords: {}", "f:2:8: words: expected a list"),
    "list for a mapping": ("name: a\nparts: []", "f:2:8: parts: expected a mapping"),
    "list for everything": ("- a", "f:1:1: expected a mapping"),
    "nothing": ("", "f:1:1: is empty"),
    "comment only": ("# nothing", "f:1:1: is empty"),
}


@pytest.mark.parametrize(("text", "problem"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_told_in_its_place_and_in_plain_words(text: str, problem: str) -> None:
    model, problems = validate(Tree, read("f", text))
    assert model is None
    assert len(problems) == 1
    assert str(problems[0]).startswith(problem)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = "agee: 1\nage: 0\nsecret: x\nstore: y\npart: {kind: leaf, siz: 1}\nwords: []\n"
    _, problems = validate(Tree, read("f", text))
    assert [(problem.line, problem.column) for problem in problems] == [(1, 1), (1, 1), (2, 6), (3, 9), (4, 8), (5, 20), (6, 8)]


def test_what_fits_becomes_the_model() -> None:
    model, problems = validate(
        Tree, read("f", "name: a\nfrom: there\npart: {kind: leaf, size: 2KiB}\nsecret: {file: /x}\nwait: 2m")
    )
    assert problems == []
    assert model is not None
    assert (model.from_, model.wait) == ("there", 120.0)


class Long(Model):
    """A long list of one model, beside other things."""

    name: Name
    leaves: Annotated[list[Leaf], Field(alias="all", min_length=1)]
    few: Annotated[list[Leaf], Field(max_length=3)] = []


def test_a_long_list_becomes_the_same_model_as_in_one_piece() -> None:
    data = {"name": "a", "all": [{"kind": "leaf", "size": number} for number in range(1000)]}
    model, problems = validate(Long, read("f", json.dumps(data)))
    assert problems == []
    assert model == Long.model_validate(data)


def test_a_mistake_in_a_long_list_is_told_with_its_whole_path() -> None:
    data = {"name": "a b", "all": [{"kind": "leaf"}] * 700 + [{"kind": "lead"}] + [{"kind": "leaf"}] * 100}
    _, problems = validate(Long, read("f", json.dumps(data)))
    assert [problem.path for problem in problems] == ["name", "all[700].kind"]


def test_a_bound_on_a_list_holds_for_a_long_one() -> None:
    data = {"name": "a", "all": [{"kind": "leaf"}], "few": [{"kind": "leaf"}] * 500}
    _, [problem] = validate(Long, read("f", json.dumps(data)))
    assert (problem.path, problem.message) == ("few", "at most 3 items are allowed")


def test_a_part_of_a_document_is_validated_in_its_place() -> None:
    document = read("f", "outer:\n  inner:\n    name: 5\n")
    model, [problem] = validate(Tree, document, ("outer", "inner"))
    assert model is None
    assert str(problem) == "f:3:11: outer.inner.name: expected text (quote it)"


def test_a_place_that_the_reader_refused_is_not_complained_about_again() -> None:
    document = read("f", "name: *x\nage: 0")
    _, problems = validate(Tree, document)
    assert [problem.path for problem in problems] == ["age"]


def test_a_document_that_could_not_be_read_gets_no_second_problem() -> None:
    assert validate(Tree, read("f", "a: [")) == (None, [])


@pytest.mark.parametrize(
    "text", ["name: hunter2hunter2 x", "secret: hunter2", "key: hunter2", "secret: {env: hunter2 x}", "age: hunter2"]
)
def test_a_problem_never_shows_the_value(text: str) -> None:
    _, problems = validate(Tree, read("f", text))
    assert problems
    assert all("hunter2" not in str(problem) for problem in problems)


@pytest.mark.parametrize("version", ["true", "'1'", "1.0", "2", "null"])
def test_the_version_is_the_number_one(version: str) -> None:
    _, problems = validate(Settings, read("f", f"version: {version}"))
    assert [problem.path for problem in problems] == ["version"]


def test_a_suggestion_is_the_nearest_word_else_the_few_there_are() -> None:
    assert suggest("gihub", ["github", "jira"]) == "did you mean 'github'?"
    assert suggest("zzz", ["github", "jira"]) == "known: github, jira"
    assert suggest("zzz", [f"name{number}x" for number in range(40)]) == ""
    assert suggest(5, []) == ""


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab.*/:", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*Tree.model_json_schema()["properties"], "env", "kind", "redis", "x", "[key]"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(ANYTHING)
@settings(max_examples=500, deadline=None)
def test_whatever_the_data_is_it_becomes_a_model_or_problems_with_places(value: object) -> None:
    document = read("f", json.dumps(value))
    model, problems = validate(Tree, document)
    assert (model is None) == bool(problems)
    assert all(problem.line >= 1 and problem.message for problem in problems)
