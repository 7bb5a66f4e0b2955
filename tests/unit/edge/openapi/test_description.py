"""Descriptions at load: what is understood, what is refused with its place, what hostile ones can do."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import ConfigError
from gateway.edge.openapi.document import MOST_BYTES, load
from gateway.edge.openapi.templates import Mixed, Templates, literal
from tests.unit.edge.openapi.descriptions import JSON, Stage, described, document, operation


def refused(text: bytes, **config: Any) -> str:
    with pytest.raises((ValueError, ConfigError)) as error:
        described(text, **config)
    return str(error.value)


async def body_of(schema: Any, value: Any, *, version: str = "3.0.3", **more: Any) -> str:
    stage = Stage(document({"/a": {"post": operation(body=schema)}}, version=version, **more))
    return await stage.asked("POST", "/a", JSON, body=json.dumps(value).encode())


@pytest.mark.parametrize(
    ("schema", "taken", "refused"),
    [
        ({"type": "string", "nullable": True}, [None, "a"], [1]),
        ({"type": "string"}, ["a"], [None]),
        ({"type": "string", "enum": ["a"], "nullable": True}, [None, "a"], ["b"]),
        ({"nullable": True, "allOf": [{"type": "integer"}]}, [None, 1], ["a"]),
        ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, [2], [1]),
        ({"type": "integer", "maximum": 1, "exclusiveMaximum": False}, [1], [2]),
        ({"type": "integer", "format": "int32"}, [2**31 - 1, -(2**31)], [2**31, -(2**31) - 1]),
        ({"type": "integer", "format": "int64"}, [2**63 - 1], [2**63]),
        ({"type": "integer", "format": "int32", "maximum": 9}, [9], [10]),
        ({"type": "string", "format": "byte"}, ["", "YQ==", "YWI="], ["YQ", "a b="]),
        ({"type": "string", "format": "password"}, ["x"], [1]),
        ({"type": "string", "example": 5, "xml": {}, "description": "d", "default": 5}, ["a"], [5]),
        ({"$ref": "#/components/schemas/Tree", "maxProperties": 0}, [{"children": [{"children": []}]}], [{"children": [{"children": [1]}]}]),
        ({"oneOf": [{"$ref": "#/components/schemas/Tree"}], "discriminator": {"propertyName": "x"}}, [{}], [1]),
        ({"type": "object", "required": ["id", "a"], "properties": {"id": {"$ref": "#/components/schemas/Id"}, "a": {}}}, [{"a": 1}], [{"a": 1, "id": 1}, {"id": 1}]),
        ({"properties": {"id": {"allOf": [{"$ref": "#/components/schemas/Id"}]}}}, [{}], [{"id": 1}]),
    ],
)  # fmt: skip
async def test_schemas_of_3_0_mean_what_they_say(schema: Any, taken: list[Any], refused: list[Any]) -> None:
    components = {"schemas": {"Tree": {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}},
                              "Id": {"type": "integer", "readOnly": True}}}  # fmt: skip
    for value in taken:
        assert await body_of(schema, value, components=components) == "passed", value
    for value in refused:
        assert (await body_of(schema, value, components=components)).startswith("body-invalid"), value


@pytest.mark.parametrize(
    ("schema", "taken", "refused"),
    [
        ({"type": ["string", "null"]}, [None, "a"], [1]),
        ({"exclusiveMinimum": 1}, [2], [1]),
        ({"const": 1}, [1], [2]),
        ({"$ref": "#/components/schemas/Any", "maxProperties": 1}, [{}], [{"a": 1, "b": 2}]),
        ({"prefixItems": [{"$ref": "#/components/schemas/Text"}]}, [["a"], []], [[1]]),
    ],
)
async def test_schemas_of_3_1_are_json_schema(schema: Any, taken: list[Any], refused: list[Any]) -> None:
    components = {"schemas": {"Any": {}, "Text": {"type": "string"}}}
    for value in taken:
        assert await body_of(schema, value, version="3.1.0", components=components) == "passed", value
    for value in refused:
        assert (await body_of(schema, value, version="3.1.0", components=components)).startswith("body-invalid"), value


GET = {"get": operation()}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "not an OpenAPI"),
        (b"[]", "not an OpenAPI"),
        (b"{", "not a JSON document"),
        (b'{"openapi": "3.0.0", "openapi": "3.0.1", "paths": {}}', "a member comes twice"),
        (b"a: &x 1\nb: *x\n", "anchors are not allowed"),
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
        (document(GET, version="2.0"), "3.0 and 3.1"),
        (document(GET, version="3.2.0"), "3.0 and 3.1"),
        (document({}), "no operations"),
        (document([]), "paths"),
        (document({"a": GET}), "begins with /"),
        (document({"/a": {"get": []}}), "GET /a: operation: expected a mapping"),
        (document({"/a/{x}": GET, "/a/{y}": GET}), "/a/{y}: another path matches the same"),
        (document({"/a/{x}{y}": GET}), "cannot be told apart"),
        (document({"/a/../b": GET}), "stand in no path"),
        (document({"/a": {"get": operation({"in": "path", "name": "x", "schema": {}})}}), "GET /a: parameters: the path has no {x}"),
        (document({"/a": {"get": operation({"in": "body", "name": "x"})}}), "parameters/0"),
        (document({"/a": {"get": operation({"$ref": "https://127.0.0.1:1/p.json"})}}), "GET /a: parameters/0/$ref: leads out of the document"),
        (document({"/a": {"post": operation(body={"$ref": "http://127.0.0.1:1/s.json"})}}), "POST /a: requestBody/content/application/json/$ref: leads out"),
        (document({"/a": {"post": operation(body={"items": {"$ref": "file:///etc/passwd"}})}}), "application/json/items/$ref: leads out"),
        (document({"/a": {"post": operation(body={"$ref": "other.yaml#/A"})}}), "leads out"),
        (document({"/a": {"post": operation(body={"$ref": "#/components/schemas/Absent"})}}), "does not exist"),
        (document({"/a": {"$ref": "#/paths/~1b"}, "/b": {"$ref": "#/paths/~1a"}}), "round in a circle"),
        (document({"/a": {"post": operation(body={"format": "datetime"})}}), "/format: unknown format 'datetime' (did you mean 'date-time'?)"),
        (document({"/a": {"post": operation(body={"pattern": "(?=x)"})}}), "POST /a: "),
        (document({"/a": {"post": operation(body={"type": "strin"})}}), "POST /a: "),
        (document({"/a": {"post": operation(body={"$id": "x"})}}, version="3.1.0"), "$id: is not supported"),
        (document({"/a": {"post": operation(body=5)}}), "a schema is a mapping"),
        (document({"/a": {"get": operation({"in": "query", "name": "x", "schema": {"type": "object"}})}}), "only supported as deepObject"),
        (document({"/a/{x}": {"get": operation({"in": "path", "name": "x", "schema": {}, "style": "matrix"})}}), "'matrix' is not supported in the path"),
        (document({"/a": {"get": operation({"in": "query", "name": "x", "style": "deepObject", "schema": {"properties": {"a": {"type": "object"}}}})}}), "deepObject needs"),
        (document({"/a": {"get": operation({"in": "cookie", "name": "x", "schema": {"type": "array"}})}}), "a list in a cookie"),
        (document({"/a": {"get": operation({"in": "query", "name": "x", "content": {"a/b": {}}})}}), "only application/json"),
        (document({"/a": GET}, servers=[{"url": "/v1"}, {"url": "/v2"}]), "servers"),
        (document({"/a": GET}, servers=[{"url": "https://x/{v}"}]), "servers"),
        (document({"/a": GET}, version="3.1.0", jsonSchemaDialect="http://json-schema.org/draft-07/schema"), "jsonSchemaDialect"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_refused_at_load_with_its_place(text: bytes, told: str) -> None:
    assert told in refused(text)


def test_all_that_is_wrong_is_told_at_once() -> None:
    bad = operation(body={"format": "x"})
    problems = refused(document({"/a": {"post": bad, "put": bad}, "/b": {"post": bad}, "c": GET})).splitlines()
    assert len(problems) == 4
    assert all(problem.startswith("api.json: ") for problem in problems)


def test_unknown_formats_are_passed_over_where_the_route_says_so() -> None:
    described(document({"/a": {"post": operation(body={"format": "repo.nwo"})}}), unknown_formats="ignore")


def test_description_may_be_yaml() -> None:
    text = b'openapi: 3.1.0\npaths:\n  /a:\n    get: {responses: {"200": {description: ok}}}\n'
    assert described(text).count == 1


def test_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "large.json"
    with file.open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(ValueError, match="larger than"):
        load(file)
    with pytest.raises(ValueError, match="cannot be read"):
        load(tmp_path / "absent.json")


def test_long_chain_of_references_ends() -> None:
    schemas: dict[str, Any] = {f"S{number}": {"items": {"$ref": f"#/components/schemas/S{number + 1}"}} for number in range(3000)}
    schemas["S3000"] = {"type": "string"}
    described(document({"/a": {"post": operation(body={"$ref": "#/components/schemas/S0"})}}, components={"schemas": schemas}))


async def test_references_that_only_lead_to_each_other_end() -> None:
    schemas = {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}
    text = document({"/a": {"post": operation(body={"$ref": "#/components/schemas/A"})}}, components={"schemas": schemas})
    await Stage(text).asked("POST", "/a", JSON, body=b"1")


@pytest.mark.parametrize(
    ("template", "segment", "captured"),
    [
        ("{a}...{b}", "x...y", ("x", "y")),
        ("{a}...{b}", "x...y...z", ("x", "y...z")),
        ("{a}...{b}", "......", (".", "..")),
        ("{a}...{b}", "...", None),
        ("{a}...{b}", ".......", (".", "...")),
        ("{id}.json", "7.json", ("7",)),
        ("{id}.json", ".json", None),
        ("v{a}:{b}", "v1:cancel", ("1", "cancel")),
        ("v{a}:{b}", "v:cancel", None),
        ("v{a}:{b}", "w1:b", None),
    ],
)
def test_text_around_parameters_is_matched_without_backtracking(
    template: str, segment: str, captured: tuple[str, ...] | None
) -> None:
    assert Mixed(template).captured(segment) == captured


def test_most_specific_template_is_found_segment_by_segment() -> None:
    templates: Templates[str] = Templates()
    for template in ("/a/{x}/c", "/a/b/{y}", "/a/{x}.z/c", "/{r}", "/a/b/c", "/"):
        templates.add(template, template)
    templates.add("/a/{x}/{rest}", "rest", rest=True)
    found = {
        path: (templates.find(tuple(path[1:].split("/"))) or ("",))[0]
        for path in ("/a/b/c", "/a/b/d", "/a/q/c", "/a/q.z/c", "/a/q/d/e", "/q", "/", "/a/b", "//")
    }
    assert found == {
        "/a/b/c": "/a/b/c",
        "/a/b/d": "/a/b/{y}",
        "/a/q/c": "/a/{x}/c",
        "/a/q.z/c": "/a/{x}.z/c",
        "/a/q/d/e": "rest",
        "/q": "/{r}",
        "/": "/",
        "/a/b": "",
        "//": "",
    }


def test_literals_are_compared_in_canonical_form() -> None:
    assert literal("%7euser") == "~user"
    assert literal("größe") == "gr%C3%B6%C3%9Fe"
    with pytest.raises(ValueError, match="stand in no path"):
        literal("%00")


@given(st.text(max_size=40), st.lists(st.text(max_size=10), max_size=6))
def test_any_template_and_path_come_to_an_answer(template: str, segments: list[str]) -> None:
    templates: Templates[int] = Templates()
    try:
        templates.add("/" + template, 1)
    except ValueError:
        return
    templates.nearest(tuple(segments))
    try:
        templates.find(tuple(segments))
    except ValueError:  # only of segments that are not canonical
        assert any(not segment.isascii() or "%" in segment for segment in segments)


JSONLIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["#", "#/components/schemas/A", "string", "x", "object", "array", "/a", "query", "path"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["get", "post", "parameters", "schema", "$ref", "type", "properties", "items", "allOf", "in", "name", "requestBody",
                                       "content", "application/json", "responses", "required", "enum", "format", "nullable", "readOnly"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSONLIKE, JSONLIKE, st.sampled_from(["3.0.3", "3.1.0"]))
def test_no_description_breaks_the_loader(item: Any, schema: Any, version: str) -> None:
    text = document(
        {"/a": item, "/b/{x}": {"post": operation(body=schema)}}, version=version, components={"schemas": {"A": schema}}
    )
    with suppress(ValueError, ConfigError):
        described(text, responses="report")


MISSPELT = {"type": "strng"}
TOLD = "unknown type 'strng' (did you mean 'string'?)"


@pytest.mark.parametrize(
    ("item", "more", "place"),
    [
        (
            {"get": operation({"name": "org", "in": "path", "schema": MISSPELT})},
            {},
            "#/paths/~1orgs~1{org}/get/parameters/0/schema/type",
        ),
        (
            {"parameters": [{"name": "q", "in": "query", "schema": {"items": MISSPELT}}], "get": operation()},
            {},
            "#/paths/~1orgs~1{org}/parameters/0/schema/items/type",
        ),
        (
            {"get": operation({"$ref": "#/components/parameters/Q"})},
            {"components": {"parameters": {"Q": {"name": "q", "in": "query", "schema": MISSPELT}}}},
            "#/components/parameters/Q/schema/type",
        ),
        (
            {"get": operation({"name": "q", "in": "query", "content": {"application/json": {"schema": MISSPELT}}})},
            {},
            "#/paths/~1orgs~1{org}/get/parameters/0/content/application~1json/schema/type",
        ),
        ({"post": operation(body={"properties": {"a": MISSPELT}})}, {}, "requestBody/content/application/json/properties/a/type"),
        (
            {"post": operation(body={"$ref": "#/components/schemas/A"})},
            {"components": {"schemas": {"A": MISSPELT}}},
            "#/components/schemas/A/type",
        ),
    ],
    ids=["operation", "path", "reference", "content", "body", "schema"],
)
def test_a_misspelt_type_is_told_where_it_stands_in_the_description(item: Any, more: Any, place: str) -> None:
    assert f"{place}: {TOLD}" in refused(document({"/orgs/{org}": item}, **more))
