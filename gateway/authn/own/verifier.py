"""The gateway's own access tokens known again (RFC 9068 4), and who they stand for."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, final

from gateway.authn.bound import CALLS, CONFIRMATION
from gateway.authn.claims import Claims
from gateway.authn.model import WAIVED, Stated
from gateway.authn.own.revoked import Revoked
from gateway.authn.own.sealed import CLAIM, identity_of, opened
from gateway.authn.own.signing import SigningKeys
from gateway.authn.token import Token
from gateway.core.errors import Unauthenticated
from gateway.core.ports import Clock, Tally
from gateway.core.principal import Identity

SCHEME: Final = "tokens"
"""As a route's `authenticate` names them."""
TYPE: Final = "at+jwt"
REQUIRED: Final = ("iss", "exp", "aud", "sub", "client_id", "iat", "jti", CLAIM)
LONGEST: Final = 16 * 1024
"""Bytes of a token: one that would be longer is not issued."""
LEEWAY: Final = 5.0
"""Seconds by which the clocks of replicas may differ."""


class Lives(Protocol):
    """What must be there still for a token to count."""

    revision: int

    def has(self, name: str) -> bool: ...


@final
class Freshness:
    """Changes whenever something may count no more that counted before."""

    def __init__(self, keys: SigningKeys, revoked: Revoked, sources: Callable[[], int]) -> None:
        self._keys, self._revoked, self._sources = keys, revoked, sources

    @property
    def revision(self) -> int:
        return self._keys.revision + self._revoked.revision + self._sources()


@final
class OwnVerifier:
    """Verifies what this gateway issued, for one of its audiences, None for any. Caches nothing; `authn.tokens` does."""

    def __init__(self, own: "Own", audience: str | None) -> None:
        self.issuer = own.issuer
        self.limit = LONGEST
        self.keys = own.freshness
        self._own = own
        stated = Stated.model_construct(
            issuer=own.issuer,
            audience=WAIVED if audience is None else [audience],
            leeway=LEEWAY,
            required_claims=list(REQUIRED),
        )
        self._claims = Claims("token", SCHEME, stated, own.clock, bound=True)

    async def verify(self, token: Token) -> Identity:
        """The identity a token stands for. Raises Unauthenticated, or DependencyDown where it cannot be told what was revoked."""
        identity, _ = self.read(token)
        return identity

    def read(self, token: Token) -> tuple[Identity, Mapping[str, Any]]:
        """The identity, and the sealed record it was made of. Raises as `verify` does."""
        refused = self._claims.refused
        kind = str(token.header.get("typ")).lower().removeprefix("application/")
        if token.size > LONGEST or kind != TYPE or token.algorithm != self._own.keys.algorithm:
            raise refused("not an access token of ours")
        key = self._own.keys.find(token.kid)
        if key is None or not key.verification.verifies(token.algorithm, token.signed, token.signature):
            raise refused("no key verifies the signature")
        claims = token.payload
        self._claims.check(claims)
        record = opened(key.secret, claims[CLAIM], str(claims["jti"]))
        if record is None:
            raise refused("what is sealed in it does not open")
        if self._own.revoked.has([str(claims["jti"]), *record["ancestors"]]):
            raise refused("it was revoked", genuine=True)
        self._own.check(record)
        identity = identity_of(record, claims)
        if record["calls"]:
            identity.claims = {**identity.claims, CONFIRMATION: {**claims.get(CONFIRMATION, {}), CALLS: record["calls"]}}
        return identity, record


@final
class Own:
    """The gateway as an issuer: what lives as long as `tokens:` and `clients:` are the same."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        keys: SigningKeys,
        revoked: Revoked,
        tally: Tally,
        clock: Clock,
        *,
        clients: frozenset[str],
    ) -> None:
        """`audience` is that of routes that are no resource of their own, `tally` counts the calls of tokens that have so many, and
        `clients` are those that are configured."""
        self.issuer = issuer
        self.audience = audience
        self.keys = keys
        self.revoked = revoked
        self.tally = tally
        self.clock = clock
        self._clients = clients
        self._api_keys: Lives | None = None
        self.freshness = Freshness(keys, revoked, lambda: 0 if self._api_keys is None else self._api_keys.revision)

    def following(self, api_keys: Lives | None) -> "Own":
        """Itself, whose tokens that were given for API keys count while these keys do."""
        self._api_keys = api_keys
        return self

    def verifier(self, audience: str | None) -> OwnVerifier:
        return OwnVerifier(self, audience)

    def check(self, record: Mapping[str, Any]) -> None:
        """Raises Unauthenticated for a token whose client or API key is no more, or is not what it was; DependencyDown where that
        cannot be told."""
        client, key = record["client"], record["key"]
        if client is not None and client not in self._clients:
            raise Unauthenticated("tokens: its client is no more", genuine=True)
        if key is not None and (self._api_keys is None or not self._api_keys.has(key)):
            raise Unauthenticated("tokens: the API key it was given for is no more, or gives something else", genuine=True)
