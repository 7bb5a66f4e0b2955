"""HTTP message signatures made by another implementation of RFC 9421, of every algorithm and over everything that a request has."""

import base64
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms

from gateway.core.message import Request
from tests.issuer import NOW, FixedSecret
from tests.signatures import Door, asked

SECRET = bytes(range(64))
KEYS: dict[str, tuple[Any, Any]] = {
    "ed25519": (algorithms.ED25519, ed25519.Ed25519PrivateKey.generate()),
    "ecdsa-p256-sha256": (algorithms.ECDSA_P256_SHA256, ec.generate_private_key(ec.SECP256R1())),
    "ecdsa-p384-sha384": (algorithms.ECDSA_P384_SHA384, ec.generate_private_key(ec.SECP384R1())),
    "rsa-pss-sha512": (algorithms.RSA_PSS_SHA512, rsa.generate_private_key(65537, 2048)),
    "rsa-v1_5-sha256": (algorithms.RSA_V1_5_SHA256, rsa.generate_private_key(65537, 2048)),
    "hmac-sha256": (algorithms.HMAC_SHA256, SECRET),
}
EVERYTHING = (
    "@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", '"@query-param";name="q"',
    "content-type", '"content-type";bs', "priority", '"priority";sf', '"priority";key="u"', "x-many",
)  # fmt: skip
HEADERS = [("Content-Type", "application/json"), ("Priority", "u=1,   i"), ("X-Many", "a"), ("X-Many", "b, c")]
URL = "https://api.example.com/orders/ü?q=a+b%26c&x=%C3%A4&x=2&empty="


def entry(algorithm: str) -> dict[str, Any]:
    _, key = KEYS[algorithm]
    if isinstance(key, bytes):
        return {"algorithm": algorithm, "secret": {"env": "SHARED"}, "encoding": "base64", "subject": "caller"}
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return {"algorithm": algorithm, "pem": pem, "subject": "caller"}


def signed(algorithm: str, **more: Any) -> httpx.Request:
    kind, key = KEYS[algorithm]
    request = httpx.Request("POST", URL, headers=HEADERS, content=b'{"a": 1}')
    signer = HTTPMessageSigner(
        signature_algorithm=kind, key_resolver=MappingKeyResolver(public_keys={}, private_keys={algorithm: key})
    )
    stated: dict[str, Any] = {"key_id": algorithm, "created": datetime.fromtimestamp(NOW, UTC), "body": request.content} | more
    signer.sign(request, **stated)
    return request


def arrived(request: httpx.Request) -> Request:
    """The request as intake would have made it of what stands on the wire."""
    fields = [(name.lower(), value) for name, value in request.headers.raw]
    return asked(*fields, method=request.method, target=request.url.raw_path.decode(), body=request.content, host="api.example.com")


def door() -> Door:
    keys = {name: entry(name) for name in KEYS}
    return Door({"callers": {"keys": keys}}, secrets=lambda reference: FixedSecret(base64.b64encode(SECRET)))


@pytest.mark.parametrize("algorithm", KEYS)
async def test_what_another_implementation_signs_is_let_in(algorithm: str) -> None:
    for covered in (("@method", "@target-uri"), ("@method", "@authority", "@path", "@query"), EVERYTHING):
        request = arrived(signed(algorithm, covered_component_ids=covered, nonce=str(len(covered)), label="any"))
        assert (await door().ask(request)).id == "caller"


async def test_what_it_signs_for_another_key_or_too_little_is_not() -> None:
    weak = signed("ed25519", covered_component_ids=("@method", "@path"))
    assert "does not cover @target-uri" in (await door().refused(arrived(weak))).detail
    foreign = signed("ed25519")
    foreign.headers["signature-input"] = foreign.headers["signature-input"].replace('"ed25519"', '"hmac-sha256"')
    assert "does not verify" in (await door().refused(arrived(foreign))).detail
