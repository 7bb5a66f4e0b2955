"""Sessions as credentials of requests: what routes that accept the same logins under one policy make of the session cookie.

A cookie is sent by the browser, whoever asked it to: a request that may change something must prove that a page of this very origin
made it, by `Origin`, `Sec-Fetch-Site` and the session's own token.
"""

from collections.abc import Sequence
from typing import Final, final

from gateway.authn.login.logins import Logins
from gateway.authn.login.session import Live
from gateway.authn.login.sessions import Sessions
from gateway.authn.presented import HIDDEN, SAFE, UPGRADE
from gateway.authn.recent import Recent
from gateway.core.errors import Forbidden, GatewayError, Unauthenticated
from gateway.core.message import MOST_NOTED, Request, Response
from gateway.core.ports import Grant
from gateway.core.principal import Principal
from gateway.core.reason import Reason

TOKEN: Final = b"x-csrf-token"
ORIGIN: Final = b"origin"
SITE: Final = b"sec-fetch-site"
REMEMBERED: Final = 10_000

Noted = tuple[Principal, Live]


@final
class SessionCookies:
    """Decides session cookies for one set of accepted logins and one policy."""

    def __init__(self, logins: Logins, accepted: tuple[str, ...], grant: Grant) -> None:
        self._logins = logins
        sessions = logins.sessions
        self.cookie = sessions.cookie.name
        self._sessions = sessions
        self._accepted = accepted
        self._grant = grant
        self._monotonic = sessions.monotonic
        self._origin = sessions.model.origin
        self._authority = sessions.model.origin.removeprefix("https://")
        self._granted: Recent[str, Noted] = Recent(REMEMBERED)

    def recalled(self, request: Request) -> Principal | None:
        """Who presented this very head a moment ago, where the request only reads; None when that must be found out (again)."""
        memo = request.head.memo
        known: Noted | None = None if memo is None else memo.get(self)
        if known is None or request.method not in SAFE or UPGRADE in request.head.fields:
            return None
        principal, live = known
        return principal if live.fresh > self._monotonic() and not self._sessions.is_past(principal.expires) else None

    async def authenticate(self, request: Request, raw: bytes) -> Principal:
        """Whose session this is. Raises Unauthenticated, DependencyDown, and Forbidden for a write that nobody here asked for."""
        self._check_place(request)
        live = self._sessions.known(raw) or await self._sessions.find(raw)
        if live.session.provider not in self._accepted:
            raise Unauthenticated("session: of a login that is not accepted here", genuine=True)
        if request.head.client not in live.clients:
            await self._sessions.moves.check(live, request.head.client)
        known = self._granted.get(live.id)
        if known is None or known[1] is not live or self._sessions.is_past(known[0].expires):  # also where a role ended
            known = (self._grant(live.identity), live)
            self._granted.put(live.id, known)
        check_write(request, self._sessions, live)
        memo = request.head.memo
        if memo is not None and len(memo) < MOST_NOTED:
            memo[self] = known
        return known[0]

    def elsewhere(self, request: Request, error: GatewayError) -> Response | None:
        """Where a person's browser is sent instead of being told 401."""
        return self._logins.elsewhere(self._accepted, request, error)

    def _check_place(self, request: Request) -> None:
        """Browsers send the cookie to the one host that set it, over TLS; who brings it elsewhere has it from somewhere else."""
        if request.head.authority.removesuffix(":443") != self._authority:
            raise Unauthenticated("session: at another host than the one it was opened at")


def session_cookies(logins: Logins | None, accepted: Sequence[str], grant: Grant) -> SessionCookies | None:
    """None where none of the accepted ways is a login."""
    names = tuple(name.removeprefix("login.") for name in accepted if name.startswith("login."))
    return SessionCookies(logins, names, grant) if logins is not None and names else None


def check_write(request: Request, sessions: Sessions, live: Live) -> None:
    """Raises Forbidden for what a page of another origin may have made a browser send."""
    if request.method in SAFE and UPGRADE not in request.head.fields:
        return
    check_origin(request, sessions.model.origin, sure=UPGRADE in request.head.fields and request.method in SAFE)
    if sessions.model.csrf == "token" and request.method not in SAFE:
        token = request.head.fields.get(TOKEN)
        if token is None or TOKEN in request.head.repeated or not sessions.holds(live, token):
            raise Forbidden("a write with a session needs its X-CSRF-Token", reason=Reason.ORIGIN_DENIED)


def check_origin(request: Request, own: str, *, sure: bool = False) -> None:
    """`Origin` is our configured one; of an upgrade (`sure`) the route judges it, and only that it is there is asked here."""
    origin, site = request.head.fields.get(ORIGIN), request.head.fields.get(SITE)
    if ORIGIN in request.head.repeated or SITE in request.head.repeated:
        raise Forbidden("Origin or Sec-Fetch-Site repeated", reason=Reason.ORIGIN_DENIED)
    if sure:
        if origin is None:
            raise Forbidden("an upgrade with a session needs Origin", reason=Reason.ORIGIN_DENIED)
        return
    if origin == HIDDEN:
        origin = None
    if origin is None and site is None:
        raise Forbidden("a write with a session needs Origin or Sec-Fetch-Site", reason=Reason.ORIGIN_DENIED)
    if site is not None and site != b"same-origin":
        raise Forbidden("cross-site write with a session", reason=Reason.ORIGIN_DENIED)
    if origin is not None and origin.decode("latin-1").lower() != own:
        raise Forbidden("write with a session from another origin", reason=Reason.ORIGIN_DENIED)
