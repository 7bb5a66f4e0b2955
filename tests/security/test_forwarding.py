"""Who the client is, what a client may say about itself, and what may never reach an upstream: sent to a whole gateway."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.house import UPSTREAM_TOKEN, House, house

IDENTITY = [
    "X-Gateway-Subject", "X_Gateway_Subject", "X-Gateway.Subject", "x-GATEWAY_subject", "X-Forwarded-For", "X_Forwarded_For", "X-Forwarded-Proto",
    "X-Forwarded-Host", "X-Forwarded-User", "X_Forwarded_User", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X-Forwarded-Path", "X-Real-IP", "X_Real_IP",
    "Forwarded", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-Request-Id", "X_Request_Id", "Client-Cert", "X-Forwarded-Client-Cert",
    "Proxy-Authorization", "traceparent", "X-Envoy-Original-Path",
]  # fmt: skip


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as running:
        yield running


@pytest.mark.parametrize("name", IDENTITY)
@pytest.mark.parametrize("target", ["/public/x", "/admin/x"])
async def test_cve_2025_64484_no_spelling_of_an_identity_field_survives(gateway: House, name: str, target: str) -> None:
    token = gateway.keys.token() if target == "/admin/x" else None
    reply = await gateway.get(target, token=token, headers={name: "spoofed-7"})
    assert reply.status == 200
    assert len(gateway.upstream.seen) == 1
    for seen in gateway.upstream.seen:
        assert "spoofed-7" not in [value for _, value in seen.headers]


@pytest.mark.parametrize("name", ["X-Userinfo", "X_Userinfo", "X-Access-Token", "X-ID-Token", "x_id_token"])
async def test_cve_2026_44087_fields_of_features_that_are_off_are_removed_all_the_same(gateway: House, name: str) -> None:
    assert (await gateway.get("/public/x", headers={name: "spoofed-7"})).status == 200
    assert "spoofed-7" not in [value for _, value in gateway.upstream.seen[0].headers]


@pytest.mark.parametrize("host", ['a";for=1.2.3.4', "a;for=1.2.3.4", "a, for=1.2.3.4", "a b"])
async def test_cve_2026_57210_host_writes_nothing_into_forwarded(tmp_path: Path, host: str) -> None:
    async with house(tmp_path, upstream={"internal": True}) as gateway:
        assert (await gateway.get("/public/x", host=host, headers={"X-Forwarded-For": "10.0.0.1"})).status == 400
        assert gateway.upstream.seen == []
        assert (await gateway.get("/public/x", headers={"X-Forwarded-For": "10.0.0.1"})).status == 200
        assert gateway.upstream.seen[0].all("X-Forwarded-For") == ["127.0.0.1"]
        assert gateway.upstream.seen[0].all("Forwarded") == ["for=127.0.0.1;host=gw.test;proto=http"]


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "::1"])
async def test_cve_2022_28923_no_address_is_let_past_authentication(tmp_path: Path, address: str) -> None:
    listen = {
        "address": "127.0.0.1:0",
        "trusted_proxies": ["127.0.0.1"],
        "client_address": "x-forwarded-for",
        "allow_from": ["127.0.0.0/8"],
    }
    async with house(tmp_path, listen=listen) as gateway:
        assert (await gateway.get("/admin/x", headers={"X-Forwarded-For": address})).status == 401


async def test_cve_2026_33433_a_configured_field_has_one_value_ours(tmp_path: Path) -> None:
    async with house(tmp_path, upstream={"headers": {"set": {"x-tool-user": "ours"}}}) as gateway:
        for name in ("X-Tool-User", "x_tool_user", "X.Tool.User"):
            await gateway.get("/public/x", headers={name: "theirs"})
        assert len(gateway.upstream.seen) == 3
        for seen in gateway.upstream.seen:
            assert [value for key, value in seen.headers if "tool" in key.lower()] == ["ours"]


@pytest.mark.parametrize(
    "listed", ["X-Forwarded-For, Authorization, X-Request-Id, Via, Host", "authorization\t,\tx-request-id", "close, Authorization"]
)
async def test_cve_2024_45410_connection_never_removes_what_the_gateway_adds(gateway: House, listed: str) -> None:
    reply = await gateway.get("/admin/x", token=gateway.keys.token(), headers={"Connection": listed})
    assert reply.status == 200
    seen = gateway.upstream.seen[0]
    assert seen.all("Authorization") == [f"Bearer {UPSTREAM_TOKEN}"]
    assert seen.all("X-Request-Id") == [reply["X-Request-Id"]]
    assert seen.all("Via") == ["1.1 gateway"]


@pytest.mark.parametrize("name", ["X-Forwarded-Uri", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path"])
async def test_cve_2026_40575_no_field_chooses_the_path(gateway: House, name: str) -> None:
    reply = await gateway.get("/admin/x", headers={name: "/public/x"})
    assert reply.status == 401
    assert gateway.upstream.seen == []


async def test_cve_2026_35051_a_forwarded_prefix_makes_no_redirect(gateway: House) -> None:
    reply = await gateway.get("/admin/x", headers={"X-Forwarded-Prefix": "//evil"})
    assert reply.get("Location") is None
    assert b"evil" not in reply.body


async def test_cve_2024_21494_a_stranger_is_limited_by_its_own_address(tmp_path: Path) -> None:
    limits = {"default": ["few"], "rules": {"few": {"key": "client.address", "limit": "2/day"}}}
    async with house(tmp_path, rate_limits=limits) as gateway:
        statuses = [(await gateway.get("/public/x", headers={"X-Forwarded-For": f"203.0.113.{n}"})).status for n in range(4)]
        assert statuses == [200, 200, 429, 429]


async def test_cve_2026_46415_behind_a_trusted_proxy_the_client_is_limited(tmp_path: Path) -> None:
    limits = {"default": ["few"], "rules": {"few": {"key": "client.address", "limit": "1/day"}}}
    listen = {"address": "127.0.0.1:0", "trusted_proxies": ["127.0.0.1"], "client_address": "x-forwarded-for"}
    async with house(tmp_path, rate_limits=limits, listen=listen) as gateway:
        chain = "9.9.9.9, 203.0.113.1"
        assert (await gateway.get("/public/x", headers={"X-Forwarded-For": chain})).status == 200
        assert (await gateway.get("/public/x", headers={"X-Forwarded-For": "8.8.8.8, 203.0.113.1"})).status == 429
        assert (await gateway.get("/public/x", headers={"X-Forwarded-For": "203.0.113.2"})).status == 200
        assert [event["client"] for event in await gateway.requests()] == ["203.0.113.1", "203.0.113.1", "203.0.113.2"]


async def test_cve_2024_45806_a_private_peer_is_a_stranger_unless_named(gateway: House) -> None:
    reply = await gateway.get("/public/x", headers={"X-Forwarded-For": "203.0.113.1", "X-Request-Id": "mine"})
    assert reply["X-Request-Id"] != "mine"
    assert (await gateway.requests())[-1]["client"] == "127.0.0.1"


@pytest.mark.parametrize("agent", ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0"])
async def test_cve_2026_34457_no_user_agent_changes_who_one_is(gateway: House, agent: str) -> None:
    assert (await gateway.get("/admin/x", headers={"User-Agent": agent})).status == 401


async def test_cve_2026_34525_two_hosts_are_refused(gateway: House) -> None:
    reply = await gateway.raw(b"GET /public/x HTTP/1.1\r\nHost: gw.test\r\nHost: evil\r\n\r\n")
    assert reply.status == 400
    assert (await gateway.raw(b"GET http://evil/public/x HTTP/1.1\r\nHost: gw.test\r\n\r\n")).status == 400
    assert gateway.upstream.seen == []


async def test_cve_2025_64527_two_authorization_fields_are_refused_and_nothing_breaks(gateway: House) -> None:
    token = gateway.keys.token()
    fields = f"GET /admin/x HTTP/1.1\r\nHost: gw.test\r\nAuthorization: Bearer {token}\r\nAuthorization: Bearer x\r\n\r\n"
    reply = await gateway.raw(fields.encode())
    assert (reply.status, reply.json()["type"]) == (400, "urn:latchgate:problem:credential-ambiguous")
    assert (await gateway.get("/admin/x", token=token)).status == 200


async def test_no_token_passthrough_on_any_route(gateway: House) -> None:
    token = gateway.keys.token()
    await gateway.get("/admin/x", token=token)
    await gateway.get("/public/x", token=token)
    protected, public = gateway.upstream.seen
    assert protected.all("Authorization") == [f"Bearer {UPSTREAM_TOKEN}"]
    assert public.all("Authorization") == []
    assert token not in str(gateway.upstream.seen)


@pytest.mark.parametrize("template", ["${UPSTREAM_TOKEN}", "{env.UPSTREAM_TOKEN}", "{{ env.UPSTREAM_TOKEN }}"])
async def test_cve_2026_30852_nothing_a_client_sends_is_expanded(gateway: House, template: str) -> None:
    await gateway.get("/public/x", headers={"X-Note": template})
    assert gateway.upstream.seen[0].all("X-Note") == [template]


async def test_an_echoed_secret_is_gone_from_the_answers_fields(gateway: House) -> None:
    gateway.upstream.answer = (
        f"HTTP/1.1 302 Found\r\nLocation: https://other.example/?t={UPSTREAM_TOKEN}\r\nX-Echo: Bearer {UPSTREAM_TOKEN}\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    reply = await gateway.get("/admin/x", token=gateway.keys.token())
    assert reply.status == 302
    assert UPSTREAM_TOKEN not in str(reply.headers)


async def test_nango_5009_redirects_are_passed_on_never_followed(gateway: House) -> None:
    gateway.upstream.answer = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n"
    reply = await gateway.get("/admin/x", token=gateway.keys.token())
    assert (reply.status, reply["Location"]) == (302, "http://169.254.169.254/latest")
    assert len(gateway.upstream.seen) == 1


@pytest.mark.parametrize("location", ["/\t/evil.test", "/\t\\evil.test", "//evil.test/"], ids=repr)
async def test_an_upstreams_location_does_not_become_another_origin_under_our_name(gateway: House, location: str) -> None:
    gateway.upstream.answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    reply = await gateway.get("/public/x")
    assert reply["Location"] in ("/evil.test", "//evil.test/")
