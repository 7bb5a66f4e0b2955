"""Attacks that no advisory names, found by reading the gateway as an attacker: each was open once."""

import asyncio
import ssl
from pathlib import Path

import pytest

from gateway.reload import Reload
from gateway.resources import Nobody
from tests.house import config, house, read_reply
from tests.pki import Pki

TENANTS = """
apiVersion: gateway/v1
kind: Policy
name: tests
routes: ["*"]
rules:
  - {name: tenant, allow: any, when: "request.headers['x-tenant'] == 'acme'"}
  - {name: untyped, allow: any, when: "request.content_type == 'text/plain'"}
  - {name: debug, deny: any, when: "'x-debug' in request.headers"}
"""
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "path",
    [
        "%25%32%65%25%32%65/admin",
        "%252%65%252%65/admin",
        "%25%32e./admin",
        "a%25%32%66..%25%32%66admin",
        "a%25%35%63admin",
        "a%25%30%30",
        "a%25%32%35%32%65",
    ],
)
async def test_an_escape_whose_digits_are_escaped_hides_no_second_round_of_decoding(tmp_path: Path, path: str) -> None:
    """`%25%32%65` is `%252e` once its digits are decoded, and that a dot for whoever decodes again."""
    async with house(tmp_path) as gateway:
        assert (await gateway.get(f"/public/{path}")).status == 400
        assert gateway.upstream.seen == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Tenant": "acme"}, 200),
        ({"X-Tenant": "acme", "Connection": "keep-alive, x-other"}, 200),
        ({"X-Tenant": "acme", "X_Tenant": "evil"}, 403),
        ({"X-Tenant": "acme", "X.Tenant": "evil"}, 403),
        ({"X_Tenant": "acme"}, 403),
        ({"X-Tenant": "acme", "Connection": "x-tenant"}, 403),
        ({"X-Tenant": "acme", "Connection": "close,\tX-Tenant"}, 403),
        ({"Content-Type": "text/plain"}, 200),
        ({"Content-Type": "text/plain", "Connection": "content-type"}, 403),
        ({"X-Tenant": "acme", "X-Debug": "1"}, 403),
        ({"X-Tenant": "acme", "X_Debug": "1"}, 403),
    ],
    ids=str,
)
async def test_a_header_is_authorised_as_the_upstream_will_read_it(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    """Servers fold `X_Tenant` and `X-Tenant` together, and what Connection names never arrives: a rule must not count on either."""
    async with house(tmp_path, policy=TENANTS) as gateway:
        assert (await gateway.get("/public/x", headers=headers)).status == status
        assert len(gateway.upstream.seen) == (status == 200)


@pytest.mark.parametrize("last", ["", f"Traceparent: {TRACE}\r\n"], ids=["plain", "traced"])
async def test_a_request_that_arrives_while_its_listener_goes_is_refused_and_recorded(tmp_path: Path, last: str) -> None:
    """A reload that removes a listener must leave no way to be served, or cut off, without evidence."""
    listeners = {name: {"address": "127.0.0.1:0", "trusted_proxies": ["127.0.0.1/32"]} for name in ("stays", "goes")}
    async with house(tmp_path, listen=None, listeners=listeners) as gateway:
        reader, writer = await asyncio.open_connection(*gateway.address("goes"))
        # The second head has begun to arrive when the first request is answered.
        writer.write(b"GET /public/1 HTTP/1.1\r\nHost: gw.test\r\n\r\nGET /public/2 HTTP/1.1\r\nHost: gw.test\r\n")
        async with asyncio.timeout(60):
            assert (await read_reply(reader, "GET")).status == 200
            del listeners["goes"]
            gateway.write(config(gateway.upstream.port, listen=None, listeners=listeners))
            assert await gateway.process.reload()
            writer.write(f"{last}\r\n".encode())
            assert (await read_reply(reader, "GET")).status == 503
            assert await reader.read() == b""
        writer.close()
        assert [(event["status"], event["reason"]) for event in await gateway.requests()] == [(200, None), (503, "draining")]
        assert len(gateway.upstream.seen) == 1
        assert gateway.process.telemetry.metrics.active == 0


async def test_a_reload_that_fails_unforeseen_does_not_end_the_gateway() -> None:
    """Whoever can fill the process's descriptors or memory during a reload must not stop it with that."""
    told: list[str] = []

    async def attempt() -> str:
        raise OSError(24, "Too many open files")

    reload = Reload(attempt, Nobody(), lambda error: told.extend(problem.message for problem in error.problems))
    assert not await reload()
    assert told == ["could not be reloaded: OSError"]
    assert reload.last_error is not None


async def test_a_client_revoked_before_a_reload_does_not_live_on_in_its_connection(tmp_path: Path) -> None:
    """Files replaced and then SIGHUP: whoever takes the new trust up must end the connections made under the old one."""
    pki = Pki(tmp_path)
    client = pki.client()
    pki.revoke()
    context = ssl.create_default_context()
    pki.ca.configure_trust(context)
    client.configure_cert(context)
    tls = {
        "certificate": str(pki.certificate),
        "key": {"file": str(pki.key)},
        "client_ca": str(pki.client_ca_file),
        "client_auth": "require",
        "client_crl": str(pki.crl),
    }
    get = b"GET /public/x HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with house(tmp_path, listen={"address": "127.0.0.1:0", "tls": tls}) as gateway, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*gateway.address(), ssl=context, server_hostname="localhost")
        writer.write(get)
        assert (await read_reply(reader, "GET")).status == 200
        pki.revoke(client)
        assert await gateway.process.reload()
        writer.write(get)
        assert await reader.read() == b""
        writer.close()
        assert len(gateway.upstream.seen) == 1


async def test_broken_tls_files_that_were_noticed_before_still_refuse_a_reload(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    tls = {"certificate": str(pki.certificate), "key": {"file": str(pki.key)}}
    async with house(tmp_path, listen={"address": "127.0.0.1:0", "tls": tls}) as gateway:
        pki.certificate.write_bytes(b"nonsense")
        await gateway.process.server.refresh_certificates()
        assert not await gateway.process.reload()


@pytest.mark.parametrize("mark", ["?", "#", "#x?", "%00#"])
async def test_what_follows_the_path_of_a_refused_request_is_not_written_down(tmp_path: Path, mark: str) -> None:
    """The record of a refused target must not hold a query, nor a fragment with a token."""
    async with house(tmp_path) as gateway:
        assert (await gateway.get(f"/public/%00{mark}access_token=canary-9c1e")).status == 400
        assert "canary-9c1e" not in str(await gateway.events())
