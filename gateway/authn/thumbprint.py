"""The thumbprint of a public key (RFC 7638), of a JWK that whoever signed presents with what he signed."""

import hashlib
import json
from typing import Any, Final

from gateway.authn.digest import b64url

REQUIRED: Final = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
"""RFC 7638 3.2 and RFC 8037 2: what makes the key, in the order of the digest."""
PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})


def members(jwk: Any) -> dict[str, Any]:
    """What makes the key, and nothing else of `jwk`. Raises ValueError for what is no public key, or holds a private part."""
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kty"), str) or jwk["kty"] not in REQUIRED:
        raise ValueError("not a JWK of a supported type")
    if not PRIVATE.isdisjoint(jwk):
        raise ValueError("a JWK with a private part")
    found = {name: jwk.get(name) for name in REQUIRED[jwk["kty"]]}
    if not all(isinstance(value, str) for value in found.values()):
        raise ValueError("a JWK that is not complete")
    return found


def thumbprint(key: dict[str, Any]) -> str:
    """RFC 7638 3.1, of `members`: base64url of the SHA-256 of their canonical form."""
    return b64url(hashlib.sha256(json.dumps(key, separators=(",", ":")).encode()).digest())
