"""Makes the gateway's access tokens (RFC 9068). What narrows them was decided before: see `narrowing`."""

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final, final

from gateway.authn.digest import b64url
from gateway.authn.own.sealed import CLAIM, record_of, sealed
from gateway.authn.own.verifier import LONGEST, TYPE, Own
from gateway.core.ports import Clock
from gateway.core.principal import Identity
from gateway.tokens.errors import bad, denied

CLIENTS: Final = "clients"
"""Issuer of principals that are clients themselves."""
SCHEME: Final = "token"
JTI_BYTES: Final = 18
SHORTEST: Final = 1.0
Tell = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Issued:
    """A token and what its holder is told of it."""

    token: str
    id: str
    expires: float
    scopes: tuple[str, ...]
    confirmation: Mapping[str, str]
    calls: int | None

    def answer(self, now: float) -> dict[str, Any]:
        """RFC 6749 5.1, RFC 9449 5."""
        told: dict[str, Any] = {
            "access_token": self.token,
            "token_type": "DPoP" if "jkt" in self.confirmation else "Bearer",
            "expires_in": max(int(self.expires - now), 0),
        }
        if self.scopes:
            told["scope"] = " ".join(self.scopes)
        return told if self.calls is None else told | {"budget": self.calls}


@dataclass(frozen=True, slots=True)
class Terms:
    """For whom a token is made, and on what terms; `source` has been narrowed already.

    `client` is who asks, None where an API key did. `ancestors` are names that revoke it beside its own: tokens it was made of, the
    family of a refresh token. `calls` are counters that every call counts on, as (name, how many, seconds that its
    token lives from its making): `budget` adds its own. `key` names the API key without which, as it is, it counts no more.
    `lifetime` in seconds, at most the configured one.
    """

    source: Identity
    client: str | None
    audience: Sequence[str]
    confirmation: Mapping[str, str] = field(default_factory=dict)
    act: Mapping[str, Any] | None = None
    ancestors: Sequence[str] = ()
    calls: Sequence[tuple[str, int, int]] = ()
    budget: int | None = None
    key: str | None = None
    lifetime: float | None = None
    scope: Sequence[str] | None = None

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the token says, to whoever reads it: what was asked for, else what the source has."""
        return self.source.scopes if self.scope is None else tuple(self.scope)


@final
class Mint:
    """Makes tokens for one configuration."""

    def __init__(self, own: Own, lifetime: float, clock: Clock) -> None:
        """`lifetime` in seconds, the longest."""
        self._own = own
        self._lifetime = lifetime
        self._now = clock.now

    def issue(self, terms: Terms) -> Issued:
        """A token. It ends with its source at the latest. Raises DependencyDown where the key is gone, and BadRequest for a source
        of which too much would have to be carried on, or that has ended."""
        now, source, id = self._now(), terms.source, secrets.token_urlsafe(JTI_BYTES)
        expires = now + min(self._lifetime, terms.lifetime or self._lifetime)
        if source.expires is not None:
            expires = min(expires, source.expires)
        if int(expires) - now < SHORTEST:
            raise denied("invalid_grant", "what the token would be made of has ended")
        calls = [*terms.calls, *([(id, terms.budget, ceil(expires - now))] if terms.budget is not None else [])]
        more = {"client": terms.client, "key": terms.key, "ancestors": list(terms.ancestors), "calls": calls}
        claims: dict[str, Any] = {
            "iss": self._own.issuer,
            "sub": f"{source.issuer}:{source.id}",
            "aud": terms.audience[0] if len(terms.audience) == 1 else list(terms.audience),
            "client_id": terms.client or f"{source.issuer}:{source.id}",
            "iat": int(now),
            "exp": int(expires),
            "jti": id,
            **({"scope": " ".join(terms.scopes)} if terms.scopes else {}),
            **({"cnf": dict(terms.confirmation)} if terms.confirmation else {}),
            **({"act": terms.act} if terms.act is not None else {}),
        }
        least = min((most for _, most, _ in calls), default=None)
        return Issued(self._signed(claims, source, more), id, int(expires), terms.scopes, terms.confirmation, least)

    def _signed(self, claims: dict[str, Any], source: Identity, more: Mapping[str, Any]) -> str:
        key = self._own.keys.current()
        try:
            claims[CLAIM] = sealed(key.secret, {**record_of(source), **more}, claims["jti"])
        except TypeError as error:
            raise bad("invalid_request", "the subject's claims cannot be carried on") from error
        header = {"typ": TYPE, "alg": self._own.keys.algorithm, "kid": key.kid}
        message = f"{encoded(header)}.{encoded(claims)}"
        token = f"{message}.{b64url(key.sign(message.encode('ascii')))}"
        if len(token) > LONGEST:
            raise bad("invalid_request", "the subject's claims are too many to be carried on")
        return token


def encoded(part: Mapping[str, Any]) -> str:
    return b64url(json.dumps(part, separators=(",", ":")).encode())
