"""Who is asking: which presented credential counts, and the scheme that decides it (CONTRACT 3).

A `Gate` is the way in of all routes that accept the same.
"""

from collections.abc import Mapping
from typing import Protocol, final

from gateway.authn.api_keys import KeyHolders
from gateway.authn.bound import CONFIRMATION, Bound
from gateway.authn.introspection import Opaque
from gateway.authn.login.presented import SessionCookies
from gateway.authn.mtls import Certificates
from gateway.authn.ocsp import Responder
from gateway.authn.others import Others
from gateway.authn.presented import AUTHORIZATION, TOKENS, Places, check_origin, key_id
from gateway.authn.tokens import Tokens
from gateway.core.errors import GatewayError, Unauthenticated
from gateway.core.message import Request, Response
from gateway.core.principal import Principal
from gateway.core.reason import Reason


class Signing(Protocol):
    """Decides requests that present a signature in one header field."""

    async def authenticate(self, request: Request, value: bytes) -> Principal:
        """Raises Unauthenticated, or as reading a body does."""
        ...


@final
class Gate:
    """Authenticates the requests of routes that accept the same credentials, under one policy."""

    __slots__ = (
        "_anonymous", "_bearer", "_bound", "_certificates", "_cookies", "_holders", "_key_prefix", "_opaque", "_others",
        "_places", "_senders", "_sessions",
    )  # fmt: skip

    def __init__(
        self,
        places: Places,
        *,
        bound: Bound | None = None,
        key_prefix: bytes | None = None,
        anonymous: Principal | None = None,
        bearer: Tokens | None = None,
        opaque: Opaque | None = None,
        cookies: Mapping[bytes, Tokens] | None = None,
        holders: KeyHolders | None = None,
        certificates: Certificates | None = None,
        sessions: SessionCookies | None = None,
        signed: Mapping[bytes, Signing] | None = None,
        others: Others | None = None,
    ) -> None:
        """`key_prefix` marks API keys among bearer values wherever keys are configured; the rest is what is accepted here."""
        self._places = places
        self._bound = bound or Bound(None)
        self._key_prefix = key_prefix
        self._anonymous = anonymous
        self._bearer = bearer
        self._opaque = opaque
        self._cookies = cookies or {}
        self._holders = holders
        self._certificates = certificates
        self._sessions = sessions
        self._senders = signed or {}
        self._others = others or Others()

    def recalled(self, request: Request) -> Principal | None:
        """Who is asking, where that is known without asking again: nobody is to be asked, or this very head came before with
        a token that still counts. None: `authenticate`."""
        if self._anonymous is not None:
            return self._anonymous
        memo = request.head.memo
        if self._sessions is not None and (known := self._sessions.recalled(request)) is not None:
            return known
        return None if memo is None or self._bearer is None else self._bearer.recalled(memo)

    def elsewhere(self, request: Request, error: GatewayError) -> Response | None:
        """Where a browser is sent that brought no credential, or too weak a login; None where it is told so."""
        if self._sessions is None or not self._places.headers.isdisjoint(request.head.fields):
            return None
        return self._sessions.elsewhere(request, error)

    async def authenticate(self, request: Request) -> Principal:
        """Who is asking. Raises Unauthenticated with a challenge, BadRequest for several credentials, Forbidden for a
        cookie-borne write from elsewhere, DependencyDown when it cannot be decided."""
        if self._anonymous is not None:
            return self._anonymous
        presented = self._places.find(request)
        try:
            if presented is None:
                if self._certificates is not None and self._certificates.responder is not None:
                    return await self._by_checked(request, self._certificates.responder)
                return self._by_certificate(request)
            place, value, in_cookie = presented
            if in_cookie:
                return await self._by_cookie(request, place, value)
            if place in self._places.signed:
                return await self._by_signature(request, place, value)
            if place != AUTHORIZATION:
                return self._by_key(value, request)
            word, _, rest = value.partition(b" ")
            proved = TOKENS.get(word.lower())
            if proved is None:
                return self._by_key(key_id(value), request)
            token = rest.strip(b" ")
            if self._key_prefix is not None and not proved and token.startswith(self._key_prefix):
                return self._by_key(token, request)
            return await self._by_token(request, token, proved=proved)
        except Unauthenticated as error:
            missing = error.reason is Reason.CREDENTIAL_MISSING
            error.headers = error.headers or (self._bound.missing if missing else self._bound.invalid)
            raise

    async def _by_token(self, request: Request, token: bytes, *, proved: bool) -> Principal:
        """A token decided, and what it is bound to. What must be proved with each request is not noted in the head's memo."""
        plain = not proved and not self._bound.required
        memo = request.head.memo if plain else None
        if self._opaque is not None and token.count(b".") != 2:
            principal = await self._opaque.authenticate(token)
        elif self._bearer is None:
            raise Unauthenticated("bearer: tokens are not accepted here")
        else:
            principal = self._bearer.remembered(token, memo) or await self._bearer.authenticate(token)
        if not plain or CONFIRMATION in principal.claims:
            await self._bound.confirm(request, principal, token, proved=proved)
        return principal

    def _by_key(self, key: bytes, request: Request) -> Principal:
        if self._holders is None:
            raise Unauthenticated("api key: not accepted here", genuine=self._others.knows_key(key, request.head.client))
        return self._holders.authenticate(key, request.head.client)

    async def _by_signature(self, request: Request, name: bytes, value: bytes) -> Principal:
        if (sender := self._senders.get(name)) is None:
            raise Unauthenticated("signature: not accepted here")
        return await sender.authenticate(request, value)

    async def _by_cookie(self, request: Request, name: bytes, value: bytes) -> Principal:
        if self._sessions is not None and name == self._sessions.cookie:
            return await self._sessions.authenticate(request, value)
        tokens = self._cookies.get(name)
        if tokens is None:
            raise Unauthenticated("cookie: not accepted here", genuine=await self._others.knows_cookie(name, value))
        principal = tokens.remembered(value, None) or await tokens.authenticate(value)
        if CONFIRMATION in principal.claims:
            raise Unauthenticated("cookie: a bound token comes in Authorization")
        check_origin(request)
        return principal

    def _by_certificate(self, request: Request) -> Principal:
        """The client certificate decides only where nothing else is presented and certificates are accepted."""
        if self._certificates is None or request.head.certificate is None:
            raise Unauthenticated("nothing presented", reason=Reason.CREDENTIAL_MISSING, headers=self._bound.missing)
        return self._certificates.authenticate(request.head.certificate)

    async def _by_checked(self, request: Request, responder: Responder) -> Principal:
        """The same where its authority is asked about it."""
        principal = self._by_certificate(request)
        await responder.check(request.head.certificate or b"")
        return principal
