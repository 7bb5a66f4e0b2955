"""Statements the gateway signs: against vectors of the JOSE cookbook, and against another library."""

import base64
import hashlib
import json
import ssl
from pathlib import Path
from typing import Any

import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import RSAAlgorithm

from gateway.core.errors import DependencyDown
from gateway.core.secret import Secret
from gateway.credentials.assertion import Algorithm, PrivateKey, Signer, about_itself, signing, thumbprint
from tests.issuer import NOW, FixedSecret, FrozenClock


def pem(key: PrivateKey, password: bytes | None = None) -> bytes:
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


RSA = rsa.generate_private_key(65537, 2048)
KEYS: dict[str, PrivateKey] = {
    "RS256": RSA,
    "PS256": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


@pytest.mark.parametrize("algorithm", KEYS)
def test_another_library_reads_what_is_signed(algorithm: Algorithm) -> None:
    key = KEYS[algorithm]
    token = Signer(FixedSecret(pem(key)), algorithm, {"kid": "k1"})({"iss": "gw", "exp": 4102444800})
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "JWT", "kid": "k1"}
    assert jwt.decode(token, key.public_key(), [algorithm]) == {"iss": "gw", "exp": 4102444800}


def test_the_signature_is_that_of_the_cookbook(vectors: Path) -> None:
    """RFC 7520 4.1, RSA v1.5: the same key and the same bytes give the same signature."""
    vector = json.loads((vectors / "jose-cookbook/jws/4_1.rsa_v15_signature.json").read_text())
    key = RSAAlgorithm.from_jwk(vector["input"]["key"])
    assert isinstance(key, rsa.RSAPrivateKey)
    signed = vector["signing"]["sig-input"].encode("ascii")
    sign = signing(Secret(pem(key)), "RS256", "vector")
    encoded = jwt.utils.base64url_encode(sign(signed)).decode()
    assert encoded == vector["signing"]["sig"]


@pytest.mark.parametrize(
    ("raw", "algorithm", "needed"),
    [
        (b"canary-not-a-key", "RS256", "an unencrypted private key in PEM"),
        (b"", "RS256", "an unencrypted private key in PEM"),
        (pem(RSA, b"password"), "RS256", "an unencrypted private key in PEM"),
        (pem(rsa.generate_private_key(65537, 2048 // 2)), "RS256", "RSA key of 2048 bits"),
        (pem(KEYS["ES256"]), "RS256", "RSA key"),
        (pem(RSA), "ES256", "P-256"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "ES256", "P-256"),
        (pem(RSA), "EdDSA", "Ed25519"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_at_load_and_not_shown(raw: bytes, algorithm: Algorithm, needed: str) -> None:
    with pytest.raises(ValueError, match=needed) as caught:
        Signer(FixedSecret(raw), algorithm)
    assert "env:TEST" in str(caught.value)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_replaced_key_signs_from_then_on_and_a_broken_one_is_an_outage() -> None:
    source = FixedSecret(pem(RSA))
    sign = Signer(source, "RS256")
    other = rsa.generate_private_key(65537, 2048)
    source.replace(pem(other))
    assert jwt.decode(sign({"a": 1}), other.public_key(), ["RS256"]) == {"a": 1}
    source.replace(b"broken")
    with pytest.raises(DependencyDown, match="private key in PEM"):
        sign({"a": 1})


def test_what_a_client_says_of_itself() -> None:
    """RFC 7523 3."""
    said = about_itself(FrozenClock(), "gw", "https://mint.test/token")
    assert {name: value for name, value in said.items() if name != "jti"} == {
        "iss": "gw",
        "sub": "gw",
        "aud": "https://mint.test/token",
        "iat": int(NOW),
        "nbf": int(NOW),
        "exp": int(NOW) + 300,
    }
    assert len({about_itself(FrozenClock(), "gw", "x")["jti"] for _ in range(100)}) == 100


def test_the_thumbprint_of_a_certificate(certificate: Any) -> None:
    text, der = certificate
    assert base64.urlsafe_b64decode(thumbprint(text) + "=") == hashlib.sha256(der).digest()
    assert ssl.PEM_cert_to_DER_cert(text.decode()) == der


@pytest.fixture
def certificate() -> tuple[bytes, bytes]:
    text = trustme.CA().cert_pem.bytes()
    return text, ssl.PEM_cert_to_DER_cert(text.decode())
