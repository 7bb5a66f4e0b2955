"""What a route with a description takes: paths, methods, parameters in every style, bodies by type; and what it only counts."""

from typing import Any

import pytest

from gateway.edge.openapi.shadow import MOST
from tests.fakes import HeldBody
from tests.unit.edge.openapi.descriptions import JSON, Stage, document, operation


def parameter(name: str, schema: Any, place: str = "query", **more: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "schema": schema, **more}


INTEGERS = {"type": "array", "items": {"type": "integer"}}
ISSUE = {
    "type": "object",
    "required": ["title", "id"],
    "properties": {
        "title": {"type": "string"},
        "id": {"type": "integer", "readOnly": True},
        "secret": {"type": "string", "writeOnly": True},
    },
}
PATHS = {
    "/issues": {
        "parameters": [parameter("page", {"type": "integer", "minimum": 1})],
        "get": operation(
            parameter("state", {"enum": ["open", "closed"]}),
            parameter("ids", INTEGERS),
            parameter("csv", INTEGERS, explode=False),
            parameter("spaced", INTEGERS, style="spaceDelimited", explode=False),
            parameter("piped", INTEGERS, style="pipeDelimited", explode=False),
            parameter("filter", {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}, "additionalProperties": False}, style="deepObject"),
            {"name": "json", "in": "query", "content": {"application/json": {"schema": {"type": "object", "required": ["a"]}}}},
            parameter("empty", {"type": "integer"}, allowEmptyValue=True),
            parameter("X-Depth", {"type": "integer"}, "header"),
            parameter("X-Tags", INTEGERS, "header"),
            parameter("Accept", {"enum": ["never/this"]}, "header", required=True),
            parameter("sid", {"type": "string", "maxLength": 4}, "cookie"),
        ),
        "post": operation(body=ISSUE),
    },
    "/issues/latest": {"get": operation()},
    "/issues/{number}": {"get": operation(parameter("number", {"type": "integer"}, "path", required=True)), "delete": operation()},
    "/compare/{base}...{head}": {"get": operation(parameter("base", {"maxLength": 3}, "path"))},
    "/files/{path}": {"get": operation(parameter("path", {"type": "string"}, "path", **{"x-multi-segment": True}))},
    "/lists/{ids}": {"get": operation(parameter("ids", INTEGERS, "path"))},
    "/forms": {
        "post": operation(
            requestBody={
                "content": {
                    "application/x-www-form-urlencoded": {"schema": {"properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}},
                    "image/*": {},
                    "multipart/form-data": {"schema": {"type": "object"}},
                }
            }
        )
    },
    "/any": {"post": operation(requestBody={"content": {"*/*": {"schema": {"type": "object"}}}})},
}  # fmt: skip
TEXT = document(PATHS)


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(TEXT)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/issues"),
        ("HEAD", "/issues?page=2"),
        ("GET", "/issues?state=open&page=1&ids=1&ids=2"),
        ("GET", "/issues?csv=1,2,-3"),
        ("GET", "/issues?csv=1%2C2"),
        ("GET", "/issues?spaced=1%202+3"),
        ("GET", "/issues?piped=1|2".replace("|", "%7C")),
        ("GET", "/issues?filter[n]=1&filter%5Bs%5D=1"),
        ("GET", "/issues?json=%7B%22a%22:1%7D"),
        ("GET", "/issues?empty="),
        ("GET", "/issues?empty=5"),
        ("GET", "/issues/latest"),
        ("GET", "/issues/42"),
        ("DELETE", "/issues/anything"),
        ("GET", "/compare/a...feature"),
        ("GET", "/files/a"),
        ("GET", "/files/a/b/c.txt"),
        ("GET", "/lists/1,2"),
    ],
)
async def test_what_is_described_passes(stage: Stage, method: str, target: str) -> None:
    assert await stage.asked(method, target) == "passed"


