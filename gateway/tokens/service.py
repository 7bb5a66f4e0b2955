"""The token endpoint: who asks, for what, by which grant."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from gateway.authn.bound import CERTIFICATE, KEY
from gateway.authn.digest import sha256
from gateway.authn.dpop import DPOP, Proofs
from gateway.authn.own.verifier import Own
from gateway.authn.subjects import Subjects
from gateway.core.errors import GatewayError, Unauthenticated
from gateway.core.exchange import Exchange
from gateway.core.message import Request
from gateway.core.ports import Clock, Metrics
from gateway.core.principal import Identity
from gateway.tokens import errors
from gateway.tokens.asked import Asked, Form, Handler
from gateway.tokens.clients import Client, Clients
from gateway.tokens.mint import Issued, Mint, Tell, Terms
from gateway.tokens.model import Tokens


@dataclass(frozen=True, slots=True)
class House:
    """What grants are answered with. `tell` takes audit events."""

    model: Tokens
    own: Own
    mint: Mint
    clients: Clients
    subjects: Subjects
    clock: Clock
    metrics: Metrics
    tell: Tell

    def audience(self, asked: Asked, within: Sequence[str] | None = None) -> list[str]:
        """What the token is to be for: what was asked for, of what the client may ask, and `within` where that is given.

        Raises Forbidden invalid_target."""
        default = self.model.default_audience
        configured = asked.client.model.audiences if asked.client is not None else []
        may = set(configured or [default]) if within is None else set(configured or within) & set(within)
        wanted = list(dict.fromkeys([*asked.form.all("resource"), *asked.form.all("audience")]))
        found = wanted or ([default] if default in may else sorted(may)[:1])
        if not found or not may.issuperset(found):
            raise errors.denied("invalid_target", "a token for that may not be asked for")
        return found

    def issue(self, asked: Asked, terms: Terms, grant: str) -> Issued:
        """A token, counted and told to the audit trail. Raises as the mint does."""
        issued = self.mint.issue(terms)
        source = terms.source
        self.metrics.count("gateway.token_service.issued", grant=grant)
        self.tell(
            "token.issued",
            request_id=asked.exchange.id,
            client=asked.exchange.client,
            issuer=source.issuer,
            subject=source.id,
            scheme=source.scheme,
            credential_id=issued.id,
            grant=grant,
            client_id=terms.client,
            source=source.credential_id,
            scopes=list(issued.scopes),
            audience=list(terms.audience),
            expires_at=int(issued.expires),
        )
        return issued


@final
class Service:
    """Answers the endpoint for one configuration."""

    def __init__(self, house: House, grants: Mapping[str, Handler]) -> None:
        self.house = house
        self._grants = grants

    async def answer(self, form: Form, request: Request, exchange: Exchange) -> dict[str, Any]:
        """The members of the answer (RFC 6749 5.1). Raises GatewayError with what OAuth clients are told."""
        try:
            kind = form.need("grant_type")
            asked = await self._asked(form, request, exchange)
            handler = self._grants.get(kind)
            if handler is None:
                raise errors.bad("unsupported_grant_type", "this grant_type is not known")
            self._bind(asked)
            # Of a client that proves nothing the handler does so, once it has something of the client's before it: else strangers
            # filled what is remembered of proofs.
            if asked.client is None or asked.client.model.auth != "none":
                await asked.prove()
            answer = await handler(asked)
            await asked.prove()
            return answer
        except GatewayError as error:
            code = "none" if error.document is None else error.document["error"]
            self.house.metrics.count("gateway.token_service.refused", error=code)
            raise

    async def _asked(self, form: Form, request: Request, exchange: Exchange) -> Asked:
        """Who asks is known first: nobody else learns what there is."""
        found = self._holder(form, request)
        if found is not None:
            return Asked(form, request, exchange, None, *found)
        return Asked(form, request, exchange, await self.house.clients.authenticate(form, request))

    def _holder(self, form: Form, request: Request) -> tuple[Identity, str] | None:
        """Whose API key came along, and its name; None where none did. Raises BadRequest where a client says who it is besides."""
        subjects = self.house.subjects
        key = subjects.presented_key(request)
        if key is None:
            return None
        if any(name in form for name in ("client_id", "client_secret", "client_assertion")):
            raise errors.bad("invalid_request", "an API key and a client: one of them asks")
        try:
            return subjects.key(key, request.head.client)
        except Unauthenticated as error:
            raise errors.told(error, "invalid_client", "client authentication failed", 401) from error

    def _bind(self, asked: Asked) -> None:
        """What the token will be bound to: the client's certificate, or the key of a proof (RFC 8705 3, RFC 9449 5)."""
        request, client = asked.request, asked.client
        if client is not None and client.model.auth == "tls_client_auth" and request.head.certificate is not None:
            asked.confirmation = {CERTIFICATE: sha256(request.head.certificate)}
            return
        if DPOP not in request.head.fields:
            return
        proofs = self.house.subjects.proofs
        if proofs is None:
            raise errors.bad("invalid_dpop_proof", "proofs are not accepted here")
        try:
            jkt, jti = proofs.examined(request)
        except Unauthenticated as error:
            raise unproved(error) from error
        asked.confirmation, asked.unspent = {KEY: jkt}, spending(proofs, jkt, jti)


def spending(proofs: Proofs, jkt: str, jti: str) -> Callable[[], Awaitable[None]]:
    """What uses a proof up."""

    async def spend() -> None:
        try:
            await proofs.spend(jkt, jti)
        except Unauthenticated as error:
            raise unproved(error) from error

    return spend


def unproved(error: Unauthenticated) -> GatewayError:
    """As OAuth clients are told (RFC 9449 5 and 8)."""
    nonce = any(name == b"dpop-nonce" for name, _ in error.headers)
    error.headers = [each for each in error.headers if each[0] == b"dpop-nonce"]
    return errors.told(error, "use_dpop_nonce" if nonce else "invalid_dpop_proof", "the proof is not one that counts here")


def allowed(client: Client, grant: str) -> None:
    """Raises Forbidden unauthorized_client for a grant that is not the client's."""
    if grant not in client.model.grants:
        raise errors.denied("unauthorized_client", "this client may not use this grant_type")
