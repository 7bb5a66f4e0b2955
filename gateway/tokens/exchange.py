"""`grant_type=urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693): a token with less, for somebody who acts for another.

Never with more: scopes, routes, audience, life and calls are those of what it is made of, or fewer, and the chain of who acts for
whom is written by the gateway alone.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.authn.bound import CALLS, CERTIFICATE, CONFIRMATION, KEY
from gateway.authn.digest import sha256
from gateway.authn.model import issuer_of
from gateway.core.errors import Unauthenticated
from gateway.core.principal import Identity
from gateway.tokens import errors
from gateway.tokens.asked import ROUTE, Asked
from gateway.tokens.clients import Client
from gateway.tokens.mint import CLIENTS, Terms
from gateway.tokens.narrowing import with_routes, with_scopes
from gateway.tokens.service import House, allowed

GRANT: Final = "token_exchange"
TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS: Final = "urn:ietf:params:oauth:token-type:access_token"
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
API_KEY: Final = "urn:latchgate:token-type:api_key"
KINDS: Final = frozenset({ACCESS, JWT, API_KEY})
DEEPEST: Final = 4
"""How many act for each other at most."""
OWN: Final = "tokens"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a presented token proves: whom it stands for, what it is called in `exchanges`, and what goes with it for ever.

    `audience` is None where the token was for no audience of the gateway's own."""

    identity: Identity
    name: str
    audience: tuple[str, ...] | None = None
    ancestors: tuple[str, ...] = ()
    calls: tuple[tuple[str, int, int], ...] = ()
    key: str | None = None
    act: Mapping[str, Any] | None = None
    confirmation: Mapping[str, str] = field(default_factory=dict)


def token_exchange(house: House) -> Any:
    """What answers it."""

    async def answer(asked: Asked) -> dict[str, Any]:
        client = asked.client
        if client is None:
            raise errors.denied("unauthorized_client", "a client exchanges tokens")
        allowed(client, GRANT)
        if asked.form.get("requested_token_type") not in {None, ACCESS, JWT}:
            raise errors.bad("invalid_request", "requested_token_type is not one that is issued here")
        subject = await presented(house, asked, client, "subject")
        act = await _act(house, asked, client, subject)
        scopes = asked.form.words("scope")
        _check_scopes(client, scopes)
        issued = house.issue(asked, _terms(house, asked, subject, act, scopes), GRANT)
        return {**issued.answer(house.clock.now()), "issued_token_type": ACCESS}

    return answer


def _terms(house: House, asked: Asked, subject: Subject, act: Mapping[str, Any], scopes: list[str] | None) -> Terms:
    source = with_routes(with_scopes(subject.identity, scopes), asked.form.words("routes", ROUTE))
    return Terms(
        source=source,
        client=None if asked.client is None else asked.client.id,
        audience=house.audience(asked, subject.audience),
        confirmation=_confirmation(asked, subject),
        act=act,
        ancestors=subject.ancestors,
        calls=subject.calls,
        budget=asked.form.number("budget"),
        key=subject.key,
        scope=scopes,
        lifetime=asked.form.number("expires_in"),
    )


async def presented(house: House, asked: Asked, client: Client, which: str) -> Subject:
    """What the `subject_token` or `actor_token` proves. Raises GatewayError invalid_grant: no guess, as the client proved who it
    is, and was handed it by others, who would else have its address blocked."""
    raw = asked.form.need(f"{which}_token").encode("utf-8", "replace")
    kind = asked.form.need(f"{which}_token_type")
    if kind not in KINDS:
        raise errors.bad("invalid_request", f"{which}_token_type is not one that is taken here")
    try:
        subject = await _proved(house, asked, client, kind, raw)
    except Unauthenticated as error:
        error.genuine = True
        raise errors.no_grant(error) from error
    if subject.name not in client.model.exchanges:
        raise errors.denied("unauthorized_client", f"this client may not exchange such a {which}_token")
    return subject


async def _proved(house: House, asked: Asked, client: Client, kind: str, raw: bytes) -> Subject:
    """Raises Unauthenticated and DependencyDown."""
    subjects = house.subjects
    if kind == API_KEY or subjects.is_key(raw):
        identity, named = subjects.key(raw, asked.exchange.client)
        return Subject(identity, "api_keys", key=named)
    if (ours := subjects.own(raw)) is not None:
        return _own(*ours)
    if raw.count(b".") == 2:
        name, identity = await subjects.jwt(raw)
    else:
        opaque = [each for each in client.model.exchanges if each.startswith("introspection.")]
        if len(opaque) != 1:
            raise Unauthenticated("token: opaque tokens are not taken from this client")
        name, identity = opaque[0], await subjects.opaque(issuer_of(opaque[0]), raw)
    claims = identity.claims
    act = claims.get("act")
    return Subject(identity, name, act=act if isinstance(act, dict) else None, confirmation=claims.get(CONFIRMATION) or {})


def _own(identity: Identity, record: Mapping[str, Any]) -> Subject:
    claims = identity.claims
    audience = claims["aud"]
    bound = {name: value for name, value in (claims.get(CONFIRMATION) or {}).items() if name != CALLS}
    return Subject(
        identity,
        OWN,
        audience=(audience,) if isinstance(audience, str) else tuple(audience),
        ancestors=(*record["ancestors"], str(claims["jti"])),
        calls=tuple((name, most, life) for name, most, life in record["calls"]),
        key=record["key"],
        act=claims.get("act"),
        confirmation=bound,
    )


def _confirmation(asked: Asked, subject: Subject) -> Mapping[str, str]:
    """A bound token is exchanged by whoever has what it is bound to, and so is what it is exchanged for: else a copy of it could be
    traded for one that is not bound. Raises GatewayError invalid_grant."""
    shown = dict(asked.confirmation)
    certificate = asked.request.head.certificate
    if CERTIFICATE in subject.confirmation and certificate is not None:
        shown.setdefault(CERTIFICATE, sha256(certificate))
    for name, value in subject.confirmation.items():
        if name not in (KEY, CERTIFICATE) or not hmac.compare_digest(shown.get(name, ""), value):
            raise errors.no_grant(Unauthenticated("token: what the subject_token is bound to was not shown", genuine=True))
    return shown


async def _act(house: House, asked: Asked, client: Client, subject: Subject) -> dict[str, Any]:
    """Who acts, and for whom those acted that are there already (RFC 8693 4.1). Raises GatewayError."""
    actor = {"sub": client.id, "iss": CLIENTS}
    if "actor_token" in asked.form:
        shown = await presented(house, asked, client, "actor")
        _confirmation(asked, shown)
        actor = {"sub": shown.identity.id, "iss": shown.identity.issuer}
    elif "actor_token_type" in asked.form:
        raise errors.bad("invalid_request", "actor_token_type without actor_token")
    act: dict[str, Any] = {**actor, **({"act": dict(subject.act)} if subject.act is not None else {})}
    if depth(act) > DEEPEST:
        raise errors.denied("invalid_grant", "too many act for each other")
    return act


def depth(act: Any) -> int:
    """How long a chain is; what is no chain is too long."""
    count = 0
    while act is not None:
        if not isinstance(act, Mapping) or count > DEEPEST:
            return DEEPEST + 1
        act, count = act.get("act"), count + 1
    return count


def _check_scopes(client: Client, scopes: list[str] | None) -> None:
    """A client that has scopes asks for no others, and for some: else it got all that the subject has."""
    allowed_scopes = client.model.scopes
    if allowed_scopes and (scopes is None or not set(scopes) <= set(allowed_scopes)):
        raise errors.denied("invalid_scope", "this client may not ask for that")