@pytest.mark.parametrize(
    ("method", "target", "outcome"),
    [
        ("GET", "/", "no-route"),
        ("GET", "/issue", "no-route"),
        ("GET", "/issues/", "no-route"),
        ("GET", "/issues/1/2", "no-route"),
        ("GET", "/compare/a..b", "no-route"),
        ("GET", "/compare/...b", "no-route"),
        ("GET", "/files", "no-route"),
        ("GET", "/files/", "no-route"),
        ("PUT", "/issues", "method-not-allowed"),
        ("POST", "/issues/latest", "method-not-allowed"),
        ("GET", "/issues/01", "param-invalid /path/number type"),
        ("GET", "/issues/a%2Fb", "param-invalid /path/number type"),
        ("GET", "/lists/1,x", "param-invalid /path/ids/1 type"),
        ("GET", "/compare/long...b", "param-invalid /path/base maxLength"),
        ("GET", "/issues?page=0", "query-invalid /query/page minimum"),
        ("GET", "/issues?page=1.0", "query-invalid /query/page type"),
        ("GET", "/issues?page=1&page=2", "query-invalid /query/page type"),
        ("GET", "/issues?state=other", "query-invalid /query/state enum"),
        ("GET", "/issues?unknown=1", "query-invalid /query additionalProperties"),
        ("GET", "/issues?csv=1&csv=2", "query-invalid /query/csv/0 type"),
        ("GET", "/issues?page[]=1", "query-invalid /query brackets"),
        ("GET", "/issues?filter[other]=1", "query-invalid /query/filter additionalProperties"),
        ("GET", "/issues?filter[n]=x", "query-invalid /query/filter/n type"),
        ("GET", "/issues?filter[n][m]=1", "query-invalid /query brackets"),
        ("GET", "/issues?filter[n]=1&filter[n]=2", "query-invalid /query/filter/n type"),
        ("GET", "/issues?filter=x", "query-invalid /query/filter type"),
        ("GET", "/issues?json=x", "query-invalid /query json"),
        ("GET", "/issues?json={}", "query-invalid /query/json required"),
        ("GET", "/issues?json=%7B%22a%22:1,%22a%22:2%7D", "query-invalid /query duplicate"),
        ("GET", "/issues?page=1;x=2", "query-invalid /query separator"),
        ("GET", "/issues?state=open&State=x", "query-invalid /query duplicate"),
    ],
)  # fmt: skip
async def test_what_is_not_is_refused(stage: Stage, method: str, target: str, outcome: str) -> None:
    assert await stage.asked(method, target) == outcome


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        (((b"x-depth", b"5"), (b"x-tags", b"1, 2"), (b"x-tags", b"3"), (b"cookie", b"a=b; sid=abc")), "passed"),
        (((b"x-depth", b"x"),), "param-invalid /header/x-depth type"),
        (((b"x-depth", b"1"), (b"x-depth", b"2")), "param-invalid /header/x-depth repeated"),
        (((b"x-depth", b"1"), (b"x_depth", b"2")), "param-invalid /header/x-depth encoding"),
        (((b"cookie", b"sid=abcde"),), "param-invalid /cookie/sid maxLength"),
        (((b"cookie", b"sid=a; sid=b"),), "param-invalid /cookie repeated"),
        (((b"cookie", b"sid=a"), (b"cookie", b"sid=b")), "param-invalid /cookie repeated"),
    ],
    ids=str,
)
async def test_header_and_cookie_parameters_are_judged(stage: Stage, fields: tuple[tuple[bytes, bytes], ...], outcome: str) -> None:
    assert await stage.asked("GET", "/issues", *fields) == outcome


FORM = (b"content-type", b"application/x-www-form-urlencoded")


@pytest.mark.parametrize(
    ("target", "fields", "body", "outcome"),
    [
        ("/issues", (JSON,), b'{"title": "a"}', "passed"),
        ("/issues", (JSON,), b'{"title": "a", "secret": "b"}', "passed"),
        ("/issues", (JSON,), b'{"title": 1}', "body-invalid /title type"),
        ("/issues", (JSON,), b'{"title": "a", "id": 7}', "body-invalid /id falseSchema"),
        ("/issues", (JSON,), b"{}", "body-invalid  required"),
        ("/issues", (JSON,), b'{"title": "a", "title": "b"}', "body-invalid  duplicate"),
        ("/issues", (JSON,), None, "body-invalid  required"),
        ("/issues", (JSON,), b"\xef\xbb\xbf{}", "body-invalid  json"),
        ("/issues", ((b"content-type", b"text/plain"),), b'{"title": "a"}', "media-type"),
        ("/issues", ((b"content-type", b"application/json; charset=utf-16"),), b"{}", "media-type"),
        ("/issues", (JSON, (b"content-encoding", b"gzip")), b"{}", "media-type"),
        ("/issues", (), b"{}", "media-type"),
        ("/forms", (FORM,), b"n=1", "passed"),
        ("/forms", (FORM,), b"n=01", "body-invalid /n type"),
        ("/forms", (FORM,), b"n=1&m=2", "body-invalid  additionalProperties"),
        ("/forms", (FORM,), b"n=1&n=2", "body-invalid /n type"),
        ("/forms", (FORM,), b"n=%", "body-invalid  form"),
        ("/forms", ((b"content-type", b"image/png"),), b"\x89PNG", "passed"),
        ("/forms", ((b"content-type", b"application/pdf"),), b"%PDF", "media-type"),
        ("/forms", (), None, "passed"),
        ("/any", (JSON,), b"[]", "body-invalid  type"),
        ("/any", ((b"content-type", b"text/csv"),), b"a,b", "passed"),
    ],
)  # fmt: skip
async def test_bodies_are_judged_by_their_media_type(
    stage: Stage, target: str, fields: Any, body: bytes | None, outcome: str
) -> None:
    assert await stage.asked("POST", target, *fields, body=body) == outcome


