"""Attacks on what the gateway signs: what is signed is what is sent, for the upstream's host, and nothing a client says joins it."""

import asyncio
import hmac
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws import KEY_ID, SECRET, verify
from tests.house import House, house, request_bytes

PARTNER_KEY = "k3Jw9vQzP0sLx7TnB2mYc5RdF8hGaE1u"
SIGV4 = {
    "inject": "sigv4",
    "region": "eu-central-1",
    "service": "s3",
    "access_key_id": KEY_ID,
    "secret_access_key": {"env": "AWS_SECRET"},
}
HMAC = {
    "inject": "hmac",
    "secret": {"env": "PARTNER_KEY"},
    "content": "{method}\n{target}\n{timestamp}\n{body}",
    "headers": {"X-Signature": "v1={signature}", "X-Timestamp": "{timestamp}"},
}


@pytest.fixture(params=[SIGV4, HMAC], ids=["sigv4", "hmac"])
async def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    environ = {"AWS_SECRET": SECRET, "PARTNER_KEY": PARTNER_KEY}
    async with house(tmp_path, credentials={"bot": request.param}, environ=environ) as made:
        yield made


def holds(gateway: House) -> None:
    """The signature of the last request that arrived fits what arrived."""
    seen = gateway.upstream.seen[-1]
    if not seen.all("authorization"):
        [signature], [timestamp] = seen.all("x-signature"), seen.all("x-timestamp")
        content = f"{seen.method}\n{seen.target}\n{timestamp}\n".encode() + seen.body
        assert signature == "v1=" + hmac.digest(PARTNER_KEY.encode(), content, "sha256").hex()
    else:
        verify(seen.method, seen.target, seen.headers, seen.body)
    assert seen.all("host") == [f"127.0.0.1:{gateway.upstream.port}"]


async def send(gateway: House, target: str, **more: Any) -> int:
    return (await gateway.get(target, token=gateway.keys.token(), **more)).status


@pytest.mark.parametrize(
    "target",
    [
        "/admin/%61%2db/%7E~",
        "/admin/a+b%2Bc%20d",
        "/admin/a;b=c%3Bd,e%2C",
        "/admin/:@!$&'()*+,;=",
        "/admin/x?a=1&a=0&A=2&a%20=3&=4&&b",
        "/admin/x?q=a+b%2B%20c&r=%2525&s=%C3%A4%2f",
        "/admin/x?" + "&".join(f"k{number}={number}" for number in range(50)),
        "/admin/",
        "/admin/x?",
        "/admin/x?a=b?c=d/e",
    ],
)
async def test_what_is_signed_is_spelled_as_what_is_sent(gateway: House, target: str) -> None:
    assert await send(gateway, target) == 200
    holds(gateway)


async def test_a_clients_own_signature_is_gone_in_every_spelling(gateway: House) -> None:
    said = {
        "X-Signature": "v1=evil",
        "x_signature": "v1=evil",
        "X.Timestamp": "0",
        "X-Amz-Date": "20000101T000000Z",
        "x_amz_date": "20000101T000000Z",
        "X-Amz-Security-Token": "evil",
        "Date": "Sat, 01 Jan 2000 00:00:00 GMT",
    }
    assert await send(gateway, "/admin/x", headers=said) == 200
    holds(gateway)
    [seen] = gateway.upstream.seen
    if seen.all("authorization"):
        assert not [value for name, value in seen.headers if "amz" in name.lower() and value in ("evil", "20000101T000000Z")]
    else:
        assert not [value for name, value in seen.headers if value in ("v1=evil", "0")]


async def test_connection_cannot_take_the_signature_away_again(gateway: House) -> None:
    said = {"Connection": "authorization, x-amz-date, x-amz-content-sha256, x-signature, x-timestamp, host"}
    assert await send(gateway, "/admin/x", headers=said) == 200
    holds(gateway)


async def test_a_second_host_is_refused_before_anything_is_signed(gateway: House) -> None:
    reply = await gateway.raw(request_bytes("/admin/x", token=gateway.keys.token(), headers={"Host": "evil.example"}))
    assert reply.status == 400
    assert gateway.upstream.seen == []


async def test_a_host_in_the_target_is_not_signed(gateway: House) -> None:
    reply = await gateway.raw(request_bytes("http://gw.test/admin/x", token=gateway.keys.token()))
    assert reply.status == 200
    holds(gateway)


@pytest.mark.parametrize("target", ["/admin/%2e%2e/x", "/admin//x", "/admin/a%2fb", "/admin/%00"])
async def test_a_path_with_two_readings_is_never_signed(gateway: House, target: str) -> None:
    assert await send(gateway, target) == 400
    assert gateway.upstream.seen == []


async def test_a_request_that_is_denied_is_not_signed(gateway: House) -> None:
    assert await send(gateway, "/nowhere") == 404
    assert (await gateway.get("/admin/x")).status == 401
    assert gateway.upstream.seen == []


async def test_a_body_that_ends_early_is_not_sent_with_a_signature_of_its_beginning(gateway: House) -> None:
    head = request_bytes(
        "/admin/x", method="PUT", token=gateway.keys.token(), headers={"Content-Length": "10", "Connection": "close"}
    )
    reader, writer = await asyncio.open_connection(*gateway.address())
    writer.write(head + b"12345")
    writer.write_eof()
    async with asyncio.timeout(60):
        assert b" 200 " not in await reader.read()
    writer.close()
    assert gateway.upstream.seen == []
