"""Whose session a request to the portal comes with, and whether a page of our own made it."""

from typing import Final, final

from gateway.authn.bound import INVALID, MISSING
from gateway.authn.login.logins import Logins
from gateway.authn.login.presented import TOKEN, check_origin, check_write
from gateway.authn.login.session import Live
from gateway.core.errors import BadRequest, Forbidden, Unauthenticated
from gateway.core.exchange import Exchange
from gateway.core.message import Request
from gateway.core.principal import Principal
from gateway.core.reason import Reason
from gateway.portal.asked import form, is_form, single

FIELD: Final = "csrf_token"


@final
class Visits:
    """Finds the sessions of one configuration's logins."""

    def __init__(self, logins: Logins) -> None:
        self._sessions = logins.sessions
        self._cookie = logins.sessions.cookie
        self._origin = logins.origin
        self._authority = logins.origin.removeprefix("https://")

    async def mine(self, request: Request, exchange: Exchange, *, anywhere: bool = False) -> Live:
        """The session presented; `anywhere`, from whatever network. Raises Unauthenticated, BadRequest and DependencyDown."""
        self.check_host(request)
        values = self._cookie.of(request)
        if len(values) > 1:
            raise BadRequest("more than one session cookie", reason=Reason.CREDENTIAL_AMBIGUOUS)
        if not values:
            raise Unauthenticated("no session", reason=Reason.CREDENTIAL_MISSING, headers=MISSING)
        try:
            live = await self._sessions.find(values[0])
        except Unauthenticated as error:
            error.headers = (*INVALID, self._cookie.clear())
            raise
        if not anywhere and request.head.client not in live.clients:
            await self._sessions.moves.check(live, request.head.client)
        note(exchange, live)
        return live

    async def check_form(self, request: Request, live: Live) -> dict[str, list[str]]:
        """The fields of a form that a page of ours sent. Raises Forbidden and BadRequest.

        The session's token may come as a form's field, because a browser has to go where it is sent.
        """
        if TOKEN in request.head.fields:
            check_write(request, self._sessions, live)
            return await form(request) if is_form(request) else {}
        check_origin(request, self._origin)
        fields = await form(request)
        token = single(fields, FIELD)
        if self._sessions.model.csrf == "token" and not self._sessions.holds(live, (token or "").encode()):
            raise Forbidden("no X-CSRF-Token, and no csrf_token in the form", reason=Reason.ORIGIN_DENIED)
        return fields

    def check_host(self, request: Request) -> None:
        """Raises BadRequest where the request came by another host: cookies and redirect URIs are this one's."""
        if request.head.authority.removesuffix(":443") != self._authority:
            raise BadRequest("logins are at another host", reason=Reason.MISDIRECTED)


def note(exchange: Exchange, live: Live) -> None:
    """The audit trail tells whose session it was."""
    exchange.principal = Principal(live.identity)
