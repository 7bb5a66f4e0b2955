"""Payloads hidden from inspection: attack rows 142 (agentgateway), 88 (MCP Go SDK, Envoy AI Gateway), 66 (nginx) and 44 (caddy-security)."""

import gzip
import json
import zlib
from functools import partial
from pathlib import Path

import pytest

from gateway.core.decision import UNREAD
from gateway.core.errors import BadRequest
from gateway.core.exchange import Exchange
from gateway.core.message import Inbound
from gateway.edge.cors import Cors
from gateway.edge.finish import Finish
from gateway.edge.judged import judged
from gateway.edge.media import INSPECTED
from gateway.edge.model import Validate
from gateway.edge.problem import render
from gateway.edge.security_headers import SecurityHeaders
from gateway.edge.validation import Validation
from gateway.ratelimit.headers import LimitFields
from tests.fakes import HeldBody, a_request, turns_during
from tests.house import house

SCHEMA = b'{"type":"object","properties":{"forbidden":false,"name":{"type":"string"}}}'
FORBIDDEN = b'"forbidden":1'
TYPE = (b"content-type", b"application/json")


async def status(body: HeldBody, *headers: tuple[bytes, bytes], limit: str | None = None) -> int:
    stage = Validation(Validate.model_validate({"body_limit": limit} if limit else {}), {"body": SCHEMA})
    with pytest.raises(BadRequest) as refused:
        await stage.validate(a_request("POST", headers=[TYPE, *headers], body=body))
    return refused.value.status


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
@pytest.mark.parametrize("limit", [None, "64KiB", "4MiB"])
async def test_row_142_padding_before_the_forbidden_member_does_not_hide_it(declared: bool, limit: str | None) -> None:
    padding = b'{"name":"' + b"a" * (2 * 1024 * 1024 + 1) + b'",'
    answered = await status(HeldBody(padding, FORBIDDEN, b"}", declared=declared), limit=limit)
    assert answered == (422 if limit == "4MiB" else 413)


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"deflate", b"zstd", b"x-gzip", b"identity, gzip", b"GZIP", b""])
async def test_row_142_encoded_body_cannot_be_inspected_and_is_refused(coding: bytes) -> None:
    plain = b"{" + FORBIDDEN + b"}"
    body = {b"gzip": gzip.compress(plain), b"deflate": zlib.compress(plain)}.get(coding, plain)
    assert await status(HeldBody(body), (b"content-encoding", coding)) == 415


async def test_row_142_second_content_encoding_is_seen() -> None:
    assert await status(HeldBody(b"{}"), (b"content-encoding", b"identity"), (b"content-encoding", b"gzip")) == 415


@pytest.mark.parametrize(
    "body",
    [
        b'{"name":"ok","name":{"forbidden":1}}',
        b'{"name":"ok","Name":{"forbidden":1}}',
        b'{"na\\u0000me":"x"}',
        b'{"name":"ok","\\u006eame":1}',
        b'{"params":{},"params":{"forbidden":1}}',
    ],
    ids=["twice", "other case", "NUL", "escaped", "params twice"],
)
async def test_row_88_names_that_two_parsers_read_differently_are_refused(body: bytes) -> None:
    assert await status(HeldBody(body)) == 422


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
async def test_row_66_body_limit_of_the_route_holds(declared: bool) -> None:
    stage = Validation(Validate.model_validate({"body_limit": "1KiB"}))
    request = a_request("POST", headers=[TYPE], body=HeldBody(b"x" * 512, b"x" * 513, declared=declared))

    async def forward() -> None:
        await stage.validate(request)
        async for _ in request.body:
            pass

    with pytest.raises(BadRequest) as refused:
        await forward()
    assert refused.value.status == 413


