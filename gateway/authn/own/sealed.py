"""What only the gateway reads of its own tokens: who the holder is to its policies, and what narrows him.

Access tokens are read by whoever gets them. So all of this is one claim, sealed with AES-256-GCM and bound to the token's `jti`.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.authn.digest import b64url
from gateway.authn.own.signing import derived
from gateway.core.principal import Identity
from gateway.core.route_scope import RouteScope

CLAIM: Final = "latchgate"
"""The private claim."""
NONCE: Final = 12
STATED: Final = frozenset({"aud", "exp", "iat", "nbf", "jti", "cnf", "act", "scope", "client_id", CLAIM})
"""Claims that the token itself states: of those that its source stated these are not carried on."""


def sealed(secret: bytes, record: Mapping[str, Any], jti: str) -> str:
    """A record, base64url."""
    nonce = os.urandom(NONCE)
    plain = json.dumps(record, separators=(",", ":")).encode()
    return b64url(nonce + AESGCM(derived(secret, "seal", 32)).encrypt(nonce, plain, jti.encode()))


def opened(secret: bytes, text: Any, jti: str) -> dict[str, Any] | None:
    """The record; None for what was not sealed under this secret, for that token."""
    try:
        raw = base64.urlsafe_b64decode(str(text) + "=" * (-len(str(text)) % 4))
        record = json.loads(AESGCM(derived(secret, "seal", 32)).decrypt(raw[:NONCE], raw[NONCE:], jti.encode()))
    except (InvalidTag, binascii.Error, ValueError):
        return None
    return record if isinstance(record, dict) else None


def record_of(source: Identity) -> dict[str, Any]:
    """Who somebody is to the gateway's policies. Raises TypeError for claims that are no JSON."""
    return {
        "id": source.id,
        "issuer": source.issuer,
        "scheme": source.scheme,
        "claims": {name: value for name, value in source.claims.items() if name not in STATED},
        "groups": source.groups,
        "scopes": source.scopes,
        "ceiling": source.scope_ceiling,
        "roles": source.roles,
        "permissions": source.permissions,
        "routes": None if source.routes is None else source.routes.written(),
    }


def identity_of(record: Mapping[str, Any], claims: Mapping[str, Any]) -> Identity:
    """The same somebody, as the token's holder; `claims` are the token's. Its words are our own: a KeyError is a bug."""
    stated = {name: value for name, value in claims.items() if name in STATED and name != CLAIM}
    roles, permissions, routes = record["roles"], record["permissions"], record["routes"]
    return Identity(
        id=record["id"],
        issuer=record["issuer"],
        scheme=record["scheme"],
        credential_id=claims["jti"],
        claims={**record["claims"], **stated},
        groups=tuple(record["groups"]),
        scopes=tuple(record["scopes"]),
        scope_ceiling=record["ceiling"],
        roles=None if roles is None else tuple(roles),
        permissions=None if permissions is None else tuple(permissions),
        expires=float(claims["exp"]),
        routes=None if routes is None else RouteScope.read(routes),
    )
