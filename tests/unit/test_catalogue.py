"""The catalogue of tools: pages, validators, what schemas say, and what is never told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalogue import MOST, answer, joined, page, written
from gateway.core.errors import BadRequest
from gateway.listing import plain
from tests.fakes import a_request


@pytest.mark.parametrize(("query", "expected"), [(None, ("", MOST)), (b"after=a.b&limit=3", ("a.b", 3)), (b"limit=200", ("", 200))])
def test_a_page_is_asked_for_by_name_and_number(query: bytes | None, expected: tuple[str, int]) -> None:
    assert page(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        b"limit=0",
        b"limit=201",
        b"limit=-1",
        b"limit=1e2",
        "limit=٣".encode(),
        b"limit=1&limit=2",
        b"as=alice",
        b"after=%zz",
        b"limit=",
    ],
)
def test_anything_else_is_refused(query: bytes) -> None:
    with pytest.raises(BadRequest):
        page(query)


def test_an_answer_is_private_and_known_again_by_its_tag() -> None:
    first = answer(a_request(), b"{}")
    fields = dict(first.headers)
    assert (first.status, fields[b"cache-control"]) == (200, b"private, no-store")
    for known in (fields[b"etag"], b'"other", W/' + fields[b"etag"]):
        again = answer(a_request(headers=[(b"if-none-match", known)]), b"{}")
        assert (again.status, again.body) == (304, b"")
    assert answer(a_request(headers=[(b"if-none-match", fields[b"etag"])]), b"[]").status == 200


def test_a_description_is_no_markup() -> None:
    told = written({"description": "<script>alert(1)</script>"})
    assert (b"<" in told, json.loads(told)) == (False, {"description": "<script>alert(1)</script>"})


@given(st.dictionaries(st.text(), st.lists(st.text())))
def test_what_was_written_at_load_is_joined_to_the_same_document(document: dict[str, list[str]]) -> None:
    assert json.loads(joined({name: written(value) for name, value in document.items()})) == document


def test_schemas_are_told_without_their_authors_comments_and_addresses() -> None:
    schema = {
        "$id": "https://git.internal/schemas/issue.json",
        "$comment": "ask bob",
        "type": "object",
        "properties": {"$comment": {"type": "string", "$comment": "why"}, "a": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {"const": 1}},
    }
    assert plain(schema) == {
        "type": "object",
        "properties": {"$comment": {"type": "string"}, "a": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {"const": 1}},
    }
