"""The catalogue of tools: pages, validators, what schemas say, and what is never told."""

import pytest

from gateway.catalogue import MOST, answer, page
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
    first = answer(a_request(), {"tools": []})
    fields = dict(first.headers)
    assert (first.status, fields[b"cache-control"]) == (200, b"private, no-store")
    for known in (fields[b"etag"], b'"other", W/' + fields[b"etag"]):
        again = answer(a_request(headers=[(b"if-none-match", known)]), {"tools": []})
        assert (again.status, again.body) == (304, b"")
    assert answer(a_request(headers=[(b"if-none-match", fields[b"etag"])]), {"tools": [1]}).status == 200


def test_a_description_is_no_markup() -> None:
    assert b"<" not in answer(a_request(), {"tools": [{"description": "<script>alert(1)</script>"}]}).body


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
