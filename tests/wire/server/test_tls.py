"""TLS of a listener, on real connections."""

import asyncio
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from gateway.server.tls import ServerTls, TlsError
from tests.fakes import CountingMetrics
from tests.pki import Pki
from tests.rawhttp import FOLLOWER, Client, Echo, Gate, limits, serving


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def client_context(pki: Pki, leaf: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    pki.ca.configure_trust(context)
    if leaf is not None:
        leaf.configure_cert(context)
    return context


async def shake(gate: Gate, context: ssl.SSLContext, name: str | None = "localhost") -> Client:
    return await gate.connect(ssl=context, server_hostname=name)


async def is_let_in(gate: Gate, context: ssl.SSLContext) -> bool:
    """Whether a request gets an answer. TLS 1.3 tells a client of its refusal only after the handshake."""
    try:
        client = await shake(gate, context)
        await client.send(FOLLOWER)
        return (await client.answer()).status == 200
    except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
        return False


async def test_requests_over_tls_know_it(pki: Pki) -> None:
    echo = Echo()
    async with serving(echo, tls=ServerTls(pki.model())) as gate:
        client = await shake(gate, client_context(pki), "LocalHost")
        await client.send(FOLLOWER * 2)
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 200
        session = client.writer.get_extra_info("ssl_object")
        assert session.version() == "TLSv1.3"
        assert session.compression() is None
        assert session.selected_alpn_protocol() is None
    assert (echo.seen[0].secure, echo.seen[0].server_name, echo.seen[0].certificate) == (True, "localhost", None)


async def test_only_http_1_1_is_negotiated(pki: Pki) -> None:
    async with serving(Echo(), tls=ServerTls(pki.model())) as gate:
        context = client_context(pki)
        context.set_alpn_protocols(["h2", "http/1.1"])
        client = await shake(gate, context)
        assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize(("minimum", "spoken"), [("1.3", False), ("1.2", True)])
async def test_tls_1_2_only_where_it_is_configured(pki: Pki, minimum: str, spoken: bool) -> None:
    async with serving(Echo(), tls=ServerTls(pki.model(min_version=minimum))) as gate:
        context = client_context(pki)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert await is_let_in(gate, context) is spoken


async def test_the_verified_client_certificate_reaches_the_app_as_der(pki: Pki) -> None:
    echo, leaf = Echo(), pki.client()
    async with serving(echo, tls=ServerTls(pki.mutual())) as gate:
        assert await is_let_in(gate, client_context(pki, leaf))
    assert echo.seen[0].certificate == ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())


@pytest.mark.parametrize(("auth", "let_in"), [("none", True), ("optional", True), ("require", False)])
async def test_a_client_without_a_certificate(pki: Pki, auth: str, let_in: bool) -> None:
    echo = Echo()
    async with serving(echo, tls=ServerTls(pki.mutual(client_auth=auth))) as gate:
        assert await is_let_in(gate, client_context(pki)) is let_in
    assert [inbound.certificate for inbound in echo.seen] == ([None] if let_in else [])


@pytest.mark.parametrize("auth", ["optional", "require"])
async def test_a_client_certificate_of_another_ca_is_refused_even_where_none_is_needed(pki: Pki, auth: str) -> None:
    metrics = CountingMetrics()
    async with serving(Echo(), tls=ServerTls(pki.mutual(client_auth=auth)), metrics=Gauging(metrics)) as gate:
        assert not await is_let_in(gate, client_context(pki, trustme.CA().issue_cert("client.example")))
        await gate.until(lambda: metrics.counted("gateway.tls.handshakes.failed", listener="main", reason="certificate") == 1)


class Gauging:
    """Counting metrics that also bear gauges."""

    def __init__(self, inner: CountingMetrics) -> None:
        self._inner = inner
        self.gauges: dict[str, float] = {}

    def count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self._inner.count(name, amount, **labels)

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        self.gauges[name] = value


