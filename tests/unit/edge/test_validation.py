"""What a route takes as a body."""

import json
import re
from typing import Any

import pytest

from gateway.core.errors import BadRequest
from gateway.core.message import Field, Request
from gateway.core.reason import Reason
from gateway.edge.media import INSPECTED
from gateway.edge.model import Validate
from gateway.edge.validation import NO_VALIDATION, Validation
from tests.fakes import HeldBody, a_request

ISSUE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["title"],
    "additionalProperties": False,
    "properties": {
        "title": {"type": "string", "minLength": 1, "pattern": "^[a-z ]*$"},
        "email": {"type": "string", "format": "email"},
        "labels": {"type": "array", "items": {"$ref": "#/$defs/label"}},
    },
    "$defs": {"label": {"enum": ["bug", "idea"]}},
}


def validation(schema: Any = None, **config: Any) -> Validation:
    return Validation(Validate.model_validate(config), {} if schema is None else {"body": json.dumps(schema).encode()})


def sent(
    *pieces: bytes,
    type: bytes | None = b"application/json",
    method: str = "POST",
    declared: bool = True,
    more: tuple[Field, ...] = (),
) -> Request:
    headers = [(b"content-type", type)] if type is not None else []
    return a_request(method, headers=[*headers, *more], body=HeldBody(*pieces, declared=declared))


async def refusal(stage: Validation, request: Request) -> BadRequest:
    with pytest.raises(BadRequest) as refused:
        await stage.validate(request)
    return refused.value


async def test_body_that_fits_the_schema_passes_and_is_kept_for_the_upstream() -> None:
    request = sent(b'{"title": "a b",', b' "labels": ["bug"], "email": "a@b.example"}')
    await validation(ISSUE).validate(request)
    assert request.body.whole == b'{"title": "a b", "labels": ["bug"], "email": "a@b.example"}'


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, [("", "required")]),
        ([], [("", "type")]),
        ({"title": 5}, [("/title", "type")]),
        ({"title": "CANARY"}, [("/title", "pattern")]),
        ({"title": "a", "email": "canary"}, [("/email", "format")]),
        ({"title": "a", "labels": ["bug", "canary"]}, [("/labels/1", "enum")]),
        ({"title": "a", "canary": 1}, [("", "additionalProperties")]),
        ({"title": "", "email": "x"}, [("/email", "format"), ("/title", "minLength")]),
    ],
    ids=["required", "type", "type of a member", "pattern", "format", "enum", "unknown member", "two errors"],
)
async def test_body_that_does_not_is_told_where_and_why_and_never_what(body: Any, errors: list[tuple[str, str]]) -> None:
    error = await refusal(validation(ISSUE), sent(json.dumps(body).encode()))
    assert (error.status, error.reason) == (422, Reason.BODY_INVALID)
    assert error.members is not None
    assert sorted((each["pointer"], each["keyword"]) for each in error.members["errors"]) == errors
    assert "canary" not in (str(error.members) + error.detail).lower()


async def test_pointer_is_escaped_and_bounded() -> None:
    schema = {"additionalProperties": {"additionalProperties": {"type": "string"}}}
    error = await refusal(validation(schema), sent(json.dumps({"a/b~c": {"x" * 2000: 1}}).encode()))
    assert error.members == {"errors": [{"pointer": "/a~1b~0c", "keyword": "type"}]}


@pytest.mark.parametrize("count", [50, 300_000], ids=["small", "large"])
async def test_number_of_errors_is_bounded(count: int) -> None:
    error = await refusal(validation({"items": {"type": "string"}}), sent(b"[" + b",".join([b"1"] * count) + b"]"))
    assert error.members is not None
    assert 1 <= len(error.members["errors"]) <= 10


@pytest.mark.parametrize(
    "type",
    [
        b"application/json",
        b"Application/JSON ; charset=UTF-8",
        b"application/problem+json",
        b'application/json;charset="utf-8"',
        b"application/json; v=1",
    ],
    ids=str,
)
async def test_json_media_types_are_taken_where_none_are_listed(type: bytes) -> None:
    await validation(ISSUE).validate(sent(b'{"title":"a"}', type=type))


@pytest.mark.parametrize("type", [None, b"", b"text/plain", b"application/jsonp", b"text/json", b"application/x-www-form-urlencoded", b"application/json, text/plain",
                                  b"application/json; charset=utf-16", b"application/json; charset=utf-7",
                                  b"application/json; charset=utf-8; charset=utf-7"], ids=str)  # fmt: skip
async def test_other_media_types_are_refused_where_a_schema_reads(type: bytes | None) -> None:
    error = await refusal(validation(ISSUE), sent(b'{"title":"a"}', type=type))
    assert (error.status, error.reason) == (415, Reason.MEDIA_TYPE)


async def test_listed_media_types_are_compared_without_parameters_and_case() -> None:
    stage = validation(content_types=["Text/CSV; header=present", "application/xml"])
    await stage.validate(sent(b"a,b", type=b"TEXT/csv;charset=utf-8"))
    assert (await refusal(stage, sent(b"{}"))).status == 415
    assert (await refusal(stage, sent(b"{}", type=None))).status == 415


async def test_media_type_that_comes_twice_is_refused() -> None:
    request = sent(b'{"title":"a"}', more=((b"content-type", b"text/plain"),))
    assert (await refusal(validation(ISSUE), request)).status == 415


async def test_body_is_not_read_where_nothing_reads_it() -> None:
    body = HeldBody(b"x" * 1000)
    await validation(content_types=["application/json"], body_limit=1000).validate(
        a_request("POST", headers=[(b"content-type", b"application/json")], body=body)
    )
    assert body.read_calls == 0


