"""Client certificates at the listener (attacks.md rows 131, 133, 134, 135)."""

import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.server.listener import Listener
from gateway.server.tls import ServerTls, TlsError
from tests.pki import Pki
from tests.rawhttp import FOLLOWER, Echo, serving


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def presenting(pki: Pki) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    pki.ca.configure_trust(context)
    pki.client().configure_cert(context)
    return context


def test_cve_2026_27586_without_its_ca_the_listener_does_not_start(pki: Pki) -> None:
    """Row 131; every kind of damage to every file: tests/wire/server/test_tls.py."""
    pki.client_ca_file.unlink()
    with pytest.raises(TlsError):
        ServerTls(pki.mutual())


async def test_cve_2025_66220_an_odd_certificate_arrives_byte_for_byte(pki: Pki, tmp_path: Path) -> None:
    """Row 133: a NUL in a SAN is for the reader of the DER to refuse; nothing here cuts or converts it."""
    leaf = odd(pki, x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x0badmin\x00.evil"))
    (tmp_path / "odd.pem").write_bytes(leaf)
    context = ssl.create_default_context()
    pki.ca.configure_trust(context)
    context.load_cert_chain(tmp_path / "odd.pem")
    echo = Echo()
    async with serving(echo, tls=ServerTls(pki.mutual())) as gate:
        client = await gate.connect(ssl=context, server_hostname="localhost")
        await client.send(FOLLOWER)
        assert (await client.answer()).status == 200
    certificate = echo.seen[0].certificate
    assert certificate is not None
    assert b"admin\x00.evil" in certificate


def odd(pki: Pki, name: x509.GeneralName) -> bytes:
    """A client certificate with an unusual name, and its key."""
    authority = x509.load_pem_x509_certificate(pki.client_ca.cert_pem.bytes())
    signer = serialization.load_pem_private_key(pki.client_ca.private_key_pem.bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().issuer_name(authority.subject).public_key(key.public_key())
    builder = builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")]))
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(authority.not_valid_before_utc).not_valid_after(authority.not_valid_after_utc)
    builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
    certificate = builder.sign(signer, hashes.SHA256())  # type: ignore[arg-type]  # trustme mints EC keys
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(serialization.Encoding.PEM, form, plain)


@pytest.mark.parametrize(
    "name", [None, "LOCALHOST", "*.example.com", "other.example"], ids=["absent", "upper", "wildcard", "other"]
)
async def test_cve_2026_32305_no_server_name_talks_a_listener_out_of_its_demand(pki: Pki, name: str | None) -> None:
    """Row 134: the demand is the listener's, whatever SNI says; a ClientHello in fragments included."""
    echo = Echo()
    async with serving(echo, tls=ServerTls(pki.mutual())) as gate:
        context = presenting(pki)
        client = await gate.connect(ssl=context, server_hostname=name or "")
        await client.send(FOLLOWER)
        assert (await client.answer()).status == 200
        assert echo.seen[0].server_name == (name and name.lower())
        bare = ssl.create_default_context()
        bare.check_hostname = False
        pki.ca.configure_trust(bare)
        client = await gate.connect(ssl=bare, server_hostname=name or "")
        client.writer.write(FOLLOWER)
        assert b"HTTP" not in await client.rest()
    assert len(echo.seen) == 1


async def test_a_client_hello_in_fragments_meets_the_same_demand(pki: Pki) -> None:
    """Row 134: the hello is cut into one-byte records' worth of segments."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    bare = ssl.create_default_context()
    pki.ca.configure_trust(bare)
    session = bare.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    echo = Echo()
    async with serving(echo, tls=ServerTls(pki.mutual())) as gate:
        client = await gate.connect()
        hello = outgoing.read()
        for place in range(0, len(hello), 7):
            await client.send(hello[place : place + 7])
        incoming.write(await client.reader.read(65536))
        session.do_handshake()
        session.write(FOLLOWER)
        await client.send(outgoing.read())
        await client.rest()
    assert echo.seen == []


async def test_cve_2024_39321_a_denied_peer_gets_no_handshake_whatever_ticket_it_holds(pki: Pki) -> None:
    """Row 135: lists of addresses are judged before TLS, so there is no early data to slip past them with."""
    tls = ServerTls(pki.model())
    context = ssl.create_default_context()
    pki.ca.configure_trust(context)
    async with serving(Echo(), tls=tls) as gate:
        client = await gate.connect(ssl=context, server_hostname="localhost")
        await client.send(FOLLOWER)
        await client.answer()
        assert client.writer.get_extra_info("ssl_object").session.has_ticket
        denied = Listener("main", "127.0.0.1:0", Echo(), tls=tls, deny_from=(ipaddress.ip_network("127.0.0.0/8"),))
        gate.server.apply([denied])
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await gate.connect(ssl=context, server_hostname="localhost")


def test_a_listener_that_demands_certificates_gives_no_ticket(pki: Pki) -> None:
    """Row 135: a resumed session would skip the certificate's verification."""
    context = ServerTls(pki.mutual()).context
    assert context.num_tickets == 0
    assert context.options & ssl.OP_NO_TICKET
