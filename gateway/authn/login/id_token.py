"""What a provider signed about a login: ID tokens (OpenID Connect Core 3.1.3.7) and logout tokens (Back-Channel Logout 2.6).

Signature, algorithm, `iss`, `aud` and times are judged by the verifier of all tokens; here is what only these tokens have.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from gateway.authn.jwks import Keys
from gateway.authn.jwks_model import Jwks
from gateway.authn.jwt import Verifier
from gateway.authn.login.model import LoginProvider
from gateway.authn.model import JwtIssuer
from gateway.authn.token import Malformed, Token
from gateway.core.errors import Unauthenticated
from gateway.core.ports import Clock

MAX_BYTES: Final = 32 * 1024
LOGOUT: Final = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_AGE: Final = 300.0
"""Seconds for which a logout token counts, whatever it says itself: so long its `jti` is remembered."""
HALVES: Final = {"256": "sha256", "384": "sha384", "512": "sha512", "DSA": "sha512"}
"""The hash of an algorithm by the end of its name; Ed25519 has SHA-512 (OpenID Connect Core 3.1.3.6, RFC 8037)."""


@final
class SignedTokens:
    """Judges what one provider signs."""

    def __init__(self, name: str, model: LoginProvider, keys: Keys, clock: Clock) -> None:
        self._name = name
        self._model = model
        self._now = clock.now
        self._login = self._verifier(keys, clock, types=["JWT"], subject="sub", required=["exp", "iat", "aud"])
        # A logout token may name a session and no subject; each has an id of its own.
        self._logout = self._verifier(keys, clock, types=["logout+jwt", "JWT"], subject="jti", required=["exp", "iat", "aud"])

    def _verifier(self, keys: Keys, clock: Clock, *, types: list[str], subject: str, required: list[str]) -> Verifier:
        model = self._model
        judged = JwtIssuer.model_construct(
            issuer=model.issuer,
            audience=sorted(model.accepted),
            jwks=Jwks.model_construct(discovery=True),
            algorithms=list(model.algorithms),
            types=types,
            subject=subject,
            leeway=model.leeway,
            required_claims=required,
            max_bytes=MAX_BYTES,
        )
        return Verifier(self._name, judged, keys, clock, b"login")

    async def login(self, raw: str, *, nonce: str, code: str, access_token: str) -> dict[str, Any]:
        """The claims of the ID token that came for a code. Raises Unauthenticated and DependencyDown."""
        token = self._parsed(raw)
        await self._login.verify(token)
        claims = token.payload
        self._check_party(claims)
        if not isinstance(claims.get("nonce"), str) or not hmac.compare_digest(claims["nonce"].encode(), nonce.encode()):
            raise self._refused("the nonce is another login's")
        for name, value in (("at_hash", access_token), ("c_hash", code)):
            if name in claims and claims[name] != half(value, token.algorithm):
                raise self._refused(f"{name} is of something else")
        return claims

    async def refreshed(self, raw: str, before: Mapping[str, Any]) -> dict[str, Any]:
        """The claims of one that came for a refresh token: of the same person and login (OpenID Connect Core 12.2)."""
        token = self._parsed(raw)
        await self._login.verify(token)
        claims = token.payload
        self._check_party(claims)
        if claims.get("sub") != before.get("sub"):
            raise self._refused("refreshed for another subject")
        if "nonce" in claims and claims["nonce"] != before.get("nonce"):
            raise self._refused("the nonce is another login's")
        if "auth_time" in claims and before.get("auth_time", claims["auth_time"]) != claims["auth_time"]:
            raise self._refused("refreshed for another login")
        return claims

    async def logout(self, raw: str) -> dict[str, Any]:
        """The claims of a logout token. Raises Unauthenticated and DependencyDown."""
        token = self._parsed(raw)
        await self._logout.verify(token)
        claims = token.payload
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(LOGOUT), dict):
            raise self._refused("not a logout token: no such event")
        if "nonce" in claims:
            raise self._refused("a logout token has no nonce: this is an ID token")
        if not (isinstance(claims.get("sub"), str) or isinstance(claims.get("sid"), str)):
            raise self._refused("a logout token names a subject or a session")
        if self._now() - claims["iat"] > LOGOUT_AGE + self._model.leeway:
            raise self._refused("the logout token is too old")
        return claims

    def check_strength(self, claims: Mapping[str, Any], acr: Sequence[str], max_age: float | None) -> None:
        """Whether the login was what was asked for. Raises Unauthenticated: a weaker one must not pass for it."""
        for asked in (acr, self._model.acr_values):
            if asked and claims.get("acr") not in asked:
                raise self._refused("the provider did not authenticate as strongly as asked (acr)")
        ages = [age for age in (max_age, self._model.max_age) if age is not None]
        moment = claims.get("auth_time")
        if ages and not (isinstance(moment, int) and not isinstance(moment, bool)):
            raise self._refused("max_age was asked for, and there is no auth_time")
        if ages and isinstance(moment, int) and self._now() - moment > min(ages) + self._model.leeway:
            raise self._refused("the provider did not authenticate as recently as asked (max_age)")

    def _parsed(self, raw: str) -> Token:
        try:
            return Token(raw.encode("ascii", "replace"), MAX_BYTES)
        except Malformed as error:
            raise self._refused(str(error)) from error

    def _check_party(self, claims: Mapping[str, Any]) -> None:
        """OpenID Connect Core 3.1.3.7, 3 to 5: for us, for nobody we do not know, and where for several, issued to us."""
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if self._model.client_id not in audience or not self._model.accepted.issuperset(audience):
            raise self._refused("for an audience that is not trusted")
        if claims.get("azp", self._model.client_id) != self._model.client_id or (len(audience) > 1 and "azp" not in claims):
            raise self._refused("issued to another party (azp)")

    def _refused(self, why: str) -> Unauthenticated:
        return Unauthenticated(f"login {self._name}: {why}")


def half(value: str, algorithm: str) -> str:
    """The left half of a hash, as `at_hash` and `c_hash` have it."""
    digest = hashlib.new(HALVES[algorithm[-3:]], value.encode("ascii", "replace")).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")
