"""A security key of software (WebAuthn 6), and what a browser makes of its answers."""

import base64
import json
from dataclasses import dataclass, field
from hashlib import sha256
from os import urandom
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40
Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Authenticator:
    """`says` are fields of the client data that are other than a browser would write them."""

    origin: str
    host: str
    private: Private = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = field(default_factory=lambda: urandom(32))
    flags: int = PRESENT | VERIFIED
    count: int = 0
    counts: bool = True
    handle: bytes | None = None
    says: dict[str, Any] = field(default_factory=dict)

    def create(self, options: dict[str, Any], **other: Any) -> str:
        """`navigator.credentials.create(options)`, as JSON text."""
        asked = options["publicKey"]
        self.handle = unb64(asked["user"]["id"])
        key = other.get("key", self.public)
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor.encode(key)
        data = self._data(other.get("flags", self.flags | ATTESTED)) + attested
        made = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        client_data = self._client_data("webauthn.create", asked["challenge"])
        return self._told(clientDataJSON=b64(client_data), attestationObject=b64(made))

    def get(self, options: dict[str, Any]) -> str:
        """`navigator.credentials.get(options)`, as JSON text."""
        client_data = self._client_data("webauthn.get", options["publicKey"]["challenge"])
        data = self._data(self.flags)
        signature = self._sign(data + sha256(client_data).digest())
        told = {"clientDataJSON": b64(client_data), "authenticatorData": b64(data), "signature": b64(signature)}
        return self._told(**told, userHandle=b64(self.handle) if self.handle else None)

    @property
    def public(self) -> dict[int, Any]:
        """As COSE writes it (RFC 9053 7, RFC 8230 4)."""
        public = self.private.public_key()
        if isinstance(public, ec.EllipticCurvePublicKey):
            point = public.public_numbers()
            return {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        if isinstance(public, rsa.RSAPublicKey):
            return {1: 3, 3: -257, -1: public.public_numbers().n.to_bytes(public.key_size // 8, "big"), -2: b"\x01\x00\x01"}
        return {1: 1, 3: -8, -1: 6, -2: public.public_bytes_raw()}

    def _told(self, **response: str | None) -> str:
        said = {"id": b64(self.id), "rawId": b64(self.id), "type": "public-key", "response": response, "clientExtensionResults": {}}
        return json.dumps(said)

    def _client_data(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False} | self.says
        return json.dumps(said).encode()

    def _data(self, flags: int) -> bytes:
        self.count += self.counts
        return sha256(self.host.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big")

    def _sign(self, message: bytes) -> bytes:
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.private.sign(message, ec.ECDSA(SHA256()))
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(message, padding.PKCS1v15(), SHA256())
        return self.private.sign(message)
