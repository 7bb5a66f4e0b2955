"""A route by an OpenAPI description, in a running gateway: what reaches the upstream, what operators see, what a reload keeps."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.process import Process
from gateway.source import Source
from tests.house import House, config, house

ISSUE = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}
PATHS: dict[str, Any] = {
    "/issues": {
        "get": {"parameters": [{"name": "page", "in": "query", "schema": {"type": "integer"}}], "responses": {}},
        "post": {"requestBody": {"required": True, "content": {"application/json": {"schema": ISSUE}}}, "responses": {}},
    }
}
TOKEN = "operators-token-8c1f22"


def written(folder: Path, paths: dict[str, Any]) -> None:
    (folder / "api.json").write_text(json.dumps({"openapi": "3.1.0", "info": {}, "paths": paths}))


def routes(mode: str = "enforce") -> list[dict[str, Any]]:
    return [
        {
            "name": "open.tracker",
            "match": {"path": "/tracker/**"},
            "upstream": "plain",
            "anonymous": True,
            "rewrite": {"strip_prefix": "/tracker"},
            "validate": {"openapi": {"file": "api.json", "mode": mode}},
        }
    ]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[House]:
    written(tmp_path, PATHS)
    admin = {"address": "127.0.0.1:0", "token": {"env": "ADMIN_TOKEN"}}
    async with house(tmp_path, routes=routes(), admin=admin, environ={"ADMIN_TOKEN": TOKEN}) as running:
        yield running


JSON = {"Content-Type": "application/json"}


async def test_only_what_is_described_reaches_the_upstream_and_as_it_came(gateway: House) -> None:
    assert (await gateway.get("/tracker/issues?page=%31")).status == 200
    body = b'{ "title" : "a" , "other": 1.50 }'
    assert (await gateway.get("/tracker/issues", method="POST", headers=JSON, body=body)).status == 200
    assert [(seen.method, seen.target, seen.body) for seen in gateway.upstream.seen] == [
        ("GET", "/issues?page=%31", b""),
        ("POST", "/issues", body),
    ]


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "kind"),
    [
        ("GET", "/tracker/secrets", b"", 404, "no-route"),
        ("DELETE", "/tracker/issues", b"", 405, "method-not-allowed"),
        ("GET", "/tracker/issues?page=x", b"", 400, "query-invalid"),
        ("POST", "/tracker/issues", b'{"title": 5}', 422, "body-invalid"),
        ("POST", "/tracker/issues", b"", 422, "body-invalid"),
    ],
)
async def test_the_rest_is_refused_before_it(gateway: House, method: str, target: str, body: bytes, status: int, kind: str) -> None:
    reply = await gateway.get(target, method=method, headers=JSON, body=body)
    assert (reply.status, reply.json()["type"]) == (status, f"urn:latchgate:problem:{kind}")
    assert gateway.upstream.seen == []
    assert (await gateway.only_request())["reason"] == kind


async def told(gateway: House) -> Any:
    reply = await gateway.get("/routes", listener="admin", host="localhost", token=TOKEN)
    return reply.json()[0]["described"]


async def test_operators_see_the_requests_that_the_description_does_not_know(gateway: House) -> None:
    for number in (1, 2):
        await gateway.get(f"/tracker/issues/{number}/watchers")
    assert await told(gateway) == {
        "operations": 2,
        "mode": "enforce",
        "responses": "off",
        "unknown": [{"method": "GET", "path": "/issues/{}/watchers", "count": 2}],
        "unknown_beyond": 0,
    }


async def test_report_mode_passes_what_it_counts(gateway: House) -> None:
    gateway.write(
        config(gateway.upstream.port, routes=routes("report"), admin={"address": "127.0.0.1:0", "token": {"env": "ADMIN_TOKEN"}})
    )
    assert await gateway.process.reload()
    assert (await gateway.get("/tracker/secrets")).status == 200
    assert (await gateway.get("/tracker/issues", method="POST", headers=JSON, body=b"[]")).status == 200
    metrics = (await gateway.get("/metrics", listener="admin", host="localhost")).body.decode()
    assert 'gateway_validation_reported_total{part="path",route="open.tracker"} 1' in metrics
    assert 'gateway_validation_reported_total{part="body",route="open.tracker"} 1' in metrics


async def test_a_reload_keeps_what_was_counted_unless_the_description_changed(gateway: House) -> None:
    await gateway.get("/tracker/secrets")
    before = dict(gateway.process.resources.descriptions)
    assert await gateway.process.reload()
    assert dict(gateway.process.resources.descriptions) == before
    assert len((await told(gateway))["unknown"]) == 1
    written(gateway.folder, {**PATHS, "/secrets": {"get": {"responses": {}}}})
    assert await gateway.process.reload()
    assert (await gateway.get("/tracker/secrets")).status == 200
    assert (await told(gateway))["unknown"] == []


async def test_a_broken_description_changes_nothing_and_is_told_with_its_place(gateway: House) -> None:
    written(gateway.folder, {"/issues": {"get": {"parameters": [{"$ref": "http://127.0.0.1:1/"}], "responses": {}}}})
    assert not await gateway.process.reload()
    assert (await gateway.get("/tracker/issues")).status == 200
    [refused] = [event for event in await gateway.events() if event["event"] == "config.refused"]
    assert "api.json: GET /issues: parameters/0/$ref: leads out of the document" in str(refused["problems"])


async def test_a_changed_description_is_noticed_by_who_watches(gateway: House) -> None:
    process: Process = gateway.process
    assert gateway.folder / "api.json" in process.files()
    assert (
        Source((gateway.folder / "config.yaml",), (), {"UPSTREAM_TOKEN": "t" * 20, "ADMIN_TOKEN": TOKEN}).load().files
        == process.files()
    )


async def test_bodies_that_arrive_in_pieces_are_judged_whole(gateway: House) -> None:
    reader, writer = await asyncio.open_connection(*gateway.address())
    head = b"POST /tracker/issues HTTP/1.1\r\nHost: gw.test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    for piece in (head, b'a\r\n{"title": \r\n', b"2\r\n5}\r\n", b"0\r\n\r\n"):
        writer.write(piece)
        await writer.drain()
    assert (await reader.readline()).startswith(b"HTTP/1.1 422 ")
    writer.close()
    assert gateway.upstream.seen == []


async def test_an_answer_that_is_not_as_described_is_withheld_before_a_byte_of_it(gateway: House) -> None:
    answered = {"200": {"description": "ok", "content": {"application/json": {"schema": {"required": ["id"]}}}}}
    written(gateway.folder, {"/issues": {"get": {"responses": answered}}})
    [route] = routes()
    route["validate"]["openapi"]["responses"] = "enforce"
    admin = {"address": "127.0.0.1:0", "token": {"env": "ADMIN_TOKEN"}}
    gateway.write(config(gateway.upstream.port, routes=[route], admin=admin))
    assert await gateway.process.reload()
    reply = await gateway.get("/tracker/issues")  # {"ok":true}
    assert (reply.status, reply.json()["type"]) == (502, "urn:latchgate:problem:upstream-protocol")
    for body in (b'{"id":1}', b'{"id":2}'):
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:3], body[3:]))
        gateway.upstream.answer = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        )
        reply = await gateway.get("/tracker/issues", headers={"Accept-Encoding": "gzip"})
        assert (reply.status, reply.body) == (200, body)
    assert gateway.upstream.seen[-1].all("accept-encoding") == ["identity"]
    assert gateway.upstream.opened == 1  # an answer that was read to its end leaves its connection as good as new