async def test_a_revoked_client_certificate_is_refused(pki: Pki) -> None:
    good, revoked = pki.client(), pki.client()
    pki.revoke(revoked)
    async with serving(Echo(), tls=ServerTls(pki.mutual(client_crl=pki.crl))) as gate:
        assert await is_let_in(gate, client_context(pki, good))
        assert not await is_let_in(gate, client_context(pki, revoked))


async def test_a_session_is_not_resumed_past_the_verification_of_its_certificate(pki: Pki) -> None:
    async with serving(Echo(), tls=ServerTls(pki.mutual())) as gate:
        context = client_context(pki, pki.client())
        client = await shake(gate, context)
        await client.send(FOLLOWER)
        await client.answer()
        session = client.writer.get_extra_info("ssl_object").session
        assert session is None or not session.has_ticket


async def test_bytes_that_are_no_tls_end_the_connection(pki: Pki) -> None:
    echo = Echo()
    async with serving(echo, tls=ServerTls(pki.model())) as gate:
        client = await gate.ask(FOLLOWER)
        assert b"HTTP" not in await client.rest()
    assert echo.seen == []


async def test_a_handshake_that_does_not_come_is_given_up(pki: Pki) -> None:
    """attacks.md row 139: the read deadline covers the handshake too."""
    async with serving(Echo(), tls=ServerTls(pki.model()), limits=limits(header_timeout=0.2)) as gate:
        client = await gate.ask(b"\x16\x03\x01")
        assert await client.rest() == b""


async def test_over_the_limit_of_connections_there_is_no_handshake(pki: Pki) -> None:
    async with serving(Echo(), tls=ServerTls(pki.model()), limits=limits(connections=1)) as gate:
        assert await is_let_in(gate, client_context(pki))
        assert not await is_let_in(gate, client_context(pki))


async def test_a_replaced_certificate_serves_new_connections_and_leaves_live_ones_alone(pki: Pki) -> None:
    tls = ServerTls(pki.model())
    async with serving(Echo(), tls=tls) as gate:
        first = await shake(gate, client_context(pki))
        before = tls.not_after
        assert not tls.changed()
        pki.serve("localhost", not_after=datetime.now(UTC) + timedelta(days=7))
        await gate.server.refresh_certificates()
        assert before != tls.not_after
        second = await shake(gate, client_context(pki))
        assert serial(first) != serial(second)
        await first.send(FOLLOWER)
        assert (await first.answer()).status == 200


def serial(client: Client) -> object:
    return client.writer.get_extra_info("peercert")["serialNumber"]


@pytest.fixture
def projected(pki: Pki, tmp_path: Path) -> tuple[Pki, Path]:
    """Files as Kubernetes projects them: links through `..data`, which is swapped as a whole."""
    mount = tmp_path / "mount"
    mount.mkdir()
    publish(pki, mount, "one")
    for name in ("server.crt", "server.key"):
        (mount / name).symlink_to(Path("..data") / name)
    return pki, mount


def publish(pki: Pki, mount: Path, version: str) -> None:
    (mount / version).mkdir()
    (mount / version / "server.crt").write_bytes(pki.certificate.read_bytes())
    (mount / version / "server.key").write_bytes(pki.key.read_bytes())
    (mount / "..new").symlink_to(version)
    os.replace(mount / "..new", mount / "..data")  # noqa: PTH105  the very call Kubernetes makes


async def test_a_symlink_swap_is_noticed_by_itself(projected: tuple[Pki, Path]) -> None:
    pki, mount = projected
    model = pki.model(certificate=mount / "server.crt").model_copy(
        update={"key": pki.model().key.model_copy(update={"file": mount / "server.key"})}
    )
    tls = ServerTls(model)
    before = tls.not_after
    async with serving(Echo(), tls=tls, certificate_interval=0.05) as gate:
        pki.serve("localhost", not_after=datetime.now(UTC) + timedelta(days=7))
        publish(pki, mount, "two")
        await gate.until(lambda: tls.not_after != before)
        assert await is_let_in(gate, client_context(pki))