async def test_body_that_nothing_describes_is_refused(stage: Stage) -> None:
    assert await stage.asked("GET", "/issues", JSON, body=b"{}") == "body-invalid  requestBody"


async def test_body_too_large_to_inspect_is_refused() -> None:
    stage = Stage(TEXT, limit="1KiB")
    body = b'{"title": "' + b"a" * 1024 + b'"}'
    assert await stage.asked("POST", "/issues", JSON, body=body) == "body-too-large"
    assert await stage.asked("POST", "/issues", JSON, body=HeldBody(body, declared=False)) == "body-too-large"
    assert await stage.asked("POST", "/issues", JSON, body=HeldBody(b"{}", b" " * 10, declared=False)) == "body-invalid  required"


async def test_method_that_is_not_described_is_told_which_are() -> None:
    from gateway.core.errors import MethodNotAllowed

    with pytest.raises(MethodNotAllowed) as refused:
        Stage(TEXT).described.description.operation(("issues",), "PATCH")
    assert refused.value.headers == [(b"allow", b"GET, POST, HEAD")]


async def test_paths_are_compared_as_the_upstream_sees_them() -> None:
    stage = Stage(document(PATHS, servers=[{"url": "https://api.example.com/v1/"}]), skip=1)
    assert await stage.asked("GET", "/github/v1/issues") == "passed"
    assert await stage.asked("GET", "/github/issues") == "no-route"
    assert await Stage(TEXT, base="/api/v3").asked("GET", "/api/v3/issues") == "passed"


async def test_unknown_query_parameters_pass_where_the_route_says_so() -> None:
    stage = Stage(TEXT, unknown_query="pass")
    assert await stage.asked("GET", "/issues?other=1&other=2") == "passed"
    assert await stage.asked("GET", "/issues?page[x]=1") == "query-invalid /query brackets"


async def test_report_mode_refuses_nothing_and_counts_each_part() -> None:
    stage = Stage(TEXT, mode="report")
    for method, target in (("GET", "/other"), ("PUT", "/issues"), ("GET", "/issues?page=x"), ("GET", "/issues/x")):
        assert await stage.asked(method, target) == "passed"
    assert await stage.asked("POST", "/issues", JSON, body=b"{}") == "passed"
    assert await stage.asked("POST", "/issues", (b"content-type", b"a/b"), body=b"{}") == "passed"
    assert stage.parts == ["path", "method", "query", "parameters", "body", "media-type"]


async def test_report_mode_leaves_bodies_unread_that_reading_would_change() -> None:
    stage = Stage(TEXT, mode="report", limit="1KiB")
    chunked = HeldBody(b"{}", declared=False)
    assert await stage.asked("POST", "/issues", JSON, body=chunked) == "passed"
    assert (chunked.read_calls, stage.parts) == (0, ["body-uninspected"])


@pytest.mark.parametrize("mode", ["enforce", "report"])
async def test_requests_that_the_description_does_not_know_are_listed(mode: str) -> None:
    stage = Stage(TEXT, mode=mode)
    for target in ("/issues/1/comments", "/issues/2/comments", "/issues/1/a1b2c3/secret-key/x/y/z", "/other"):
        await stage.asked("GET", target)
    await stage.asked("PATCH", "/issues/7")
    assert stage.described.shadows.listed() == [
        {"method": "GET", "path": "/issues/{number}/comments", "count": 2},
        {"method": "GET", "path": "/issues/{number}/{}/secret-key/x/y/...", "count": 1},
        {"method": "GET", "path": "/other", "count": 1},
        {"method": "PATCH", "path": "/issues/{number}", "count": 1},
    ]


async def test_list_of_unknown_requests_is_bounded() -> None:
    stage = Stage(TEXT, mode="report")
    letters = "abcdefghijklmnopqrst"
    for one in letters:
        for other in letters:
            await stage.asked("GET", f"/{one}/{other}")
    assert len(stage.described.shadows.listed()) == MOST
    assert stage.described.status()["unknown_beyond"] == len(letters) ** 2 - MOST
