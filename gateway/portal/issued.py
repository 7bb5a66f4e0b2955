"""What the server tells of itself (RFC 8414), and what became of a token: `introspect` (RFC 7662) tells clients whether one counts,
`revoke` (RFC 7009) makes one count no more."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, final

from gateway.authn.login.logins import NOT_KEPT
from gateway.authn.own.revoked import OF_CLIENT
from gateway.authn.own.sealed import CLAIM
from gateway.authn.own.verifier import LEEWAY
from gateway.authn.token import Malformed, Token
from gateway.core.errors import Unauthenticated
from gateway.core.exchange import Exchange
from gateway.core.message import Request, Response
from gateway.portal.asked import Place
from gateway.tokens.asked import form
from gateway.tokens.clients import Client
from gateway.tokens.errors import bad, denied
from gateway.tokens.families import Families
from gateway.tokens.metadata import ServerMetadata
from gateway.tokens.service import House

INACTIVE: Final[Mapping[str, Any]] = {"active": False}
LATER: Final = 60.0
"""Seconds for which a revoked token is remembered beyond its end: clocks of replicas differ."""


@final
class IssuedPortal:
    """Answers for one configuration's clients. `families` are refresh tokens, None where nobody has any."""

    def __init__(self, house: House, families: Families | None, metadata: ServerMetadata) -> None:
        self._clients = house.clients
        self._own = house.own
        self._verifier = house.own.verifier(None)
        self._families = families
        self._metadata = metadata
        self._tell = house.tell

    def places(self) -> Iterator[Place]:
        """Every path below the portal's prefix, with its method and what answers there."""
        yield Place(self._metadata.path, "GET", self.described)
        yield Place("introspect", "POST", self.introspect)
        yield Place("revoke", "POST", self.revoke)

    async def described(self, request: Request, exchange: Exchange) -> Response:
        """The metadata of the server (RFC 8414)."""
        return self._metadata.response()

    async def introspect(self, request: Request, exchange: Exchange) -> Response:
        """Whether a token counts, to a client that it is for or that it was issued to; else the same answer as for one that does
        not (RFC 7662 2.2 and 4). A client that proves nothing is told nothing."""
        asked = await form(request)
        client = await self._clients.authenticate(asked, request)
        if client.model.auth == "none":
            raise denied("unauthorized_client", "introspection is for clients that prove who they are")
        return answered(await self._known(asked.need("token"), client) or INACTIVE)

    async def _known(self, token: str, client: Client) -> Mapping[str, Any] | None:
        """None for what does not count, or is not this client's to know. Raises DependencyDown."""
        if (family := None if self._families is None else await self._families.look(token)) is not None:
            granted = family.granted
            if granted.client != client.id:
                return None
            told = {"active": True, "client_id": client.id, "sub": f"{granted.issuer}:{granted.subject}", "iss": self._own.issuer}
            return {**told, "scope": " ".join(granted.scopes), "exp": int(family.ends), "token_use": "refresh_token"}
        claims = self._claims(token)
        if claims is None:
            return None
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if claims["client_id"] != client.id and set(audience).isdisjoint(client.model.audiences):
            return None
        shown = {name: value for name, value in claims.items() if name != CLAIM}
        return {"active": True, **shown, "token_type": "DPoP" if "jkt" in claims.get("cnf", {}) else "Bearer"}

    def _claims(self, token: str) -> Mapping[str, Any] | None:
        """Those of an access token that counts now. Raises DependencyDown."""
        try:
            parsed = Token(token.encode("ascii", "replace"), self._verifier.limit)
            self._verifier.read(parsed)
        except (Malformed, Unauthenticated):
            return None
        return parsed.payload

    async def revoke(self, request: Request, exchange: Exchange) -> Response:
        """Make a token count no more, for all replicas. A refresh token takes all with it that was issued beside it. What is no
        token is answered as one that was revoked (RFC 7009 2.2)."""
        asked = await form(request)
        client = await self._clients.authenticate(asked, request)
        token = asked.need("token")
        granted = None if self._families is None else await self._families.issued(token)
        claims = None if granted is not None else self._claims(token)
        owner = granted.client if granted is not None else claims["client_id"] if claims is not None else client.id
        if owner != client.id:
            raise bad("invalid_grant", "the token was issued to another client")
        about: dict[str, Any] = {}
        if granted is not None and self._families is not None:
            await self._families.end(granted)
            about = {"issuer": granted.issuer, "subject": granted.subject, "kind": "refresh_token"}
        elif claims is not None:
            left = claims["exp"] - self._own.clock.now() + LEEWAY + LATER
            await self._own.revoked.revoke(claims["jti"], left, of=f"client:{client.id}", share=OF_CLIENT, single=True)
            about = {"subject": claims["sub"], "credential_id": claims["jti"], "kind": "access_token"}
        if about:
            self._tell("token.revoked", client=exchange.client, request_id=exchange.id, client_id=client.id, **about)
        return Response(200, list(NOT_KEPT))


def answered(document: Mapping[str, Any]) -> Response:
    return Response(200, [(b"content-type", b"application/json"), *NOT_KEPT], json.dumps(document).encode())
