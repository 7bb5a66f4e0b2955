"""One issuer's tokens verified: signature, type, issuer, audience, times and the claims that become the identity.

RFC 7519, RFC 8725 (best current practice) and RFC 9068 (`typ`). Caches nothing; `tokens` does.
"""

import hashlib
from typing import Final, final

from gateway.authn.claims import Claims
from gateway.authn.jwk import Key
from gateway.authn.jwks import Keys
from gateway.authn.model import JwtIssuer
from gateway.authn.token import Token
from gateway.authn.workloads import Check, service_account, svid
from gateway.core.errors import Unauthenticated
from gateway.core.ports import Clock
from gateway.core.principal import Identity

RFC9068: Final = ("iss", "exp", "aud", "sub", "client_id", "iat", "jti")
"""What an access token of that profile always says (RFC 9068 2.2)."""
MAX_CANDIDATES: Final = 4
"""How many keys a token without `kid` is tried against."""


@final
class Verifier:
    """Verifies the tokens of one configured issuer; `name` becomes the principal's issuer."""

    def __init__(self, name: str, model: JwtIssuer, keys: Keys, clock: Clock, fingerprint_key: bytes) -> None:
        self.name = name
        self.keys = keys
        self.issuer = model.known_as
        self.limit = model.max_bytes
        self._fingerprint_key = fingerprint_key
        self._algorithms = frozenset(model.algorithms)
        self._types = frozenset(_media_type(name) for name in model.accepted_types)
        self._workload: Check | None = None if model.spiffe is None else svid(model.spiffe.trust_domain)
        if model.kubernetes:
            self._workload = service_account
        self._claims = Claims("jwt", name, model, clock, RFC9068 if model.profile is not None else (), bound=True)

    async def verify(self, token: Token) -> Identity:
        """The identity a token proves. Raises Unauthenticated, or DependencyDown when the keys cannot be had."""
        self._check_header(token)
        keys = await self.keys.find(token.algorithm, token.kid)
        if not _signed(token, keys):
            raise Unauthenticated(f"jwt {self.name}: no key verifies the signature")
        self._claims.check(token.payload)
        if self._workload is not None and (wrong := self._workload(token.payload, token.kid)):
            raise self._claims.refused(wrong)
        return self._claims.identity(token.payload, self._credential_id(token))

    def _check_header(self, token: Token) -> None:
        if token.size > self.limit:
            raise Unauthenticated(f"jwt {self.name}: longer than {self.limit} bytes")
        if token.algorithm not in self._algorithms:
            raise Unauthenticated(f"jwt {self.name}: algorithm is not allowed")
        typ = token.header.get("typ", "JWT")
        if not isinstance(typ, str) or _media_type(typ) not in self._types:
            raise Unauthenticated(f"jwt {self.name}: type is not accepted")

    def _credential_id(self, token: Token) -> str:
        """The token's `jti`, else a keyed fingerprint: the audit trail must not let anybody recognise a token offline."""
        jti = token.payload.get("jti")
        if isinstance(jti, str) and 0 < len(jti) <= 256:
            return jti
        return "fp:" + hashlib.blake2s(token.signed, key=self._fingerprint_key, digest_size=12).hexdigest()


def _signed(token: Token, keys: tuple[Key, ...]) -> bool:
    if len(keys) > MAX_CANDIDATES:
        return False
    return any(key.verifies(token.algorithm, token.signed, token.signature) for key in keys)


def _media_type(name: str) -> str:
    """RFC 7515 4.1.9: a media type, compared without case, whose `application/` may be left out."""
    return name.lower().removeprefix("application/")
