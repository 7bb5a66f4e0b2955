"""Signed statements of the gateway about itself: JWTs for token endpoints (RFC 7519, RFC 7523)."""

import base64
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from gateway.core.errors import DependencyDown
from gateway.core.ports import Clock, SecretSource
from gateway.core.secret import Secret

Algorithm = Literal["RS256", "PS256", "ES256", "EdDSA"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Sign = Callable[[bytes], bytes]

LIFE: Final = 300
"""Seconds for which a statement is good: half of what the strictest of our token endpoints take."""
PSS: Final = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)


class Signer:
    """Signs with a private key whose file may be replaced. Raises ValueError at once for a key that `algorithm` has no use for."""

    def __init__(self, source: SecretSource, algorithm: Algorithm, header: Mapping[str, str] | None = None) -> None:
        self._source = source
        self._algorithm = algorithm
        self._head = _part({"alg": algorithm, "typ": "JWT", **(header or {})})
        self._secret: Secret | None = None
        self._refresh()

    def __call__(self, claims: Mapping[str, Any]) -> str:
        """A JWT that says `claims`. Raises DependencyDown."""
        try:
            self._refresh()
        except ValueError as error:
            raise DependencyDown(str(error)) from None
        signed = self._head + b"." + _part(claims)
        return (signed + b"." + base64url(self._sign(signed))).decode("ascii")

    def _refresh(self) -> None:
        secret = self._source.current()
        if secret is not self._secret:
            self._sign: Sign = signing(secret, self._algorithm, self._source.name)
            self._secret = secret


def signing(secret: Secret, algorithm: Algorithm, name: str) -> Sign:
    """What signs with a PEM key. Raises ValueError, which names the source and never the key."""
    try:
        key = serialization.load_pem_private_key(secret.reveal(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{name}: an unencrypted private key in PEM is needed") from None
    match key, algorithm:
        case rsa.RSAPrivateKey(), "RS256" | "PS256" if key.key_size >= 2048:
            scheme = padding.PKCS1v15() if algorithm == "RS256" else PSS
            return lambda message: key.sign(message, scheme, hashes.SHA256())
        case ec.EllipticCurvePrivateKey(), "ES256" if isinstance(key.curve, ec.SECP256R1):
            return lambda message: _raw(key.sign(message, ec.ECDSA(hashes.SHA256())))
        case ed25519.Ed25519PrivateKey(), "EdDSA":
            return key.sign
        case _:
            raise ValueError(f"{name}: {algorithm} needs {NEEDED[algorithm]}")


NEEDED: Final[Mapping[str, str]] = {
    "RS256": "an RSA key of 2048 bits or more",
    "PS256": "an RSA key of 2048 bits or more",
    "ES256": "an EC key on P-256",
    "EdDSA": "an Ed25519 key",
}


def about_itself(clock: Clock, client: str, audience: str) -> dict[str, Any]:
    """What a client says of itself to a token endpoint (RFC 7523 3): another `jti` each time."""
    now = int(clock.now())
    times = {"iat": now, "nbf": now, "exp": now + LIFE}
    return {"iss": client, "sub": client, "aud": audience, "jti": secrets.token_urlsafe(16), **times}


def thumbprint(certificate: bytes) -> str:
    """The `x5t#S256` of a PEM certificate (RFC 7515 4.1.8). Raises ValueError."""
    return base64url(x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256())).decode("ascii")


def base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _part(members: Mapping[str, Any]) -> bytes:
    return base64url(json.dumps(members, separators=(",", ":")).encode())


def _raw(signature: bytes) -> bytes:
    """Both numbers one after the other (RFC 7518 3.4)."""
    r, s = decode_dss_signature(signature)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
