"""The grants that a person stands behind: `authorization_code` and `refresh_token` (RFC 6749 4.1.3 and 6, RFC 8707, RFC 9449 5)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, final

from gateway.core.errors import Unauthenticated
from gateway.tokens.asked import ROUTE, Asked, Form
from gateway.tokens.codes import Redemption
from gateway.tokens.consents import Consents
from gateway.tokens.errors import bad, denied, no_grant
from gateway.tokens.granted import Granted
from gateway.tokens.mint import Terms
from gateway.tokens.model import Client
from gateway.tokens.narrowing import with_routes
from gateway.tokens.refusals import Refused
from gateway.tokens.service import House, allowed

CODE: Final = "authorization_code"
REFRESH: Final = "refresh_token"


@final
class PersonGrants:
    """Both, for one configuration."""

    def __init__(self, consents: Consents, house: House) -> None:
        self._consents = consents
        self._house = house

    async def code(self, asked: Asked) -> dict[str, Any]:
        """An access token for an authorization code, and a refresh token where the client may have one."""
        id, client = who(asked, CODE)
        form, jkt = asked.form, asked.confirmation.get("jkt")
        shown = Redemption(form.need("code"), id, form.need("redirect_uri"), form.need("code_verifier"), jkt)
        refreshes = REFRESH in client.grants

        async def begin(granted: Granted) -> str:
            self._judged(asked, granted, client)
            await asked.prove()
            # A public client has nothing else that its refresh tokens could be bound to (RFC 9449 5).
            kept = replace(granted, jkt=jkt if client.auth == "none" else None)
            return await self._consents.begin(kept, refreshes=refreshes)

        try:
            granted, token = await self._consents.codes.redeem(shown, begin)
        except Refused as refusal:
            raise self._refused(refusal, asked) from refusal
        return self._answer(asked, granted, client, token if refreshes else None)

    async def refresh(self, asked: Asked) -> dict[str, Any]:
        """The next access token, and the next refresh token in the place of the one that was brought."""
        id, client = who(asked, REFRESH)
        token = asked.form.need("refresh_token")

        def judge(granted: Granted) -> None:
            self._judged(asked, granted, client)

        try:
            await self._prove(asked, token, id)
            granted, successor = await self._consents.families.refresh(token, id, asked.confirmation.get("jkt"), judge)
        except Refused as refusal:
            raise self._refused(refusal, asked) from refusal
        return self._answer(asked, granted, client, successor)

    async def _prove(self, asked: Asked, token: str, id: str) -> None:
        """Use up the proof that came along, where the token is one that its client may bring. Raises GatewayError."""
        granted = None if asked.unspent is None else await self._consents.families.issued(token)
        if granted is not None and granted.client == id and granted.jkt in {None, asked.confirmation.get("jkt")}:
            await asked.prove()

    def _judged(self, asked: Asked, granted: Granted, client: Client) -> Terms:
        """The terms of the access token, before anything is used up. It ends with the login session, unless it was allowed to
        outlive that. Raises Refused, BadRequest and Forbidden."""
        left, form = self._left(granted, client), asked.form
        # Who was allowed some rights has none where those are gone, and whose client is limited never has all.
        person = left.identity(scopes(left, form), limited=bool(granted.scopes or client.scopes))
        return Terms(
            source=with_routes(person, form.words("routes", ROUTE)),
            client=granted.client,
            audience=audiences(left, form),
            confirmation=asked.confirmation,
            ancestors=[granted.family],
            budget=form.number("budget"),
            lifetime=form.number("expires_in"),
        )

    def _left(self, granted: Granted, client: Client) -> Granted:
        """Raises Refused where the client may have nothing of it any more."""
        left = granted.within(client, self._consents.audience)
        if left is None:
            raise Refused("invalid_grant", "what was allowed may not be had any more")
        return left

    def _answer(self, asked: Asked, granted: Granted, client: Client, refresh: str | None) -> dict[str, Any]:
        """RFC 6749 5.1: with what was allowed, also where the policies see less of it."""
        terms, kept = self._judged(asked, granted, client), scopes(self._left(granted, client), asked.form)
        answer = self._house.issue(asked, terms, asked.form.need("grant_type")).answer(self._consents.now())
        told = {"scope": " ".join(kept)} if kept else {}
        return {**answer, **told, **({} if refresh is None else {"refresh_token": refresh})}

    def _refused(self, refusal: Refused, asked: Asked) -> Exception:
        """As the client is told; a copy is told to operators. A guess counts for the address alone, as anybody may say that he is a
        client which proves nothing; a client that proved itself brings what browsers brought it, and made no guess."""
        if (copied := refusal.reused) is not None:
            self._consents.reused(copied, asked.exchange.client, refusal.description)
        if refusal.guess or refusal.reused is not None:
            proved = asked.client is not None and asked.client.model.auth != "none"
            error = Unauthenticated(f"token: {refusal.description}", genuine=proved or not refusal.guess)
            return no_grant(error, refusal.description)
        return bad("invalid_grant", refusal.description)


def who(asked: Asked, grant: str) -> tuple[str, Client]:
    """Which client asks. Raises Forbidden for one that may not use the grant, and for an API key, to which nobody consented."""
    if asked.client is None:
        raise denied("unauthorized_client", "only clients have grants of people")
    allowed(asked.client, grant)
    return asked.client.id, asked.client.model


def scopes(granted: Granted, form: Form) -> Sequence[str]:
    """Those asked for, of those that were allowed (RFC 6749 6). Raises Forbidden invalid_scope."""
    asked = form.words("scope")
    if asked is not None and not set(asked) <= set(granted.scopes):
        raise denied("invalid_scope", "more was asked for than was allowed")
    return granted.scopes if asked is None else tuple(asked)


def audiences(granted: Granted, form: Form) -> Sequence[str]:
    """The same of resources (RFC 8707 2.2). Raises BadRequest invalid_target."""
    asked = form.all("resource")
    if not set(asked) <= set(granted.audiences):
        raise bad("invalid_target", "tokens for that resource were not allowed")
    return asked or granted.audiences
