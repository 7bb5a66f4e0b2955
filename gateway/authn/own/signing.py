"""Keys that sign the gateway's own tokens, each for a period of time: derived from configured secrets, stored nowhere.

HKDF (RFC 5869) with SHA-256 from the secret, the algorithm and the number of the period. All who have the secret have the same
keys, and a new one every period without telling anybody.
"""

from collections.abc import Sequence
from typing import Any, Final, final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.authn.digest import b64url
from gateway.authn.jwk import Key, one
from gateway.authn.strength import StrongSecret
from gateway.authn.thumbprint import members, thumbprint
from gateway.core.ports import Clock

ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256 (FIPS 186-5 by SP 800-186 3.2.1.3)."""
EXTRA: Final = 48
"""Bytes a P-256 key is derived from: 128 bits more than the order has, where A.2.1 of FIPS 186-5 asks for 64."""
AROUND: Final = (0, -1, 1)
"""Of the periods around now: this one signs, tokens of the last one live on, and the next one is published before it is used."""


def derived(secret: bytes, purpose: str, length: int) -> bytes:
    """Key material of one purpose."""
    return HKDF(hashes.SHA256(), length, salt=None, info=f"latchgate tokens v1 {purpose}".encode()).derive(secret)


@final
class SigningKey:
    """The key of one period."""

    __slots__ = ("_algorithm", "_private", "jwk", "kid", "secret", "verification")

    def __init__(self, secret: bytes, algorithm: str, epoch: int) -> None:
        """`secret` is what it is derived from; `epoch` counts periods since 1970."""
        self.secret = secret
        self._algorithm = algorithm
        self._private = _private(secret, algorithm, epoch)
        public = _public(self._private)
        self.kid = thumbprint(members(public))
        self.jwk: dict[str, str] = {**public, "kid": self.kid, "use": "sig", "alg": algorithm}
        self.verification: Key = one(self.jwk)

    def sign(self, message: bytes) -> bytes:
        """RFC 7518 3.4, RFC 8037 3.1."""
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            return self._private.sign(message)
        r, s = decode_dss_signature(self._private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@final
class SigningKeys:
    """The keys around now, made anew when a period begins or a secret is replaced."""

    def __init__(self, secrets: Sequence[StrongSecret], algorithm: str, period: float, clock: Clock) -> None:
        """The first secret signs, the others verify; `period` in seconds."""
        self.algorithm = algorithm
        self._secrets = tuple(secrets)
        self._period = period
        self._now = clock.now
        self._made_for: tuple[int, ...] = ()
        self._revision = 0
        self._keys: dict[str, SigningKey] = {}

    @property
    def revision(self) -> int:
        """Changes whenever the keys do. Raises DependencyDown where a secret is gone."""
        self._look()
        return self._revision

    def current(self) -> SigningKey:
        """The one that signs now. Raises DependencyDown."""
        self._look()
        return next(iter(self._keys.values()))

    def find(self, kid: str | None) -> SigningKey | None:
        """The key of that name, None where it is none of those around now. Raises DependencyDown."""
        self._look()
        return None if kid is None else self._keys.get(kid)

    def published(self) -> list[dict[str, str]]:
        """The public keys, the one that signs now first (RFC 7517). Raises DependencyDown."""
        self._look()
        return [key.jwk for key in self._keys.values()]

    def _look(self) -> None:
        epoch = int(self._now() // self._period)
        wanted = (epoch, *(secret.revision for secret in self._secrets))
        if wanted == self._made_for:
            return
        keys = [SigningKey(secret.current(), self.algorithm, epoch + step) for secret in self._secrets for step in AROUND]
        self._keys = {key.kid: key for key in keys}
        self._made_for = wanted
        self._revision += 1


def _private(secret: bytes, algorithm: str, epoch: int) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
    purpose = f"{algorithm} {epoch}"
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.from_private_bytes(derived(secret, purpose, 32))
    number = int.from_bytes(derived(secret, purpose, EXTRA), "big") % (ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def _public(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> dict[str, Any]:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64url(key.public_key().public_bytes_raw())}
    point = key.public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": b64url(point.x.to_bytes(32, "big")), "y": b64url(point.y.to_bytes(32, "big"))}
