"""Attacks on what holds and spends credentials: by clients, and by the servers that mint them."""

import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.core.secret import Secret
from gateway.fetch import HttpFetch
from gateway.store.sql.model import Sqlite
from tests.aws import KEY_ID, SECRET
from tests.granting import ENVIRON, Drawer, Provider, a_grant, granting, issuing
from tests.house import house
from tests.minting import Asked, Mint, reply

SIGV4 = {
    "inject": "sigv4",
    "region": "eu-central-1",
    "service": "s3",
    "access_key_id": KEY_ID,
    "secret_access_key": {"env": "AWS_SECRET"},
}
REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}"


async def test_a_token_endpoint_plants_no_cookie_in_what_is_asked_of_another_at_its_address(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    fetch = HttpFetch(user_agent="t", resolve=resolve)
    async with Mint(authority, reply({}, 200, "Set-Cookie: session=planted; Path=/"), name="localhost") as mint:
        try:
            for _ in range(2):
                await fetch.post(
                    mint.url(),
                    body=b"a=b",
                    content_type="text/plain",
                    limit=1000,
                    timeout=20.0,
                    allow_private=True,
                    ca=str(tmp_path / "ca.pem"),
                )
        finally:
            await fetch.close()
        assert [asked.header("cookie") for asked in mint.asked] == [None, None]


@pytest.mark.parametrize("name", ["x-amz-security-token", "x-amz-copy-source", "x-amz-acl", "x-amz-content-sha256"])
async def test_a_trailer_of_a_clients_frames_becomes_no_header_that_is_signed(tmp_path: Path, name: str) -> None:
    headers = {
        "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "X-Amz-Trailer": name,
        "X-Amz-Decoded-Content-Length": "5",
        "Content-Encoding": "aws-chunked",
    }
    wire = f"5\r\nhello\r\n0\r\n{name}:/other-bucket/key\r\n\r\n".encode()
    async with house(tmp_path, credentials={"bot": SIGV4}, environ={"AWS_SECRET": SECRET}) as gateway:
        said = await gateway.get("/admin/b/k", token=gateway.keys.token(), method="PUT", body=wire, headers=headers)
        assert said.status == 400
        assert gateway.upstream.seen == []


async def test_a_refused_credential_of_a_plan_is_not_replaced_by_the_grant_behind_it(tmp_path: Path) -> None:
    """Who has the first of a plan's credentials acts with it, also where an upstream refuses it."""
    async with issuing(Provider()) as mint:
        file = tmp_path / "store.db"
        parts = granting(tmp_path, mint, {"file": str(file)})
        parts["credentials"]["first"] = {"inject": "bearer", "secret": {"env": "SERVICE"}}
        upstream: dict[str, Any] = {"upstream": "api", "authenticate": ["jwt.corp"]}
        parts["routes"] = [
            {"name": "grant", "match": {"path": "/grant/**"}, "credential": "bot", **upstream},
            {"name": "plan", "match": {"path": "/plan/**"}, "credential": ["first", "bot"], **upstream},
        ]
        environ = {**ENVIRON, "SERVICE": "service-token"}
        async with house(tmp_path, environ=environ, **parts) as here, Drawer(Sqlite(file=file)) as kept:
            await kept.put(a_grant("alice", refresh=Secret(b"canary-refresh-0")))
            assert (await here.get("/grant/x", token=here.keys.token("alice"))).status == 200
            here.upstream.answer = REFUSED
            assert (await here.get("/plan/x", token=here.keys.token("alice"))).status == 401
            sent = [seen.all("authorization") for seen in here.upstream.seen]
            assert sent == [["Bearer canary-access-of-alice"], ["Bearer service-token"]]


@pytest.mark.parametrize("scope", ["read " + "x" * 50_000, "read\0", "read \\", " ".join(["read", *["s" * 60] * 800])])
async def test_scopes_that_cannot_be_stored_cost_no_grant_and_give_no_rights(tmp_path: Path, scope: str) -> None:
    """The refresh token is used up by then: what comes with the new one must not keep it from being stored."""
    async with issuing(Provider()) as mint:
        file = tmp_path / "store.db"
        parts = granting(tmp_path, mint, {"file": str(file)})

        async def answer(asked: Asked) -> bytes:
            return reply({"access_token": "a" * 1000, "refresh_token": "r" * 1000, "scope": scope, "expires_in": 3600})

        mint.answer = answer
        async with house(tmp_path, environ=ENVIRON, **parts) as here, Drawer(Sqlite(file=file)) as kept:
            stale = a_grant(refresh=Secret(b"o" * 16_000), expires_at=time.time() - 10, scopes=("read",))
            await kept.put(stale)
            assert (await here.get("/things/1", token=here.keys.token("alice"))).status == 200
            stored = await kept.get(stale.key)
            assert stored is not None
            assert (stored.refresh, stored.scopes) == (Secret(b"r" * 1000), ())
