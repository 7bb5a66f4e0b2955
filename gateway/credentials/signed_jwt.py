"""Tells an upstream of ours who is asking, by a short-lived JWT (RFC 7519) whose keys the gateway publishes (RFC 7517)."""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.config.values import SecretRef
from gateway.core.decision import Permit
from gateway.core.errors import DependencyDown
from gateway.core.message import Outbound, lines
from gateway.core.ports import SecretSource
from gateway.core.principal import Principal
from gateway.core.secret import Secret
from gateway.credentials import model
from gateway.credentials.assertion import Algorithm, Sign, base64url, signing
from gateway.scrub.needles import Needles

REMEMBERED: Final = 10_000
"""Principals whose token is kept."""
LONGEST: Final = 8192
"""Bytes of a token: what others accept in a header field."""
REGISTERED: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "act", "roles", "groups", "scopes", "permissions"})
"""Claims that only the gateway states."""


class Key:
    """A private key whose file may be replaced. Its id is its thumbprint (RFC 7638), so that another key has another one."""

    __slots__ = ("_algorithm", "_secret", "_source", "head", "jwk", "sign")

    def __init__(self, source: SecretSource, algorithm: Algorithm) -> None:
        """Raises ValueError for a key that `algorithm` has no use for."""
        self._source = source
        self._algorithm = algorithm
        self._load(source.current())

    def refresh(self) -> None:
        """Take notice of a replaced key. Raises DependencyDown."""
        secret = self._source.current()
        if secret is not self._secret:
            try:
                self._load(secret)
            except ValueError as error:
                raise DependencyDown(str(error)) from None

    def _load(self, secret: Secret) -> None:
        sign: Sign = signing(secret, self._algorithm, self._source.name)
        public = public_jwk(secret)
        id = base64url(sha256(json.dumps(public, sort_keys=True, separators=(",", ":")).encode()).digest()).decode("ascii")
        self.jwk = {**public, "kid": id, "alg": self._algorithm, "use": "sig"}
        self.head = part({"alg": self._algorithm, "typ": "JWT", "kid": id})
        self.sign = sign
        self._secret = secret


class Kept:
    """A token that was made for a principal, in wire form, with when another one is due."""

    __slots__ = ("due", "echoes", "head", "line", "principal")

    def __init__(self, principal: Principal, head: bytes, token: bytes, line: bytes, due: float) -> None:
        self.principal = principal
        self.head = head
        self.echoes = (Needles(token),)
        self.line = line
        self.due = due


class SignedJwtInjector:
    """Sets a header field to a token about the principal. The first of its keys signs, all of them are published."""

    def __init__(self, name: str, configured: model.SignedJwt, keys: Sequence[Key], now: Callable[[], float]) -> None:
        self.name: str | None = name
        self._field = configured.header.lower().encode("ascii")
        self.sets: frozenset[bytes] = frozenset((self._field,))
        self._scheme = b"Bearer " if self._field == b"authorization" else b""
        self._configured = configured
        self._keys = keys
        self._now = now
        self._kept: dict[str, Kept] = {}

    def inject(self, outbound: Outbound, permit: Permit) -> None:
        """Raises DependencyDown without a usable key."""
        principal, key, now = permit.principal, self._keys[0], self._now()
        key.refresh()
        kept = self._kept.get(principal.key)
        # Another token of the same principal may bring other roles: what was said of the one is not said of the other.
        if kept is None or kept.principal is not principal or kept.head is not key.head or kept.due <= now:
            kept = self._minted(principal, key, now)
        outbound.lines.append(kept.line)
        outbound.secrets += kept.echoes

    def published(self) -> list[dict[str, str]]:
        """The public keys, as members of a key set."""
        for key in self._keys:
            key.refresh()
        return [key.jwk for key in self._keys]

    def _minted(self, principal: Principal, key: Key, now: float) -> Kept:
        claims = self._claims(principal, now)
        signed = key.head + b"." + part(claims)
        token = signed + b"." + base64url(key.sign(signed))
        if len(token) > LONGEST:
            raise DependencyDown(f"{self.name}: the token would be longer than {LONGEST} bytes; name fewer `claims`")
        # Half of its life is left to the upstream's clock and to requests that take long.
        kept = Kept(principal, key.head, token, lines([(self._field, self._scheme + token)]), (now + claims["exp"]) / 2)
        self._kept.pop(principal.key, None)
        if len(self._kept) >= REMEMBERED:
            del self._kept[next(iter(self._kept))]
        self._kept[principal.key] = kept
        return kept

    def _claims(self, principal: Principal, now: float) -> dict[str, Any]:
        said, until = self._configured, now + self._configured.lifetime
        expires = int(until if principal.expires is None else min(until, principal.expires))
        copied = {name: principal.claims[name] for name in said.token_claims if name in principal.claims}
        facts: dict[str, Any] = {name: list(getattr(principal, name)) for name in said.claims}
        actor = {} if said.actor is None else {"act": {"sub": said.actor}}
        own = {"iss": said.issuer, "sub": f"{principal.issuer}:{principal.id}", "aud": said.audience, "jti": token_urlsafe(12)}
        return {**copied, **facts, **actor, **own, "iat": int(now), "exp": expires}


def build(
    name: str, configured: model.SignedJwt, secrets: Callable[[SecretRef], SecretSource], now: Callable[[], float]
) -> SignedJwtInjector:
    """Raises ValueError for keys that `algorithm` has no use for, and claims that only the gateway states."""
    if taken := REGISTERED.intersection(configured.token_claims):
        raise ValueError(f"token_claims: only the gateway states {', '.join(sorted(taken))}")
    keys = [Key(secrets(reference), configured.algorithm) for reference in configured.keys]
    if len({key.head for key in keys}) != len(keys):
        raise ValueError("keys: a key is there twice")
    return SignedJwtInjector(name, configured, keys, now)


def public_jwk(secret: Secret) -> dict[str, str]:
    """The required members of a private PEM key's public half (RFC 7518 6, RFC 8037 2), which its thumbprint is made of."""
    public = serialization.load_pem_private_key(secret.reveal(), None).public_key()
    match public:
        case ec.EllipticCurvePublicKey():
            numbers, size = public.public_numbers(), (public.key_size + 7) // 8
            return {"kty": "EC", "crv": "P-256", "x": number(numbers.x, size), "y": number(numbers.y, size)}
        case rsa.RSAPublicKey():
            parts = public.public_numbers()
            return {"kty": "RSA", "n": number(parts.n), "e": number(parts.e)}
        case ed25519.Ed25519PublicKey():
            return {"kty": "OKP", "crv": "Ed25519", "x": base64url(public.public_bytes_raw()).decode("ascii")}
        case _:
            raise ValueError("a key of no kind that is known here")


def number(value: int, size: int = 0) -> str:
    """RFC 7518 2: Base64urlUInt, of `size` bytes where the curve wants so many."""
    return base64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big")).decode("ascii")


def part(members: dict[str, Any]) -> bytes:
    return base64url(json.dumps(members, separators=(",", ":")).encode())