async def test_declared_length_over_the_limit_is_refused_unread() -> None:
    body = HeldBody(b"x" * 1001)
    error = await refusal(validation(body_limit=1000), a_request("POST", body=body))
    assert (error.status, error.close, body.received) == (413, True, 0)


async def test_streamed_length_over_the_limit_is_refused_while_it_comes() -> None:
    body = HeldBody(b"x" * 600, b"x" * 600, declared=False)
    request = a_request("POST", body=body)
    await validation(body_limit=1000).validate(request)
    with pytest.raises(BadRequest) as refused:
        async for _ in body:
            pass
    assert refused.value.status == 413


async def test_bytes_that_came_before_the_limit_was_known_count() -> None:
    body = HeldBody(b"x" * 1200, declared=False)
    body.received = 1200
    assert (await refusal(validation(body_limit=1000), a_request("POST", body=body))).status == 413


async def test_limit_of_the_listener_is_never_raised() -> None:
    body = HeldBody(b"x", limit=10)
    await validation(body_limit=1000).validate(a_request("POST", body=body))
    assert body.limit == 10


async def test_inspected_body_is_bounded_where_no_limit_is_stated() -> None:
    assert (await refusal(validation({}), sent(b" " * INSPECTED + b"1"))).status == 413
    assert (await refusal(validation({}), sent(b" " * INSPECTED, b"1", declared=False))).status == 413


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
async def test_request_without_body_passes_where_its_method_needs_none(method: str) -> None:
    await validation(ISSUE, content_types=["application/json"]).validate(a_request(method))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_absent_body_does_not_go_round_the_schema(method: str) -> None:
    error = await refusal(validation(ISSUE), a_request(method))
    assert error.members == {"errors": [{"pointer": "", "keyword": "json"}]}
    await validation(content_types=["application/json"]).validate(a_request(method))


async def test_body_of_a_get_is_inspected_too() -> None:
    assert (await refusal(validation(ISSUE), sent(b"{}", method="GET"))).status == 422


async def test_chunked_body_that_ends_at_once_is_no_document() -> None:
    assert (await refusal(validation(ISSUE), sent(declared=False))).status == 422


async def test_no_validation_takes_anything() -> None:
    await NO_VALIDATION.validate(sent(b"\x00", type=None, more=((b"content-encoding", b"gzip"),)))


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"properties": {"a": {"type": "strin"}}}, "/properties/a/type"),
        ({"minimum": "1"}, "/minimum"),
        ({"$ref": "http://127.0.0.1:1/schema.json"}, "Retrieval is disabled"),
        ({"$ref": "file:///etc/passwd"}, "Retrieval is disabled"),
        ({"$ref": "other.json"}, "retrieving it failed"),
        ({"$ref": "#/$defs/absent"}, "does not exist"),
        ({"format": "e-mail"}, "/format: unknown format .e-mail. .did you mean .email"),
        ({"pattern": "(?=look)around"}, "/pattern"),
        ({"pattern": "("}, "/pattern"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/\\$schema"),
        ([], "object"),
        ("x", "object"),
    ],
    ids=[
        "nested type",
        "minimum",
        "http",
        "file",
        "relative",
        "dangling",
        "format",
        "look-around",
        "pattern",
        "older draft",
        "array",
        "string",
    ],
)
def test_schema_that_is_none_of_ours_is_refused_at_load_with_the_place(schema: Any, place: str) -> None:
    with pytest.raises(ValueError, match=place):
        validation(schema)


def test_schema_file_that_is_no_json_is_refused_at_load() -> None:
    for text in (b"", b"{", b'{"type":"object","type":"array"}'):
        with pytest.raises(ValueError, match="not a JSON document"):
            Validation(Validate(), {"body": text})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'{\n  "type": "object",\n}', "body: not a JSON document: 3:1: "),
        (b'{"a": 1, "a": 2}', "body: not a JSON document: a member comes twice in one object"),
        (b'"\xff"', "body: not a JSON document: it is not UTF-8"),
        (
            b'{"properties": {"a/b": {"type": ["null", "strng"]}}}',
            "body: /properties/a~1b/type: unknown type 'strng' (did you mean 'string'?)",
        ),
    ],
    ids=["comma", "twice", "bytes", "type"],
)
def test_a_mistake_in_a_schema_file_is_told_with_its_place(text: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        Validation(Validate(), {"body": text})


async def test_schema_false_takes_nothing_and_true_anything() -> None:
    assert (await refusal(validation(False), sent(b"1"))).status == 422
    await validation(True).validate(sent(b"1"))


def asked(query: bytes | None, *headers: Field) -> Request:
    request = a_request(headers=list(headers))
    request.query = query
    return request


async def test_query_and_headers_are_judged_without_a_body_and_named_in_the_answer() -> None:
    schemas = {"query": b'{"required": ["q"]}', "headers": b'{"required": ["x-tenant"]}'}
    stage = Validation(Validate(), schemas)
    assert stage.wants_body
    error = await refusal(stage, asked(None, (b"x-tenant", b"a")))
    assert (error.status, error.reason, error.members) == (
        400,
        Reason.QUERY_INVALID,
        {"errors": [{"pointer": "", "keyword": "required"}]},
    )
    error = await refusal(stage, asked(b"q=1"))
    assert (error.status, error.reason) == (400, Reason.PARAM_INVALID)
    await stage.validate(asked(b"q=1", (b"x-tenant", b"a")))


@pytest.mark.parametrize("part", ["body", "query", "headers"])
def test_a_schema_that_is_none_is_told_by_the_part_it_is_for(part: str) -> None:
    for text in (b"[]", b'{"format": "x"}', b'{"$defs": {"a": {"$schema": "http://json-schema.org/draft-04/schema#"}}}'):
        with pytest.raises(ValueError, match=f"^{part}: "):
            Validation(Validate(), {part: text})
