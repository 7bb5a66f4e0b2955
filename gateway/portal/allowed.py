"""What the one who is logged in lets clients do, and an end to it: `allowed`. Also what outlives the login it was allowed in."""

from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from typing import final

from gateway.authn.login.logins import NOT_KEPT
from gateway.authn.login.session import Live
from gateway.core.errors import Unauthenticated
from gateway.core.exchange import Exchange
from gateway.core.message import Request, Response
from gateway.portal.asked import Place, page, single
from gateway.portal.authorize import GUARDED
from gateway.portal.visits import FIELD, Visits
from gateway.tokens.consents import Consents
from gateway.tokens.families import Family


@final
class AllowedPortal:
    """Answers for one configuration's clients."""

    def __init__(self, consents: Consents) -> None:
        self._consents = consents
        self._logins = consents.logins
        self._visits = Visits(consents.logins)

    def places(self) -> Iterator[Place]:
        """Every path below the portal's prefix, with its method and what answers there."""
        yield Place("allowed", "GET", self.listed)
        yield Place("allowed", "POST", self.end)

    async def listed(self, request: Request, exchange: Exchange) -> Response:
        """All that counts, oldest first; a browser that is not logged in goes to the login, and back."""
        try:
            live = await self._visits.mine(request, exchange)
        except Unauthenticated as error:
            elsewhere = self._logins.elsewhere(tuple(self._logins.providers), request, error)
            if elsewhere is None:
                raise
            return elsewhere
        token = self._logins.sessions.csrf_token(live)
        rows = "".join(self._row(each, token) for each in await self._mine(live))
        table = f"<table><tr><th>Program</th><th>Where</th><th>Rights</th><th>Since</th><th>Until</th><th></th></tr>{rows}</table>"
        return page("What you allowed", f"<h1>What you allowed</h1>{table if rows else '<p>Nothing.</p>'}", GUARDED)

    async def end(self, request: Request, exchange: Exchange) -> Response:
        """End one of them, with all tokens issued of it. One that is over, or another's, is left as it is."""
        live = await self._visits.mine(request, exchange)
        wanted = single(await self._visits.check_form(request, live), "allowed")
        for each in await self._mine(live):
            granted = each.granted
            if granted.family == wanted and await self._consents.families.end(granted):
                about = {"issuer": granted.issuer, "subject": granted.subject, "client_id": granted.client, "kind": "consent"}
                self._consents.tell("token.revoked", client=exchange.client, request_id=exchange.id, **about)
        location = f"{self._logins.origin}{self._logins.prefix}/allowed"
        return Response(303, [(b"location", location.encode("ascii")), *NOT_KEPT])

    async def _mine(self, live: Live) -> list[Family]:
        return await self._consents.families.listed("who", live.identity.issuer, live.identity.id)

    def _row(self, family: Family, token: str) -> str:
        granted = family.granted
        client = self._consents.clients.get(granted.client)
        name = granted.client if client is None else client.name or granted.client
        until = day(family.ends) if granted.offline else "you are logged out"
        words = name, " ".join(granted.audiences), " ".join(granted.scopes) or "all", day(granted.at), until
        hidden = "".join(
            f'<input type="hidden" name="{key}" value="{escape(value)}">'
            for key, value in ((FIELD, token), ("allowed", granted.family))
        )
        form = f'<form method="post" action="{escape(self._logins.prefix)}/allowed">{hidden}<button>Take back</button></form>'
        return f"<tr>{''.join(f'<td>{escape(word)}</td>' for word in words)}<td>{form}</td></tr>"


def day(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).date().isoformat()