async def test_a_broken_replacement_keeps_the_old_certificate_and_is_counted_once(pki: Pki) -> None:
    metrics = CountingMetrics()
    gauging = Gauging(metrics)
    tls = ServerTls(pki.model())
    async with serving(Echo(), tls=tls, metrics=gauging) as gate:
        await gate.until(lambda: gauging.gauges.get("gateway.tls.certificate.not_after") == tls.not_after)
        pki.certificate.write_text("")
        await gate.server.refresh_certificates()
        await gate.server.refresh_certificates()
        assert metrics.counted("gateway.tls.reloads", listener="main", outcome="refused") == 1
        assert await is_let_in(gate, client_context(pki))
        pki.serve("localhost")
        await gate.server.refresh_certificates()
        assert metrics.counted("gateway.tls.reloads", listener="main", outcome="replaced") == 1


async def test_a_newly_revoked_client_does_not_live_on_in_a_kept_connection(pki: Pki) -> None:
    leaf = pki.client()
    pki.revoke()
    async with serving(Echo(), tls=ServerTls(pki.mutual(client_crl=pki.crl))) as gate:
        client = await shake(gate, client_context(pki, leaf))
        await client.send(FOLLOWER)
        assert (await client.answer()).status == 200
        pki.revoke(leaf)
        await gate.server.refresh_certificates()
        assert await client.rest() == b""
        assert not await is_let_in(gate, client_context(pki, leaf))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


FILES = ["certificate", "key", "client_ca", "client_crl"]
DAMAGE = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "blank": lambda path: path.write_text(" \n"),
    "garbage": lambda path: path.write_text("not PEM"),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "pipe nobody writes to": pipe,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.parametrize("key", FILES)
def test_a_file_that_cannot_be_used_refuses_start_and_reload(pki: Pki, key: str, damage: object) -> None:
    """attacks.md row 131, CVE-2026-27586: a CA that cannot be read must never mean that nobody is checked."""
    pki.revoke()
    model = pki.mutual(client_crl=pki.crl)
    tls = ServerTls(model)
    context = tls.context
    path = {"certificate": pki.certificate, "key": pki.key, "client_ca": pki.client_ca_file, "client_crl": pki.crl}[key]
    damage(path)  # type: ignore[operator]
    assert tls.changed()
    with pytest.raises(TlsError) as refused:
        ServerTls(model)
    assert refused.value.key == key
    with pytest.raises(TlsError):
        tls.reload()
    assert tls.context is context
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_key_of_another_certificate_is_refused(pki: Pki) -> None:
    pki.key.write_bytes(pki.ca.issue_cert("localhost").private_key_pem.bytes())
    with pytest.raises(TlsError, match="does not belong to the certificate"):
        ServerTls(pki.model())


def test_an_encrypted_key_is_refused_without_asking_for_a_password(pki: Pki) -> None:
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key(pki.key.read_bytes(), None)
    pki.key.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"secret")))
    with pytest.raises(TlsError, match="no usable private key"):
        ServerTls(pki.model())


def test_a_leaf_certificate_is_no_client_ca(pki: Pki) -> None:
    pki.client_ca_file.write_bytes(pki.client().cert_chain_pems[0].bytes())
    with pytest.raises(TlsError) as refused:
        ServerTls(pki.mutual())
    assert refused.value.key == "client_ca"


@pytest.mark.parametrize("auth", ["optional", "require"])
def test_client_auth_without_a_ca_is_refused(pki: Pki, auth: str) -> None:
    with pytest.raises(TlsError, match="needs a client_ca"):
        ServerTls(pki.model(client_auth=auth))


def test_an_expired_certificate_is_served_with_a_warning(pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    pki.serve("localhost", not_after=datetime.now(UTC) - timedelta(days=1))
    tls = ServerTls(pki.model())
    assert [record.message for record in caplog.records] == ["certificate expired"]
    assert tls.not_after < datetime.now(UTC).timestamp()
