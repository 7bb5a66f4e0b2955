"""Client certificates whose authority's OCSP responder is asked: what is revoked is out, and nobody forges, replays or moves the answer."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.authn.ocsp import Responder
from gateway.authn.ocsp_model import Ocsp
from gateway.core.errors import ConfigError, DependencyDown, Unauthenticated
from gateway.core.ports import Fetched
from tests.issuer import NOW, Counted, FrozenClock, authentication, grant, request

AT = datetime.fromtimestamp(NOW, UTC)
HOUR = timedelta(hours=1)
URL = "https://ocsp.example.com/"


class Issued(NamedTuple):
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def issue(name: str, by: Issued | None = None, *, ocsp_signing: bool = False, ends: datetime = AT + 24 * HOUR) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(AT - 24 * HOUR)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    )
    if by is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    if ocsp_signing:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
    return Issued(builder.sign((by.key if by else key), hashes.SHA256()), key)


CA = issue("authority")
CLIENT = issue("ci.example.com", CA)


class Authority:
    """A responder that says what it is told to, and counts."""

    def __init__(self, **said: Any) -> None:
        self.said: dict[str, Any] = {
            "status": ocsp.OCSPCertStatus.GOOD, "signer": CA, "about": CLIENT, "nonce": "repeated", "begins": AT - HOUR, "ends": AT + HOUR,
        } | said  # fmt: skip
        self.asked: list[bytes] = []
        self.gate: asyncio.Event | None = None

    async def post(self, url: str, *, body: bytes, content_type: str, **more: Any) -> Fetched:
        assert (url, content_type, more["allow_plaintext"], more["allow_private"]) == (
            URL,
            "application/ocsp-request",
            False,
            False,
        )
        self.asked.append(body)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.said.get("raises"), Exception):
            raise self.said["raises"]
        return Fetched(self.said.get("code", 200), {}, self.said.get("raw") or self.answer(ocsp.load_der_ocsp_request(body)))

    def answer(self, asked: ocsp.OCSPRequest) -> bytes:
        said, signer = self.said, self.said["signer"]
        if said.get("refuses"):
            return ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=said["about"].certificate,
            issuer=said.get("issuer", CA).certificate,
            algorithm=asked.hash_algorithm,
            cert_status=said["status"],
            this_update=said["begins"],
            next_update=said["ends"],
            revocation_time=AT - HOUR if said["status"] is ocsp.OCSPCertStatus.REVOKED else None,
            revocation_reason=None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        if signer is not CA:
            builder = builder.certificates([signer.certificate])
        nonce = asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        if said["nonce"] is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce if said["nonce"] == "repeated" else said["nonce"]), critical=False)
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture
def asking(tmp_path: Path) -> Callable[..., tuple[Responder, FrozenClock]]:
    (tmp_path / "ca.pem").write_bytes(
        issue("another").certificate.public_bytes(Encoding.PEM) + CA.certificate.public_bytes(Encoding.PEM)
    )

    def made(authority: Authority, **more: Any) -> tuple[Responder, FrozenClock]:
        model = Ocsp.model_validate({"responder": URL, "authorities": str(tmp_path / "ca.pem"), **more})
        clock = FrozenClock()
        fetch: Any = authority
        return Responder(model, fetch, clock, Counted()), clock

    return made


Asking = Callable[..., tuple[Responder, FrozenClock]]


async def test_a_good_certificate_is_asked_about_once_until_the_answer_ends(asking: Asking) -> None:
    authority = Authority(ends=AT + HOUR / 2)
    responder, clock = asking(authority)
    for _ in range(3):
        await responder.check(CLIENT.der)
    assert len(authority.asked) == 1
    clock.advance(1801)
    authority.said |= {"status": ocsp.OCSPCertStatus.REVOKED, "begins": AT, "ends": AT + 2 * HOUR}
    with pytest.raises(Unauthenticated):
        await responder.check(CLIENT.der)
    assert len(authority.asked) == 2


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("status", [ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN])
async def test_what_is_revoked_or_unknown_to_its_authority_is_out(asking: Asking, status: Any, required: bool) -> None:
    responder, _ = asking(Authority(status=status), required=required)
    with pytest.raises(Unauthenticated) as caught:
        await responder.check(CLIENT.der)
    assert caught.value.genuine


PROVES_NOTHING = {
    "another authority signed": {"signer": issue("mallory")},
    "a client of the authority signed": {"signer": issue("client", CA)},
    "another authority's responder signed": {"signer": issue("responder", issue("mallory"), ocsp_signing=True)},
    "the responder's certificate has ended": {"signer": issue("old", CA, ocsp_signing=True, ends=AT - HOUR)},
    "an answer about another certificate": {"about": issue("other.example.com", CA)},
    "the same serial number of another authority": {"issuer": issue("mallory")},
    "a stale answer": {"begins": AT - 3 * HOUR, "ends": AT},
    "an answer of tomorrow": {"begins": AT + HOUR, "ends": AT + 2 * HOUR},
    "an old answer without an end": {"ends": None, "nonce": None},
    "an answer to another question": {"nonce": b"0123456789abcdef"},
    "the responder refuses": {"refuses": True},
    "the responder has an error": {"code": 500},
    "no answer of OCSP": {"raw": b"<html>"},
    "certificates in it that nobody can read": {"raises": x509.DuplicateExtension("twice", x509.OCSPNonce.oid)},
    "the responder is gone": {"raises": DependencyDown("refused")},
}


@pytest.mark.parametrize("said", PROVES_NOTHING.values(), ids=PROVES_NOTHING)
async def test_an_answer_that_proves_nothing_is_none(asking: Asking, said: dict[str, Any]) -> None:
    responder, clock = asking(authority := Authority(**said))
    for _ in range(2):
        with pytest.raises(DependencyDown):
            await responder.check(CLIENT.der)
    assert len(authority.asked) == 1  # nobody makes us ask again at once
    clock.advance(5.1)
    authority.said |= Authority().said | {"refuses": False, "code": 200, "raw": None, "raises": None, "issuer": CA}
    await responder.check(CLIENT.der)
    lenient, _ = asking(Authority(**said), required=False)
    await lenient.check(CLIENT.der)


@pytest.mark.parametrize("said", [{"signer": issue("responder", CA, ocsp_signing=True)}, {"nonce": None}, {"ends": None}])
async def test_a_responder_of_the_authoritys_own_and_answers_made_in_advance_count(asking: Asking, said: dict[str, Any]) -> None:
    responder, _ = asking(Authority(**said))
    await responder.check(CLIENT.der)


async def test_a_certificate_of_an_authority_that_is_not_named_is_not_asked_about(asking: Asking) -> None:
    responder, _ = asking(authority := Authority())
    with pytest.raises(DependencyDown):
        await responder.check(issue("stranger", issue("mallory")).der)
    assert authority.asked == []


async def test_many_requests_of_one_client_are_one_question(asking: Asking) -> None:
    responder, _ = asking(authority := Authority())
    authority.gate = asyncio.Event()
    waiting = [asyncio.create_task(responder.check(CLIENT.der)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting.pop().cancel()
    authority.gate.set()
    await asyncio.gather(*waiting)
    assert len(authority.asked) == 1


async def test_a_crowd_of_certificates_asks_a_bounded_number_at_once(asking: Asking) -> None:
    responder, _ = asking(authority := Authority())
    authority.gate = asyncio.Event()
    crowd = [asyncio.create_task(responder.check(issue(f"c{number}.example.com", CA).der)) for number in range(40)]
    results: list[Any] = []
    while len(authority.asked) < 32:
        await asyncio.sleep(0)
    await responder.close()
    results = await asyncio.gather(*crowd, return_exceptions=True)
    assert len(authority.asked) == 32
    assert all(isinstance(result, DependencyDown) for result in results)


async def test_the_gate_lets_in_what_is_good_and_refuses_what_is_revoked(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(CA.certificate.public_bytes(Encoding.PEM))
    for status, admitted in ((ocsp.OCSPCertStatus.GOOD, True), (ocsp.OCSPCertStatus.REVOKED, False)):
        fetch: Any = Authority(status=status)
        model = {"mtls": {"ocsp": {"responder": URL, "authorities": str(tmp_path / "ca.pem")}}}
        gate = authentication(model, fetch=fetch).gate(("mtls",), anonymous=False, grant=grant)
        asked = request(certificate=CLIENT.der)
        if admitted:
            assert (await gate.authenticate(asked)).id == "ci.example.com"
        else:
            with pytest.raises(Unauthenticated):
                await gate.authenticate(asked)


def test_authorities_that_are_none_are_refused_at_load(asking: Asking, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="no certificates in PEM"):
        asking(Authority())


class OpenSsl(Authority):
    """OpenSSL's own responder over an index file: another implementation reads our questions and signs the answers."""

    def __init__(self, folder: Path, revoked: bool) -> None:
        super().__init__()
        self.folder = folder
        serial = f"{CLIENT.certificate.serial_number:X}"
        serial = serial.zfill(len(serial) + len(serial) % 2)
        state = "R\t350101000000Z\t260101000000Z" if revoked else "V\t350101000000Z\t"
        (folder / "index.txt").write_text(f"{state}\t{serial}\tunknown\t/CN=ci.example.com\n")
        (folder / "ca.crt").write_bytes(CA.certificate.public_bytes(Encoding.PEM))
        (folder / "ca.key").write_bytes(CA.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    async def post(self, url: str, *, body: bytes, content_type: str, **more: Any) -> Fetched:
        (self.folder / "request").write_bytes(body)
        tool = shutil.which("openssl")
        assert tool is not None
        command = [
            "ocsp",
            "-index",
            "index.txt",
            "-CA",
            "ca.crt",
            "-rsigner",
            "ca.crt",
            "-rkey",
            "ca.key",
            "-reqin",
            "request",
            "-respout",
            "answer",
            "-nmin",
            "30",
            "-noverify",
        ]
        subprocess.run([tool, *command], cwd=self.folder, check=True, capture_output=True, timeout=60)
        return Fetched(200, {}, (self.folder / "answer").read_bytes())


@pytest.mark.parametrize("revoked", [False, True])
async def test_openssls_responder_is_understood(asking: Asking, tmp_path: Path, revoked: bool) -> None:
    responder, clock = asking(OpenSsl(tmp_path, revoked))
    clock.time = datetime.now(UTC).timestamp()
    if revoked:
        with pytest.raises(Unauthenticated):
            await responder.check(CLIENT.der)
    else:
        await responder.check(CLIENT.der)
