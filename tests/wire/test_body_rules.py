"""Rules that read the request's body, over sockets: judged and forwarded are the same bytes."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.house import House, house, read_reply, request_bytes

START = 'apiVersion: gateway/v1\nkind: Policy\nname: p\nroutes: ["*"]\nrules:\n'
JSON = {"Content-Type": "application/json"}
ALLOW = "{name: a, allow: [POST], when: request.body.kind == 'note'}"
DENY = "{name: d, deny: [POST], when: request.body.kind == 'order'}"
ALL = "{name: all, allow: any}"


def ruled(*rules: str) -> str:
    return START + "".join(f"  - {rule}\n" for rule in rules)


async def posted(served: House, body: bytes, **headers: str) -> int:
    reply = await served.get("/things/1", method="POST", token=served.keys.token(), body=body, headers={**JSON, **headers})
    return reply.status


async def test_what_was_judged_is_forwarded_byte_for_byte(tmp_path: Path) -> None:
    async with house(tmp_path, policy=ruled(ALLOW)) as served:
        body = b'{ "kind":\t"note", "n": 1.0 }\r\n'
        assert await posted(served, body) == 200
        assert await posted(served, b'{"kind": "order"}') == 403
        assert [seen.body for seen in served.upstream.seen] == [body]


UNJUDGED: dict[str, tuple[bytes, dict[str, str]]] = {
    "twice": (b'{"kind": "order", "kind": "note"}', {}),
    "case": (b'{"kind": "note", "Kind": "order"}', {}),
    "no-json": (b"not json", {}),
    "missing": (b'{"other": 1}', {}),
    "list": (b"[]", {}),
    "nul": (b'{"kind": "note\\u0000"}', {}),
    "empty": (b"", {}),
    "encoded": (b'{"kind": "note"}', {"Content-Encoding": "gzip"}),
    "type": (b'{"kind": "note"}', {"Content-Type": "text/plain"}),
    "types": (b'{"kind": "note"}', {"content-type": "application/json", "Content-Type": "text/plain"}),
    "large": (b'{"kind": "note", "fill": "' + b"x" * (1024 * 1024) + b'"}', {}),
}


@pytest.mark.parametrize("rules", [(ALLOW,), (ALL, DENY)], ids=["allow", "deny"])
async def test_a_body_that_cannot_be_judged_is_denied_by_either_kind_of_rule(tmp_path: Path, rules: tuple[str, ...]) -> None:
    async with house(tmp_path, policy=ruled(*rules)) as served:
        statuses = {name: await posted(served, body, **headers) for name, (body, headers) in UNJUDGED.items()}
        assert set(statuses.values()) <= {400, 403}, statuses
        assert served.upstream.seen == []
        told = [event["rule"] for event in await served.requests()]
        assert len(told) == len(UNJUDGED)
        assert set(told) <= {"p/d", None}


async def test_a_request_for_other_methods_is_not_looked_into(tmp_path: Path) -> None:
    async with house(tmp_path, policy=ruled(ALL, DENY)) as served:
        reply = await served.get("/things/1", method="PUT", token=served.keys.token(), body=b"not json")
        assert reply.status == 200


async def test_has_of_a_body_that_is_none_has_no_value(tmp_path: Path) -> None:
    async with house(tmp_path, policy=ruled(ALL, "{name: d, deny: [POST], when: has(request.body.kind)}")) as served:
        assert await posted(served, b"{}") == 200
        assert await posted(served, b"") == 403
        assert await posted(served, b'"text"') == 403


async def test_a_client_that_waits_to_be_told_is_told_to_go_on(tmp_path: Path) -> None:
    async with house(tmp_path, policy=ruled(ALLOW)) as served:
        reader, writer = await asyncio.open_connection(*served.address())
        body = b'{"kind": "note"}'
        head = request_bytes(
            "/things/1",
            method="POST",
            token=served.keys.token(),
            headers={**JSON, "Content-Length": str(len(body)), "Expect": "100-continue"},
        )
        writer.write(head)
        async with asyncio.timeout(60):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            assert (await read_reply(reader, "POST")).status == 200
        writer.close()
        assert served.upstream.seen[0].body == body


async def test_a_chunked_body_is_judged_whole_and_sent_on_whole(tmp_path: Path) -> None:
    async with house(tmp_path, policy=ruled(ALLOW)) as served:
        head = request_bytes(
            "/things/1", method="POST", token=served.keys.token(), headers={**JSON, "Transfer-Encoding": "chunked"}
        )
        reply = await served.raw(head + b'8\r\n{"kind":\r\n7\r\n"note"}\r\n0\r\n\r\n', method="POST")
        assert reply.status == 200
        assert served.upstream.seen[0].body == b'{"kind":"note"}'


async def test_a_chunked_body_that_grows_over_the_routes_limit_is_413(tmp_path: Path) -> None:
    routes = [
        {
            "name": "things",
            "match": {"path": "/things/1"},
            "upstream": "api",
            "authenticate": ["jwt.corp"],
            "validate": {"body_limit": 16},
        }
    ]
    async with house(tmp_path, policy=ruled(ALLOW), routes=routes) as served:
        head = request_bytes(
            "/things/1", method="POST", token=served.keys.token(), headers={**JSON, "Transfer-Encoding": "chunked"}
        )
        reply = await served.raw(head + b'14\r\n{"kind":"note"     }\r\n0\r\n\r\n', method="POST", close=True)
        assert reply.status == 413
        assert served.upstream.seen == []


async def test_a_schema_reads_the_same_body_afterwards(tmp_path: Path) -> None:
    schema = tmp_path / "note.json"
    schema.write_text(json.dumps({"required": ["kind", "text"]}))
    routes = [
        {
            "name": "things",
            "match": {"path": "/things/1"},
            "upstream": "api",
            "authenticate": ["jwt.corp"],
            "validate": {"body": str(schema)},
        }
    ]
    async with house(tmp_path, policy=ruled(ALLOW), routes=routes) as served:
        assert await posted(served, b'{"kind": "note"}') == 422
        assert await posted(served, b'{"kind": "note", "text": "x"}') == 200
        assert len(served.upstream.seen) == 1


async def test_a_shadow_rule_that_reads_the_body_refuses_nothing(tmp_path: Path) -> None:
    shadow = "{name: s, deny: any, mode: shadow, when: request.body.kind == 'order'}"
    routes = [
        {"name": "things", "match": {"path": "/things/1"}, "upstream": "api", "authenticate": ["jwt.corp"]},
    ]
    async with house(tmp_path, policy=ruled(ALL, shadow), routes=routes) as served:
        head = request_bytes(
            "/things/1", method="POST", token=served.keys.token(), headers={**JSON, "Transfer-Encoding": "chunked"}
        )
        large = b"200000\r\n" + b"x" * 0x200000 + b"\r\n0\r\n\r\n"
        assert (await served.raw(head + large, method="POST")).status == 200
        assert len(served.upstream.seen[0].body) == 0x200000
        assert await posted(served, b'{"kind": "order"}') == 200
        told = (await served.requests())[-1]
        assert told["shadow"] == {"rule": "p/s", "decision": "deny", "would_change": True}
