"""Webhooks through a whole gateway: verified before the policy decides, forwarded byte for byte, once."""

import hmac
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.house import House, Reply, config, house

SECRET = "It's a Secret to Everybody"
POLICY = """
apiVersion: gateway/v1
kind: Policy
name: tests
routes: [hooks, open.public]
rules:
  - {name: pushes, allow: [POST], when: "subject.issuer == 'github' && subject.id == 'org-hooks' && request.body.action == 'push'"}
  - {name: open, allow: any, when: "resource.route == 'open.public'"}
"""
ROLES = "{apiVersion: gateway/v1, kind: Roles, roles: {nobody: [nothing:here]}}"
BODY = b'{"action":  "push",\n "text": "\xc3\xa9"}'

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    sender = {"header": "X-Hub-Signature-256", "prefix": "sha256=", "secrets": [{"env": "HOOK"}], "subject": "org-hooks"}
    routes = [
        {"name": "hooks", "match": {"path": "/hooks"}, "upstream": "api", "authenticate": ["hmac.github"]},
        {"name": "open.public", "match": {"path": "/public"}, "upstream": "plain", "anonymous": True},
    ]
    corp = config(0)["authentication"]["jwt"]
    over: dict[str, Any] = {"authentication": {"hmac": {"github": sender | {"max_body": "1KiB"}}, "jwt": corp}, "routes": routes}
    over["detection"] = {"rules": []}  # many signatures that are refused come from here
    folder = tmp_path_factory.mktemp("signed")
    async with house(folder, policy=POLICY, roles=ROLES, environ={"HOOK": SECRET}, **over) as made:
        yield made


async def sent(gateway: House, body: bytes, *, secret: str = SECRET, path: str = "/hooks", **more: str) -> Reply:
    signature = {"X-Hub-Signature-256": "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()}
    fields = {"Content-Type": "application/json", **signature, **more}
    return await gateway.get(path, method="POST", headers=fields, body=body)


async def test_a_signed_body_is_forwarded_as_it_was_verified_and_once(gateway: House) -> None:
    assert (await sent(gateway, BODY)).status == 200
    seen = gateway.upstream.seen[-1]
    assert seen.body == BODY
    assert "x-hub-signature-256" not in seen.names
    count = len(gateway.upstream.seen)
    assert (await sent(gateway, BODY)).status == 401
    assert len(gateway.upstream.seen) == count


async def test_nobody_elses_body_gets_any_further(gateway: House) -> None:
    count = len(gateway.upstream.seen)
    assert (await sent(gateway, b'{"action": "push", "n": 1}', secret="another secret, long enough")).status == 401
    assert (await gateway.get("/hooks", method="POST", body=BODY)).status == 401
    assert (await sent(gateway, b'{"action": "delete"}')).status == 403
    assert (await sent(gateway, b'{"action": "push", "text": "' + 1100 * b"x" + b'"}')).status == 413
    assert (await sent(gateway, BODY, Authorization="Bearer a.b.c")).status == 400
    assert len(gateway.upstream.seen) == count


async def test_a_chunked_body_is_verified_whole(gateway: House) -> None:
    body = b'{"action": "push", "n": 2}'
    signature = hmac.digest(SECRET.encode(), body, "sha256").hex()
    head = f"POST /hooks HTTP/1.1\r\nHost: gw.test\r\nContent-Type: application/json\r\nX-Hub-Signature-256: sha256={signature}\r\n"
    chunks = b"5\r\n" + body[:5] + b"\r\n" + f"{len(body) - 5:x}".encode() + b"\r\n" + body[5:] + b"\r\n0\r\n\r\n"
    reply = await gateway.raw(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, method="POST")
    assert reply.status == 200
    assert gateway.upstream.seen[-1].body == body


async def test_no_upstream_is_told_a_signature_that_nobody_verified(gateway: House) -> None:
    assert (await sent(gateway, BODY, path="/public")).status == 200
    assert "x-hub-signature-256" not in gateway.upstream.seen[-1].names
