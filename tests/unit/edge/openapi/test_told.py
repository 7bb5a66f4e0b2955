"""What clients are told of a description: what they are held against, and nothing of who is behind it."""

import json
from typing import Any

import jsonschema_rs
import pytest

from gateway.edge.openapi import told
from gateway.edge.openapi.told import Told, meets
from gateway.routing import parse
from tests.unit.edge.openapi.descriptions import described, document, operation

HOST = "db01.internal.example"
SAID = {
    "description": f"Kept at https://{HOST}/",
    "title": HOST,
    "example": HOST,
    "examples": [HOST],
    "default": HOST,
    "externalDocs": {"url": f"https://{HOST}"},
    "xml": {"namespace": f"https://{HOST}"},
    "x-owner": HOST,
    "$comment": HOST,
    "deprecated": True,
    "contentSchema": {"description": HOST},
    "$defs": {"dead": {"description": HOST}},
    "discriminator": {"propertyName": "kind", "mapping": {"a": HOST}},
}
"""All that authors say beside what judges values."""


def one(text: bytes, **config: Any) -> tuple[Told, Any]:
    [found] = described(text, tell=True, **config).told
    return found, None if found.document is None else json.loads(found.document)


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_parameters_and_bodies_are_told_as_they_are_enforced(version: str) -> None:
    body = {"type": "object", "properties": {"title": {"type": "string"}, "id": {"type": "integer", "readOnly": True}}}
    page = {"name": "page", "in": "query", "schema": {"type": "integer", "minimum": 1}}
    key = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    made = operation(page, key, body=body, summary="Change an issue")
    made["requestBody"]["content"]["multipart/form-data"] = {"schema": {"type": "object"}}
    found, said = one(document({"/issues/{id}": {"put": made}}, version=version))
    assert found[:4] == ("PUT", "/issues/{id}", False, "Change an issue")
    assert said["parameters"]["properties"] == {
        "path": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
        "query": {
            "type": "object",
            "properties": {"page": {"type": "integer", "minimum": 1}},
            "required": [],
            "additionalProperties": False,
        },
    }
    assert said["body"] == {
        "application/json": {"type": "object", "properties": {"title": {"type": "string"}, "id": False}},
        "multipart/form-data": None,
    }
    assert said["body_required"] is True


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_nothing_an_author_says_is_told_wherever_it_stands(version: str) -> None:
    """CWE-200: descriptions are written for those who may know the upstream."""
    inner = {**SAID, "type": "object", "properties": {"description": {**SAID, "type": "string"}}}
    body = {
        **SAID,
        "allOf": [{**SAID, "type": "object"}, {"$ref": "#/components/schemas/db01.internal.example"}],
        "not": {**SAID, "const": 1},
    }
    page = {"name": "page", "in": "query", "schema": {**SAID, "type": "string"}, "description": HOST, "example": HOST}
    made = operation(
        page, body=body, description=HOST, summary=f"See {HOST}", security=[{HOST: []}], servers=[{"url": f"https://{HOST}"}]
    )
    made["externalDocs"], made["x-backend"], made["operationId"] = {"url": f"https://{HOST}"}, HOST, HOST
    components = {"schemas": {HOST: inner}, "securitySchemes": {HOST: {"type": "http", "scheme": "basic"}}}
    text = document({"/a": {"post": made}}, version=version, components=components, servers=[{"url": f"https://{HOST}/v1"}])
    found, said = one(text)
    assert HOST not in repr(found)
    assert "db01" not in repr(found)
    assert "description" in json.dumps(said)  # the property of that name
    [reference] = [each["$ref"] for each in said["body"]["application/json"]["allOf"] if "$ref" in each]
    assert said["body"]["application/json"]["$defs"][reference.removeprefix("#/$defs/")] == {
        "type": "object",
        "properties": {"description": {"type": "string"}},
    }


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_a_schema_that_holds_itself_is_told_once_and_needs_no_other_document(version: str) -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}, "name": {"type": "string"}}}
    body = {"type": "array", "items": {"$ref": "#/components/schemas/Node"}}
    _, said = one(document({"/a": {"post": operation(body=body)}}, version=version, components={"schemas": {"Node": node}}))
    schema = said["body"]["application/json"]
    validator = jsonschema_rs.Draft202012Validator(schema, offline=True)
    assert validator.is_valid([{"next": {"next": {"name": "a"}}}])
    assert not validator.is_valid([{"next": {"next": {"name": 1}}}])
    assert len(schema["$defs"]) == 1


