"""Which address is dialled: vetted once, several targets in turn, TLS against the configured name."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from gateway.core.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.upstream.model import RouteTimeouts
from tests.scripted import OK, READ, Script, Scripted, outbound, upstream

LOOPED: Script = [READ, OK] * 8


def server_context(authority: trustme.CA, name: str, *, clients: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    if clients is not None:
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


async def at_loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def test_a_certificate_for_the_configured_name_is_accepted(authority: trustme.CA, ca_file: Path) -> None:
    async with Scripted(LOOPED, ssl=server_context(authority, "tools.example")) as server:
        service = upstream(url=f"https://tools.example:{server.port}", resolve=at_loopback, tls={"ca": str(ca_file)})
        response = await service.transport(RouteTimeouts(), drop_cookies=True).send(outbound())
        assert response.body == b"ok"
        await service.close()


@pytest.mark.parametrize("trusted", [True, False], ids=["wrong-name", "unknown-authority"])
async def test_a_certificate_that_does_not_prove_the_name_is_refused(authority: trustme.CA, ca_file: Path, trusted: bool) -> None:
    issuer, name = (authority, "other.example") if trusted else (trustme.CA(), "tools.example")
    async with Scripted(LOOPED, ssl=server_context(issuer, name)) as server:
        service = upstream(url=f"https://tools.example:{server.port}", resolve=at_loopback, tls={"ca": str(ca_file)})
        with pytest.raises(UpstreamUnreachable):
            await service.transport(RouteTimeouts(), drop_cookies=True).send(outbound())
        assert server.seen == []


async def test_a_private_authority_is_not_trusted_unless_named(authority: trustme.CA) -> None:
    async with Scripted(LOOPED, ssl=server_context(authority, "tools.example")) as server:
        service = upstream(url=f"https://tools.example:{server.port}", resolve=at_loopback)
        with pytest.raises(UpstreamUnreachable):
            await service.transport(RouteTimeouts(), drop_cookies=True).send(outbound())


async def test_the_client_certificate_is_presented(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    own = authority.issue_cert("gateway.example")
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "own.crt"))
    own.private_key_pem.write_to_path(str(tmp_path / "own.key"))
    keys = {"ca": str(ca_file), "client_certificate": str(tmp_path / "own.crt"), "client_key": {"file": str(tmp_path / "own.key")}}
    async with Scripted(LOOPED, ssl=server_context(authority, "tools.example", clients=authority)) as server:
        service = upstream(url=f"https://tools.example:{server.port}", resolve=at_loopback, tls=keys)
        assert (await service.transport(RouteTimeouts(), drop_cookies=True).send(outbound())).body == b"ok"
        await service.close()


async def test_a_replaced_authority_file_counts_for_the_next_connection(authority: trustme.CA, ca_file: Path) -> None:
    newer = trustme.CA()
    async with Scripted(LOOPED, ssl=server_context(newer, "tools.example")) as server:
        service = upstream(url=f"https://tools.example:{server.port}", resolve=at_loopback, tls={"ca": str(ca_file)})
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        with pytest.raises(UpstreamUnreachable):
            await way.send(outbound())
        ca_file.write_text("no certificate")
        with pytest.raises(UpstreamUnreachable):
            await way.send(outbound())
        ca_file.unlink()
        newer.cert_pem.write_to_path(str(ca_file))
        assert (await way.send(outbound())).body == b"ok"
        await service.close()


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async def both(host: str, port: int) -> list[str]:
        return ["::1", "127.0.0.1"]

    async with Scripted(LOOPED) as server:
        service = upstream(url=f"http://tools.example:{server.port}", resolve=both)
        response = await service.transport(RouteTimeouts(), drop_cookies=True).send(outbound())
        assert response.address == f"127.0.0.1:{server.port}"
        await service.close()


async def test_an_answer_of_the_resolver_is_used_for_a_while() -> None:
    asked = 0

    async def counting(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return ["127.0.0.1"]

    async with Scripted(LOOPED) as server:
        service = upstream(url=f"http://tools.example:{server.port}", resolve=counting)
        way = service.transport(RouteTimeouts(), drop_cookies=True)
        await asyncio.gather(*(way.send(outbound()) for _ in range(5)))
        assert (asked, server.opened) == (1, 5)
        await service.close()


async def test_a_name_that_resolves_to_nothing_is_unreachable() -> None:
    async def failing(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    service = upstream(url="http://tools.example", resolve=failing)
    with pytest.raises(UpstreamUnreachable):
        await service.transport(RouteTimeouts(), drop_cookies=True).send(outbound())


async def test_a_handshake_that_never_ends_is_a_connect_timeout() -> None:
    never = asyncio.Event()
    async with Scripted([never]) as server:
        service = upstream(url=f"https://127.0.0.1:{server.port}", timeouts={"connect": "100ms"}, connections=1)
        for _ in range(2):
            with pytest.raises(UpstreamTimeout):
                await service.transport(RouteTimeouts(), drop_cookies=True).send(outbound())
        assert service.status()["connections"] == 0


@pytest.mark.parametrize(
    ("files", "keys"),
    [
        ({}, {"ca": "ca.pem"}),
        ({"ca.pem": ""}, {"ca": "ca.pem"}),
        ({"ca.pem": "no certificate"}, {"ca": "ca.pem"}),
        ({"own.crt": "no certificate"}, {"client_certificate": "own.crt"}),
        ({"own.key": "x"}, {"client_key": "own.key"}),
    ],
    ids=["missing", "empty", "broken", "broken-certificate", "key-alone"],
)
def test_an_unusable_tls_file_is_found_at_load(tmp_path: Path, files: dict[str, str], keys: dict[str, str]) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    tls = {key: str(tmp_path / name) if key != "client_key" else {"file": str(tmp_path / name)} for key, name in keys.items()}
    with pytest.raises(ValueError, match="tls"):
        upstream(url="https://tools.example", tls=tls)


def test_an_encrypted_key_is_an_error_and_not_a_question(authority: trustme.CA, tmp_path: Path) -> None:
    own = authority.issue_cert("gateway.example")
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "own.crt"))
    key = serialization.load_pem_private_key(own.private_key_pem.bytes(), None)
    sealed = serialization.BestAvailableEncryption(b"passphrase")
    (tmp_path / "own.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed))
    tls = {"client_certificate": str(tmp_path / "own.crt"), "client_key": {"file": str(tmp_path / "own.key")}}
    with pytest.raises(ValueError, match="tls"):
        upstream(url="https://tools.example", tls=tls)
