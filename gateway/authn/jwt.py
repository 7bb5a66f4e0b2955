"""One issuer's tokens verified: signature, type, issuer, audience, times and the claims that become the identity.

RFC 7519, RFC 8725 (best current practice) and RFC 9068 (`typ`). Caches nothing; `tokens` does.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, final

from gateway.authn.jwk import Key
from gateway.authn.jwks import Keys
from gateway.authn.model import WAIVED, JwtIssuer
from gateway.authn.token import Token
from gateway.core.errors import Unauthenticated
from gateway.core.ports import Clock
from gateway.core.principal import Identity
from gateway.core.reason import Reason

LATEST: Final = 253_402_300_799
"""The last second of the year 9999: a later time is milliseconds, or an attempt never to expire."""
MAX_SUBJECT: Final = 1024
MAX_CANDIDATES: Final = 4
"""How many keys a token without `kid` is tried against."""


@final
class Verifier:
    """Verifies the tokens of one configured issuer; `name` becomes the principal's issuer."""

    def __init__(self, name: str, model: JwtIssuer, keys: Keys, clock: Clock, fingerprint_key: bytes) -> None:
        self.name = name
        self.keys = keys
        self.issuer = model.issuer
        self.limit = model.max_bytes
        self._model = model
        self._clock = clock
        self._fingerprint_key = fingerprint_key
        self._algorithms = frozenset(model.algorithms)
        self._types = frozenset(_media_type(name) for name in model.types)
        self._audience = frozenset(model.audience) if model.audience != WAIVED else None
        self._required = frozenset({*model.required_claims, model.subject})

    async def verify(self, token: Token) -> Identity:
        """The identity a token proves. Raises Unauthenticated, or DependencyDown when the keys cannot be had."""
        self._check_header(token)
        keys = await self.keys.find(token.algorithm, token.kid)
        if not _signed(token, keys):
            raise Unauthenticated(f"jwt {self.name}: no key verifies the signature")
        self._check_claims(token.payload)
        return self._identity(token)

    def _check_header(self, token: Token) -> None:
        if token.size > self.limit:
            raise Unauthenticated(f"jwt {self.name}: longer than {self.limit} bytes")
        if token.algorithm not in self._algorithms:
            raise Unauthenticated(f"jwt {self.name}: algorithm is not allowed")
        typ = token.header.get("typ", "JWT")
        if not isinstance(typ, str) or _media_type(typ) not in self._types:
            raise Unauthenticated(f"jwt {self.name}: type is not accepted")

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        if missing := sorted(name for name in self._required if claims.get(name) is None):
            raise Unauthenticated(f"jwt {self.name}: no {missing[0]}")
        if self.issuer != WAIVED and claims.get("iss") != self.issuer:
            raise Unauthenticated(f"jwt {self.name}: another issuer")
        if self._audience is not None and self._audience.isdisjoint(self._texts(claims, "aud")):
            raise Unauthenticated(f"jwt {self.name}: for another audience")
        # RFC 9449 7.2, RFC 8705 3: such a token is worth nothing without a proof of possession, which is not checked here.
        if "cnf" in claims:
            raise Unauthenticated(f"jwt {self.name}: a sender-constrained token needs its proof")
        self._check_times(claims)

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now, leeway = self._clock.now(), self._model.leeway
        expires, begins, issued = (self._time(claims, name) for name in ("exp", "nbf", "iat"))
        if expires is not None and now >= expires + leeway:
            raise Unauthenticated(f"jwt {self.name}: expired", reason=Reason.CREDENTIAL_EXPIRED)
        if (begins is not None and begins > now + leeway) or (issued is not None and issued > now + leeway):
            raise Unauthenticated(f"jwt {self.name}: not valid yet")

    def _time(self, claims: Mapping[str, Any], name: str) -> float | None:
        """A NumericDate (RFC 7519 2) or None. Strings and booleans are no numbers, whatever other readers make of them."""
        value = claims.get(name)
        if value is None and name not in claims:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LATEST:
            raise Unauthenticated(f"jwt {self.name}: {name} is not a time")
        return float(value)

    def _texts(self, claims: Mapping[str, Any], name: str, separator: str | None = None) -> tuple[str, ...]:
        """A claim that is a string or a list of strings; a string is split at `separator`."""
        value = claims.get(name)
        if value is None:
            return ()
        if isinstance(value, str):
            return tuple(part for part in value.split(separator) if part) if separator else (value,)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise Unauthenticated(f"jwt {self.name}: {name} is not text")
        return tuple(value)

    def _identity(self, token: Token) -> Identity:
        claims, model = token.payload, self._model
        subject = claims[model.subject]
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
            raise Unauthenticated(f"jwt {self.name}: the subject is not usable")
        return Identity(
            id=subject,
            issuer=self.name,
            scheme="jwt",
            credential_id=self._credential_id(token),
            claims=claims,
            groups=self._texts(claims, model.groups),
            scopes=self._texts(claims, model.scopes, " "),
            scope_ceiling=model.scope_ceiling,
            expires=self._time(claims, "exp"),
        )

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
