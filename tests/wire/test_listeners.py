"""Listeners of a whole gateway: TLS and client certificates, the redirect port, several at once, proxies in front."""

import asyncio
import base64
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.cli.check import unusable
from tests.house import ROLES, UPSTREAM_TOKEN, House, config, house, request_bytes
from tests.pki import Pki

MTLS_ROLES = ROLES.replace("bindings: [", "bindings: [{role: member, subjects: ['mtls:client.example']}, ")
GET = b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n"


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    folder = tmp_path / "pki"
    folder.mkdir()
    return Pki(folder)


def trusting(pki: Pki, client: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    pki.ca.configure_trust(context)
    if client is not None:
        client.configure_cert(context)
    return context


def tls(pki: Pki, **more: Any) -> dict[str, Any]:
    return {"certificate": str(pki.certificate), "key": {"file": str(pki.key)}, **more}


def mutual(pki: Pki) -> dict[str, Any]:
    listen = {"address": "127.0.0.1:0", "tls": tls(pki, client_ca=str(pki.client_ca_file), client_auth="optional")}
    routes = [{"name": "admin", "match": {"path": "/admin/**"}, "upstream": "api", "authenticate": ["jwt.corp", "mtls"]}]
    authentication = config(0)["authentication"] | {"mtls": {}}
    return {"listen": listen, "routes": routes, "authentication": authentication, "roles": MTLS_ROLES}


async def test_a_client_certificate_is_an_identity(tmp_path: Path, pki: Pki) -> None:
    async with house(tmp_path, **mutual(pki)) as gateway:
        reply = await gateway.raw(GET % (b"/admin/x", b"localhost"), tls=trusting(pki, pki.client()))
        assert reply.status == 200
        assert reply["Strict-Transport-Security"].startswith("max-age=63072000")
        assert gateway.upstream.seen[0].all("Authorization") == [f"Bearer {UPSTREAM_TOKEN}"]
        event = (await gateway.requests())[-1]
        assert (event["issuer"], event["subject"], event["scheme"]) == ("mtls", "client.example", "mtls")


async def test_without_a_certificate_nobody_is_known(tmp_path: Path, pki: Pki) -> None:
    async with house(tmp_path, **mutual(pki)) as gateway:
        assert (await gateway.raw(GET % (b"/admin/x", b"localhost"), tls=trusting(pki))).status == 401


async def test_a_certificate_of_another_authority_does_not_connect(tmp_path: Path, pki: Pki) -> None:
    async with house(tmp_path, **mutual(pki)) as gateway:
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await gateway.raw(GET % (b"/admin/x", b"localhost"), tls=trusting(pki, trustme.CA().issue_cert("client.example")))
        assert gateway.upstream.seen == []


async def test_a_presented_token_counts_before_the_certificate(tmp_path: Path, pki: Pki) -> None:
    async with house(tmp_path, **mutual(pki)) as gateway:
        request = b"GET /admin/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a.b.c\r\nConnection: close\r\n\r\n"
        assert (await gateway.raw(request, tls=trusting(pki, pki.client()))).status == 401


@pytest.mark.parametrize("content", [b"", b"nonsense", None], ids=["empty", "nonsense", "missing"])
async def test_cve_2026_27586_without_a_readable_ca_there_is_no_start(tmp_path: Path, pki: Pki, content: bytes | None) -> None:
    if content is None:
        pki.client_ca_file.unlink()
    else:
        pki.client_ca_file.write_bytes(content)
    with pytest.raises(Exception, match="client_ca"):
        async with house(tmp_path, **mutual(pki)):
            pass


@pytest.mark.parametrize("content", [b"", b"nonsense"], ids=["empty", "nonsense"])
async def test_cve_2026_27586_a_ca_that_became_unreadable_refuses_the_reload(tmp_path: Path, pki: Pki, content: bytes) -> None:
    async with house(tmp_path, **mutual(pki)) as gateway:
        pki.client_ca_file.write_bytes(content)
        assert not await gateway.process.reload()
        assert (await gateway.raw(GET % (b"/admin/x", b"localhost"), tls=trusting(pki, pki.client()))).status == 200


async def test_check_finds_what_a_start_would_find_in_tls_files(tmp_path: Path, pki: Pki) -> None:
    async with house(tmp_path, **mutual(pki)) as gateway:
        assert unusable(gateway.process.loaded) == []
        pki.client_ca_file.write_bytes(b"")
        found = unusable(gateway.process.loaded)
        assert [(problem.path, problem.severity) for problem in found] == [("listen.tls.client_ca", "error")]


async def test_a_replaced_certificate_is_served_without_a_restart(tmp_path: Path, pki: Pki) -> None:
    async with house(tmp_path, listen={"address": "127.0.0.1:0", "tls": tls(pki)}) as gateway:
        before = await serial(gateway, pki)
        pki.serve("localhost", "127.0.0.1")
        await gateway.process.server.refresh_certificates()
        assert await serial(gateway, pki) != before
        pki.certificate.write_bytes(b"broken")
        await gateway.process.server.refresh_certificates()
        assert (await gateway.raw(GET % (b"/public/x", b"localhost"), tls=trusting(pki))).status == 200


async def serial(gateway: House, pki: Pki) -> str:
    reader, writer = await asyncio.open_connection(*gateway.address(), ssl=trusting(pki), server_hostname="localhost")
    certificate = writer.get_extra_info("ssl_object").getpeercert()
    writer.close()
    del reader
    return str(certificate["serialNumber"])


async def test_the_plain_port_only_redirects_readers(tmp_path: Path, pki: Pki) -> None:
    listen = {"address": "127.0.0.1:0", "tls": tls(pki), "redirect_http": "127.0.0.1:0", "hosts": ["localhost"]}
    async with house(tmp_path, listen=listen) as gateway:
        plain = "listen.redirect_http"
        reply = await gateway.raw(b"GET /public/x?y=%20 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", listener=plain)
        assert reply.status == 308
        assert reply["Location"].endswith("/public/x?y=%20")
        assert reply["Location"].startswith("https://localhost")
        token = gateway.keys.token()
        post = f"POST /admin/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n".encode()
        refused = await gateway.raw(post, method="POST", listener=plain)
        assert (refused.status, refused.json()["type"]) == (403, "urn:latchgate:problem:tls-required")
        assert (await gateway.raw(GET % (b"/public/x", b"evil.test"), listener=plain)).status == 421
        assert gateway.upstream.seen == []


async def test_several_listeners_have_routes_of_their_own(tmp_path: Path) -> None:
    listeners = {"public": {"address": "127.0.0.1:0"}, "inner": {"address": "127.0.0.1:0"}}
    routes = [
        {"name": "open.both", "match": {"path": "/both"}, "upstream": "plain", "anonymous": True},
        {"name": "open.inner", "match": {"path": "/inner", "listeners": ["inner"]}, "upstream": "plain", "anonymous": True},
    ]
    async with house(tmp_path, listen=None, listeners=listeners, routes=routes) as gateway:
        for listener, path, status in (
            ("public", b"/both", 200),
            ("inner", b"/both", 200),
            ("inner", b"/inner", 200),
            ("public", b"/inner", 404),
        ):
            assert (await gateway.raw(GET % (path, b"gw.test"), listener=listener)).status == status


async def test_a_peer_that_is_not_let_in_never_gets_an_answer(tmp_path: Path) -> None:
    async with house(tmp_path, listen={"address": "127.0.0.1:0", "deny_from": ["127.0.0.0/8"]}) as gateway:
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await gateway.get("/public/x")


async def test_a_proxy_conveys_its_clients_certificate_over_a_unix_socket(tmp_path: Path, pki: Pki) -> None:
    keys = mutual(pki)
    keys["listen"] = {"address": f"unix:{tmp_path}/s", "client_certificate": "client-cert"}
    async with house(tmp_path, **keys) as gateway:
        der = ssl.PEM_cert_to_DER_cert(pki.client().cert_chain_pems[0].bytes().decode())
        reader, writer = await asyncio.open_unix_connection(f"{tmp_path}/s")
        conveyed = base64.b64encode(der)
        writer.write(b"GET /admin/x HTTP/1.1\r\nHost: gw.test\r\nClient-Cert: :%b:\r\nConnection: close\r\n\r\n" % conveyed)
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert gateway.upstream.seen[0].all("Client-Cert") == []


async def test_a_handshake_held_open_over_a_revocation_leads_nowhere(tmp_path: Path, pki: Pki) -> None:
    client = pki.client()
    pki.revoke()
    keys = mutual(pki)
    keys["listen"]["tls"] |= {"client_auth": "require", "client_crl": str(pki.crl)}
    async with house(tmp_path, **keys) as gateway:
        arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = trusting(pki, client).wrap_bio(arriving, leaving, server_hostname="localhost")
        reader, writer = await asyncio.open_connection(*gateway.address())
        held = b""
        for _ in range(5):
            try:
                session.do_handshake()
                held = leaving.read()
                break
            except ssl.SSLWantReadError:
                writer.write(leaving.read())
                arriving.write(await reader.read(65536))
        assert held
        pki.revoke(client)
        assert await gateway.process.reload()
        session.write(GET % (b"/admin/x", b"localhost"))
        writer.write(held + leaving.read())
        with suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert gateway.upstream.seen == []


async def test_plaintext_beyond_this_machine_is_for_the_clients_of_a_load_balancer(tmp_path: Path) -> None:
    listen = {
        "address": "0.0.0.0:0",
        "proxy_protocol": {"from": ["127.0.0.0/8"]},
        "deny_from": ["192.0.2.0/24"],
        "hosts": ["gw.test"],
    }
    async with house(tmp_path, listen=listen) as home:
        named, denied = (f"PROXY TCP4 {client} 203.0.113.1 1 80\r\n".encode() for client in ("198.51.100.7", "192.0.2.1"))
        assert (await home.raw(named + request_bytes("/public/a"))).status == 200
        for header in (denied, b""):
            with pytest.raises(ConnectionError):
                await home.raw(header + request_bytes("/public/a"))
        assert [event["client"] for event in await home.requests()] == ["198.51.100.7"]