async def test_row_44_what_a_client_sent_never_becomes_a_page() -> None:
    stage = Validation(Validate(), {"body": b'{"additionalProperties":{"type":"string"}}'})
    with pytest.raises(BadRequest) as refused:
        await stage.validate(a_request("POST", headers=[TYPE], body=HeldBody(b'{"<script>alert(1)</script>":1}')))
    response = render(refused.value, request_id="r", now=0)
    finish = Finish(cors=Cors(None), headers=SecurityHeaders({}), limits=LimitFields("none", {}))
    inbound = Inbound(method="POST", target=b"/", version="1.1", headers=[], peer="", listener="main")
    finished = finish.complete(response, inbound=inbound, exchange=Exchange("r", 0, 0, "g", "main", "POST", ""))
    headers = dict(finished.headers)
    assert headers[b"content-type"] == b"application/problem+json"
    assert b"x-content-type-options: nosniff\r\n" in b"".join(finished.lines)
    assert b"content-security-policy: default-src 'self'" in b"".join(finished.lines)
    assert json.loads(response.body)["errors"] == [{"pointer": "/<script>alert(1)<~1script>", "keyword": "type"}]


DISGUISED = [
    {"Connection": "content-type"},
    {"Connection": "close, Content-Type"},
    {"Content_Type": "application/x-www-form-urlencoded"},
    {"Content.Type": "application/x-www-form-urlencoded"},
]
"""With these an upstream gets another media type than the one the body would be judged as, or none: a form, for Rack."""


@pytest.mark.parametrize("headers", DISGUISED, ids=str)
async def test_a_body_is_not_judged_as_json_where_the_upstream_may_read_a_form(tmp_path: Path, headers: dict[str, str]) -> None:
    rules = "  - {name: plain, allow: any, when: '!has(request.body.admin)'}\n"
    policy = f'apiVersion: gateway/v1\nkind: Policy\nname: p\nroutes: ["*"]\nrules:\n{rules}'
    body = b'{"a":"&admin=yes&b="}'
    async with house(tmp_path, policy=policy) as served:
        ask = partial(served.get, "/things/1", method="POST", token=served.keys.token(), body=body)
        assert (await ask(headers={"Content-Type": "application/json"})).status == 200
        assert (await ask(headers={"Content-Type": "application/json"} | headers)).status == 403
        assert len(served.upstream.seen) == 1


@pytest.mark.parametrize("headers", DISGUISED, ids=str)
async def test_a_body_is_not_validated_as_json_where_the_upstream_may_read_a_form(headers: dict[str, str]) -> None:
    fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    assert await status(HeldBody(b"{}"), *fields) == 415


CROWDED = {
    "objects": b"[" + b",".join([b"{}"] * 340_000) + b"]",
    "numbers": b"[" + b",".join([b"1.0"] * 250_000) + b"]",
    "lists": b"[" + b",".join([b"[" * 60 + b"]" * 60] * 8_000) + b"]",
}
"""Mebibytes that take a second to read, and fifty times as much memory."""


@pytest.mark.parametrize("body", CROWDED.values(), ids=CROWDED.keys())
async def test_a_body_that_is_made_to_be_slow_to_read_is_not_looked_into(body: bytes) -> None:
    request = a_request("POST", headers=[TYPE], body=HeldBody(body))
    assert await judged(request, INSPECTED, sized=False) is UNREAD


LARGE = b'{"a":[' + b",".join([b'{"b":1}'] * 10_000) + b"]}"


async def test_while_a_large_body_is_read_others_are_served() -> None:
    """On the event loop itself it would take one turn."""
    request = a_request("POST", headers=[TYPE], body=HeldBody(LARGE))
    assert await turns_during(judged(request, INSPECTED, sized=False)) > 1
    request = a_request("POST", headers=[TYPE], body=HeldBody(LARGE))
    assert await turns_during(Validation(Validate(), {"body": SCHEMA}).validate(request)) > 1
    request = a_request("POST", headers=[TYPE], body=HeldBody(LARGE))
    upload = Validate.model_validate({"upload": {"types": ["application/json"]}})
    assert await turns_during(Validation(upload).validate(request)) > 1
