"""Input that goes round what is validated: OWASP API3 and API8, mass assignment, parser differentials, hostile schemas and files.

Every request is sent over a socket; what is refused never reached the upstream.
"""

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.core.errors import ConfigError
from gateway.edge.model import OpenApi
from gateway.edge.openapi.description import compiled
from gateway.edge.schema import Schema, load
from tests.house import House, Reply, house

BODY = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^(a+)+$"},
        "count": {"type": "integer", "maximum": 9},
        "note": {"type": "string", "format": "no-markup"},
        "file": {"type": "string", "format": "safe-filename"},
    },
}
QUERY = {"properties": {"role": {"enum": ["reader"]}, "n": {"type": "integer"}}, "additionalProperties": False}
HEADERS = {"properties": {"x-tenant": {"enum": ["acme"]}}, "required": ["x-tenant"]}
ACCOUNT = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "admin": {"type": "boolean", "readOnly": True},
        "owner": {"$ref": "#/components/schemas/Owner"},
    },
}
DESCRIPTION = {
    "openapi": "3.0.3",
    "paths": {
        "/repos/{name}": {
            "get": {"parameters": [{"name": "name", "in": "path", "schema": {"type": "string", "maxLength": 8}}], "responses": {}}
        },
        "/repos/{name}/keys": {"get": {"responses": {}}},
        "/accounts": {"patch": {"requestBody": {"content": {"application/json": {"schema": ACCOUNT}}}, "responses": {}}},
    },
    "components": {"schemas": {"Owner": {"type": "object", "properties": {"id": {"type": "integer", "readOnly": True}}}}},
}
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" + b"\x00\x00\x00\x00IEND\xaeB`\x82"


def route(name: str, **validate: Any) -> dict[str, Any]:
    return {
        "name": f"open.{name}",
        "match": {"path": f"/{name}/**"},
        "rewrite": {"strip_prefix": f"/{name}"},
        "upstream": "plain",
        "anonymous": True,
        "validate": validate,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder: Path = tmp_path_factory.mktemp("validation")
    for name, document in (("body", BODY), ("query", QUERY), ("headers", HEADERS), ("api", DESCRIPTION)):
        (folder / f"{name}.json").write_text(json.dumps(document))
    routes = [
        route("body", body="body.json", body_limit="64KiB"),
        route("query", query="query.json"),
        route("headers", headers="headers.json"),
        route("api", openapi="api.json"),
        route("files", upload={"types": ["image/png"], "max_size": "4KiB"}),
    ]
    async with house(folder, routes=routes) as running:
        yield running


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def refused(gateway: House, data: bytes, method: str = "POST") -> str:
    """The reason of a refusal; the upstream got nothing of it."""
    before = len(gateway.upstream.seen)
    reply: Reply = await gateway.raw(data, method=method)
    assert len(gateway.upstream.seen) == before, reply
    return f"{reply.status} {reply.json()['type'].rpartition(':')[2]}"


def posted(target: str, body: bytes, *fields: str) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: gw.test", f"Content-Length: {len(body)}", "Connection: close", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def asked(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: gw.test", "Connection: close", *fields]).encode("latin-1") + b"\r\n\r\n"


JSON = "Content-Type: application/json"


async def test_what_is_well_reaches_the_upstream(gateway: House) -> None:
    """A guard on the guards: the routes take something."""
    form = (
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
        + PNG
        + b"\r\n--x--\r\n"
    )
    for data in (
        posted("/body/", b'{"name": "aaa", "count": 9, "note": "a & b", "file": "a.txt"}', JSON),
        asked("/query/?role=reader&n=1"),
        asked("/headers/", "X-Tenant: acme"),
        asked("/api/repos/a"),
        posted("/files/", PNG, "Content-Type: image/png"),
        posted("/files/", form, "Content-Type: multipart/form-data; boundary=x"),
    ):
        assert (await gateway.raw(data)).status == 200, data


@pytest.mark.parametrize(
    "body",
    [
        b'{"name":"a","name":"b"}',
        b'{"name":"a","Name":"a"}',
        b'{"name":"a","\\u006eame":"b"}',
        b'{"name":"a","na\\u0000me":1}',
        b'\xef\xbb\xbf{"name":"a"}',
        '{"name":"a"}'.encode("utf-16"),
        '{"name":"a"}'.encode("utf-16-le"),
        '{"name":"a"}'.encode("utf-32"),
        b'{"name":"a"}\x00',
        b'{"name":"a"} {"name":"b"}',
        b'{"name":"a",}',
        b'{"name":"a"/**/}',
        b"{'name':'a'}",
        b'{"name":"a","count":1e400}',
        b'{"name":"a","count":NaN}',
        b'{"name":"a","count":Infinity}',
        b'{"name":"a","count":1.5}',
        b'{"name":"a","count":"1"}',
        b'{"name":"a","count":10}',
        b'{"name":"a","count":' + b"9" * 400 + b"}",
        b'{"name":"a","count":0x1}',
        b'{"name":"a","count":01}',
        b'{"name":"\\ud800"}',
        b'{"name":"\xff"}',
        b'{"name":"a","__proto__":{"admin":true}}',
        b'{"name":"a","note":"<script>"}',
        b'{"name":"a","note":"\\u003cscript\\u003e"}',
        b'{"name":"a","note":"&#60;script"}',
        '{"name":"a","note":"\uff1cscript\uff1e"}'.encode(),
        b'{"name":"a","file":"..\\\\..\\\\etc\\\\passwd"}',
        b'{"name":"a","file":"a.png\\u0000.exe"}',
        b"[" * 100 + b"]" * 100,
        b"[" * 30000 + b"]" * 30000,
        b"",
        b"null",
    ],
    ids=lambda body: ascii(body)[:60],
)
async def test_bodies_that_two_parsers_could_read_differently_or_that_inject(gateway: House, body: bytes) -> None:
    assert await refused(gateway, posted("/body/", body, JSON)) == "422 body-invalid"


async def test_a_pattern_that_backtracks_elsewhere_runs_in_linear_time(gateway: House) -> None:
    """`^(a+)+$` against many a and one b: exponential to a backtracking engine."""
    assert await refused(gateway, posted("/body/", b'{"name":"' + b"a" * 50_000 + b'b"}', JSON)) == "422 body-invalid"


@pytest.mark.parametrize(
    "fields",
    [
        ("Content-Type: text/plain",),
        ("Content-Type: application/json; charset=utf-16",),
        ("Content-Type: application/json; charset=utf-7",),
        ('Content-Type: application/json; charset="UTF-16"',),
        ("Content-Type: application/json, text/plain",),
        ("Content-Type: application/jsonp",),
        ("Content-Type: application/x-www-form-urlencoded",),
        ("Content-Type:",),
        (),
        (JSON, "Content-Encoding: gzip"),
        (JSON, "Content-Encoding: identity, gzip"),
        (JSON, "Content-Encoding: identity", "Content-Encoding: gzip"),
    ],
    ids=str,
)
async def test_bodies_dressed_as_something_else(gateway: House, fields: tuple[str, ...]) -> None:
    body = gzip.compress(b'{"name":"a"}') if "gzip" in str(fields) else b'{"name":"a"}'
    assert await refused(gateway, posted("/body/", body, *fields)) == "415 media-type"


async def test_two_content_types(gateway: House) -> None:
    assert await refused(gateway, posted("/body/", b'{"name":"a"}', JSON, "Content-Type: text/plain")) == "400 malformed-request"


async def test_oversized_bodies_declared_and_chunked(gateway: House) -> None:
    assert await refused(gateway, posted("/body/", b'{"name":"' + b"a" * 65536 + b'"}', JSON)) == "413 body-too-large"
    chunk = b"%x\r\n" % 40000 + b" " * 40000 + b"\r\n"
    head = b"POST /body/ HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
    assert await refused(gateway, head + chunk * 2 + b"0\r\n\r\n") == "413 body-too-large"


@pytest.mark.parametrize(
    "query",
    [
        "role=admin",
        "role=reader&role=admin",
        "role=admin&role=reader",
        "role=reader&Role=admin",
        "role=reader;role=admin",
        "role=reader%3Brole=admin&x",
        "role[]=admin",
        "role[0]=admin",
        "role[a]=admin",
        "role%5B%5D=admin",
        "role=reader%00admin",
        "role=reader%0d%0aadmin",
        "%72ole=admin",
        "role=%61dmin",
        "role=rea%E2%80%8Bder",
        "n=1.0",
        "n=1e3",
        "n=1e400",
        "n=01",
        "n=%2B1",
        "n=0x1",
        "n=1_000",
        "n=%D9%A1",
        "n=",
        "n",
        "n=1%20",
        "role=reader&other=1",
        "&".join(f"a{number}=" for number in range(300)),
    ],
    ids=lambda query: query[:40],
)
async def test_queries_that_frameworks_read_differently(gateway: House, query: str) -> None:
    assert await refused(gateway, asked(f"/query/?{query}"), "GET") == "400 query-invalid"


@pytest.mark.parametrize(
    "fields",
    [
        (),
        ("X-Tenant: evil",),
        ("X-Tenant: acme", "X-Tenant: evil"),
        ("X-Tenant: acme", "X-Tenant: acme"),
        ("X-Tenant: acme", "X_Tenant: evil"),
        ("X-Tenant: acme, evil",),
        ("X-Tenant: acme\xff",),
        ("X-Tenant: acme", "Connection: X-Tenant"),
    ],
    ids=str,
)
async def test_header_fields_that_servers_read_differently(gateway: House, fields: tuple[str, ...]) -> None:
    assert await refused(gateway, asked("/headers/", *fields), "GET") == "400 param-invalid"


@pytest.mark.parametrize(
    ("target", "answered"),
    [
        ("/api/repos/a%2Fkeys", "400"),
        ("/api/repos/a%2fkeys", "400"),
        ("/api/repos/a/../b", "400 path-refused"),
        ("/api/repos/a/%2e%2e/b", "400 path-refused"),
        ("/api/repos//keys", "400 path-refused"),
        ("/api/repos/a/keys/", "404 no-route"),
        ("/api/repos/a;x=1/keys/b", "404 no-route"),
        ("/api/REPOS/a", "404 no-route"),
        ("/api/repos/toolongname", "400 param-invalid"),
        ("/api/%72epos/toolongname", "400 param-invalid"),
        ("/api", "404 no-route"),
        ("/api/", "404 no-route"),
    ],
)
async def test_paths_that_could_be_another_template(gateway: House, target: str, answered: str) -> None:
    assert (await refused(gateway, asked(target), "GET")).startswith(answered)


@pytest.mark.parametrize("body", [{"admin": True}, {"owner": {"id": 1}}, {"admin": None}], ids=str)
async def test_mass_assignment_of_what_only_the_server_sets(gateway: House, body: Any) -> None:
    data = posted("/api/accounts", json.dumps(body).encode(), JSON).replace(b"POST", b"PATCH", 1)
    assert await refused(gateway, data, "PATCH") == "422 body-invalid"


async def test_method_that_an_override_header_names_does_not_count(gateway: House) -> None:
    assert await refused(gateway, posted("/api/repos/a", b"", "X-HTTP-Method-Override: GET")) == "405 method-not-allowed"


def file_part(head: str, content: bytes = PNG, begin: bytes = b"--x\r\n", end: bytes = b"\r\n--x--\r\n") -> bytes:
    return begin + head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + content + end


GOOD = 'Content-Disposition: form-data; name="f"; filename="a.png"\nContent-Type: image/png'


@pytest.mark.parametrize(
    ("body", "answered"),
    [
        (file_part(GOOD.replace("a.png", "../../a.png")), "422 body-invalid"),
        (file_part(GOOD.replace("a.png", "a.png\\")), "422 body-invalid"),
        (file_part(GOOD.replace("a.png", "a.php%00.png")), "422 body-invalid"),
        (file_part(GOOD.replace("a.png", "shell.php ")), "422 body-invalid"),
        (file_part(GOOD.replace('filename="a.png"', 'filename="a.png"; filename="a.php"')), "422 body-invalid"),
        (file_part(GOOD.replace('filename="a.png"', "filename=\"a.png\"; filename*=utf-8''a.php")), "422 body-invalid"),
        (file_part(GOOD.replace('filename="a.png"', 'filename=a.png; filename="a.php"')), "422 body-invalid"),
        (file_part(GOOD + '\nContent-Disposition: form-data; name="f"; filename="a.php"'), "422 body-invalid"),
        (file_part(GOOD.replace("filename", "\n filename")), "422 body-invalid"),
        (file_part(GOOD + "\nContent-Transfer-Encoding: base64"), "422 body-invalid"),
        (file_part(GOOD, end=b"\r\n--x\r\n"), "422 body-invalid"),
        (file_part(GOOD, end=b""), "422 body-invalid"),
        (file_part(GOOD, begin=b"--x\n"), "422 body-invalid"),
        (file_part(GOOD, begin=b"evil\r\n--x\r\n"), "422 body-invalid"),
        (file_part(GOOD) + file_part(GOOD.replace("a.png", "a.php")), "422 body-invalid"),
        (file_part(GOOD, b"<?php system($_GET[0]);"), "422 body-invalid"),
        (file_part(GOOD, PNG + b"PK\x03\x04<?php"), "422 body-invalid"),
        (file_part(GOOD, b"GIF89a/*" + PNG), "422 body-invalid"),
        (file_part(GOOD, PNG[:8] + b"a" * 5000 + PNG[8:]), "413 body-too-large"),
        (file_part(GOOD.replace("image/png", "text/html")), "415 media-type"),
        (file_part(GOOD.replace("image/png", "multipart/mixed; boundary=y")), "415 media-type"),
        (file_part('Content-Disposition: form-data; name="f"', b"\x00\xff"), "422 body-invalid"),
    ],
    ids=range(22),
)
async def test_files_that_are_not_what_they_say(gateway: House, body: bytes, answered: str) -> None:
    assert await refused(gateway, posted("/files/", body, "Content-Type: multipart/form-data; boundary=x")) == answered


@pytest.mark.parametrize("type", ["multipart/form-data", "multipart/form-data; boundary=y", "multipart/form-data; boundary=y; boundary=x", "multipart/form-data; boundary*=x",
                                  "multipart/form-data; boundary=x; charset=utf-7", "multipart/mixed; boundary=x", "application/octet-stream"])  # fmt: skip
async def test_boundaries_that_parsers_choose_differently(gateway: House, type: str) -> None:
    assert (await refused(gateway, posted("/files/", file_part(GOOD), f"Content-Type: {type}")))[:3] in {"415", "422"}


async def test_schema_bombs_cost_nothing_at_load() -> None:
    """Each definition holds the next twice: 2^40 schemas if references were written out."""
    definitions: dict[str, Any] = {
        f"d{n}": {"properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}, "b": {"$ref": f"#/$defs/d{n + 1}"}}} for n in range(40)
    }
    schema = Schema(load(json.dumps({"$defs": {**definitions, "d40": {"type": "string"}}, "$ref": "#/$defs/d0"}).encode()))
    assert schema.findings({"a": {"b": {}}}, 9) == []


async def test_schemas_nested_without_end_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 64 levels"):
        load(b'{"not":' * 5000 + b"{}" + b"}" * 5000)


@pytest.mark.parametrize(
    "reference",
    [
        "http://127.0.0.1:1/s.json",
        "https://example.com/s",
        "file:///etc/passwd",
        "s.json",
        "../s.json#/a",
        "//127.0.0.1/s",
        "urn:x",
        "#/absent",
    ],
)
async def test_references_never_leave_the_document(reference: str) -> None:
    with pytest.raises(ValueError):
        Schema({"properties": {"a": {"$ref": reference}}})
    text = json.dumps({"openapi": "3.1.0", "paths": {"/a": {"$ref": reference}}}).encode()
    with pytest.raises(ConfigError):
        compiled(text, OpenApi.model_validate({"file": "x"}))