def test_schemas_that_each_hold_the_next_twice_stay_small() -> None:
    """2^40 schemas if references were written out."""
    schemas: dict[str, Any] = {
        f"s{n}": {"type": "object", "properties": {side: {"$ref": f"#/components/schemas/s{n + 1}"} for side in "ab"}}
        for n in range(40)
    }
    schemas["s40"] = {"type": "string"}
    found, _ = one(document({"/a": {"post": operation(body={"$ref": "#/components/schemas/s0"})}}, components={"schemas": schemas}))
    assert found.document is not None
    assert len(found.document) < 8000


def test_what_is_huge_is_not_told() -> None:
    body = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(4000)}}
    found, said = one(document({"/a": {"post": operation(body=body)}}))
    assert (found.method, found.path, said) == ("POST", "/a", None)
    words = {"type": "object", "description": "d" * 10**6, "properties": {"a": {"description": "d" * 10**6}}}
    _, said = one(document({"/a": {"post": operation(body=words)}}))
    assert said["body"] == {"application/json": {"type": "object", "properties": {"a": {}}}}


def test_many_operations_that_share_much_are_told_until_there_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each brings with it what it refers to, so that a small description could become gigabytes."""
    shared = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(900)}}
    paths = {f"/{number}": {"post": operation(body={"$ref": "#/components/schemas/a"})} for number in range(20)}
    text = document(paths, components={"schemas": {"a": shared}})
    monkeypatch.setattr(told, "KEPT", 100_000)
    found = described(text, tell=True).told
    assert len(found) == 20
    assert 100_000 < sum(len(each.document or b"") for each in found) < 100_000 + told.MOST
    monkeypatch.setattr(told, "MOST", 1000)
    assert all(each.document is None for each in described(text, tell=True).told)


@pytest.mark.parametrize(
    "summary",
    [
        "See https://a",
        "On db01.internal",
        "At 10.0.0.1",
        "At [::1]",
        "At localhost:8080",
        "Ask bob@example",
        "On //host",
        "On \\\\host",
        "two\nlines",
        "two\u2028lines",
        "x" * 121,
        7,
        None,
        {"a": 1},
    ],
)
def test_a_summary_that_could_tell_an_address_is_not_told(summary: Any) -> None:
    found, _ = one(document({"/a": {"get": operation(summary=summary)}}))
    assert found.summary == ""


def test_nothing_is_made_where_nobody_is_told() -> None:
    assert described(document({"/a": {"get": operation()}})).told == ()


@pytest.mark.parametrize(
    ("pattern", "path", "rest", "expected"),
    [
        ("/**", "/a/b", False, True),
        ("/t/**", "/t/v1/issues", False, True),
        ("/t/**", "/u/v1", False, False),
        ("/t/**", "/t", False, False),
        ("/issues", "/issues", False, True),
        ("/issues", "/issues/", False, False),
        ("/issues", "/{id}", False, True),
        ("/issues/{id}", "/issues/{number}", False, True),
        ("/issues/{id}", "/issues/latest", False, True),
        ("/issues/latest", "/issues/oldest", False, False),
        ("/issues/*", "/issues/{id}/comments", False, False),
        ("/a/{b}/{c}", "/a/{path}", True, True),
        ("/a/{b}/{c}", "/a/{path}", False, False),
        ("/files/{name}", "/files/{id}.json", False, True),
        ("/a%20b", "/a b", False, True),
    ],
)
def test_operations_are_those_of_the_paths_that_a_route_takes(pattern: str, path: str, rest: bool, expected: bool) -> None:
    assert meets(parse(pattern).segments, path, rest=rest) is expected


def test_all_that_may_be_told_judges_values() -> None:
    assert not told.JUDGING & SAID.keys()
