"""Logging in and out, and one's own sessions: `login`, `callback/NAME`, `logout`, `session`, `sessions` and `backchannel/NAME`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from html import escape
from typing import Any, Final, final
from urllib.parse import urlencode

from gateway.authn.bound import INVALID
from gateway.authn.login.cookies import Cookie
from gateway.authn.login.flow import ended
from gateway.authn.login.logins import NOT_KEPT, Logins
from gateway.authn.login.model import SCOPE
from gateway.authn.login.pending import Wish
from gateway.authn.login.presented import SITE, TOKEN, check_origin, check_write
from gateway.authn.login.session import Live, digest
from gateway.authn.login.targets import target
from gateway.core.errors import BadRequest, DependencyDown, GatewayError, NoRoute, Theft, Unauthenticated
from gateway.core.exchange import Exchange
from gateway.core.message import Field, Request, Response
from gateway.core.reason import Reason
from gateway.portal.asked import Place, form, onward, page, query, single, words
from gateway.portal.visits import Visits, note

MOST_ENDED: Final = 4
FOREIGN: Final = frozenset({b"cross-site", b"same-site"})


@final
class LoginPortal:
    """Answers for one configuration's logins."""

    def __init__(self, logins: Logins) -> None:
        self._logins = logins
        self._sessions = logins.sessions
        self._cookie = logins.sessions.cookie
        self._visits = Visits(logins)

    def places(self) -> Iterator[Place]:
        """Every path below the portal's prefix, with its method and what answers there."""
        yield Place("login", "GET", self.login)
        for name in self._logins.providers:
            yield Place(f"callback/{name}", "GET", partial(self.callback, name))
            yield Place(f"backchannel/{name}", "POST", partial(self.backchannel, name))
        yield Place("logout", "POST", self.logout)
        yield Place("session", "GET", self.session)
        yield Place("sessions", "GET", self.listed)
        yield Place("sessions/{session}", "DELETE", self.end)

    # Logging in

    async def login(self, request: Request, exchange: Exchange) -> Response:
        """To the provider, with a state of this browser's own; a session that is over is taken back (CVE-2026-34454). Where another
        site leads somebody who is logged in, he is asked first: a login ends the session that he has (login CSRF)."""
        self._visits.check_host(request)
        asked = query(request)
        to, named = target(single(asked, "rd")), list(dict.fromkeys(asked.get("provider", self._logins.providers)))
        if unknown := [name for name in named if name not in self._logins.providers]:
            raise BadRequest(f"login: no provider {unknown[0][:80]!r}", reason=Reason.QUERY_INVALID)
        holds, stale = await self._presented(request)
        if len(named) > 1 or (holds and request.head.fields.get(SITE) in FOREIGN):
            return self._choice(named, asked, to, stale)
        wish = Wish(named[0], to, words(asked, "acr_values", SCOPE), seconds(asked))
        location, kept = await self._logins.flow.begin(wish, partial(Cookie.of, request=request))
        return Response(303, [(b"location", location.encode("ascii")), *kept, *stale, *NOT_KEPT])

    async def _presented(self, request: Request) -> tuple[bool, list[Field]]:
        """Whether the browser holds what may be a session, and the field that takes back one that is over."""
        values = self._cookie.of(request)
        for raw in values:
            try:
                await self._sessions.find(raw)
            except Unauthenticated:
                return False, [self._cookie.clear()]
            except DependencyDown:
                return True, []
        return bool(values), []

    def _choice(self, named: list[str], asked: Mapping[str, list[str]], to: str, stale: list[Field]) -> Response:
        further = [(key, values[0]) for key, values in asked.items() if key in {"acr_values", "max_age"}]
        links = [
            f'<li><a href="?{escape(urlencode([("provider", name), ("rd", to), *further]))}">{escape(name)}</a></li>'
            for name in named
        ]
        return page("Log in", f"<h1>Log in with</h1><ul>{''.join(links)}</ul>", stale)

    async def callback(self, name: str, request: Request, exchange: Exchange) -> Response:
        """Back from a provider: a new session under a new id, whatever was presented (session fixation)."""
        flow, client, clear = self._logins.flow, exchange.client, list[Field]()
        try:
            self._visits.check_host(request)
            came = query(request)
            clear = flow.pending.clear(came)
            wish, login = await flow.complete(name, came, partial(Cookie.of, request=request))
            value, live = await self._sessions.open(name, login, client)
        except GatewayError as error:
            error.headers = (*(INVALID if error.status == 401 else ()), *error.headers, *clear, *NOT_KEPT)
            told = {"issuer": name, "scheme": "session", "reason": error.reason, "detail": error.detail}
            self._logins.tell("auth.login.failed", client=client, request_id=exchange.id, **told)
            self._logins.metrics.count("gateway.logins", provider=name, outcome="failure")
            raise
        with suppress(DependencyDown):  # it is over here, and the browser must get what was stored
            await self._end_presented(request)
        note(exchange, live)
        who = {"issuer": name, "subject": live.identity.id, "scheme": "session", "credential_id": live.identity.credential_id}
        self._logins.tell("auth.login.success", client=client, request_id=exchange.id, **who)
        self._logins.metrics.count("gateway.logins", provider=name, outcome="success")
        cookie = self._cookie.set(value, max(int(live.session.ends - live.session.opened), 1))
        fields = [cookie, *clear]
        location = self._logins.origin + wish.target
        if self._sessions.model.same_site == "strict":
            # A browser sends a strict cookie only where our own page led it: not with a redirect that began at the provider.
            return onward("Logged in", location, fields)
        return Response(303, [(b"location", location.encode("ascii")), *fields, *NOT_KEPT])

    async def _end_presented(self, request: Request) -> None:
        """What the browser had before is over. Raises DependencyDown."""
        for raw in self._cookie.of(request)[:MOST_ENDED]:
            await self._sessions.end(digest(raw), "renewed by a login", None)

    # Who am I

    async def session(self, request: Request, exchange: Exchange) -> Response:
        """Whose session this is, and the token its writes need. Never a token of the provider (CVE-2024-39315)."""
        live = await self._visits.mine(request, exchange)
        return told({**shown(live), "csrf_token": self._sessions.csrf_token(live)})

    async def listed(self, request: Request, exchange: Exchange) -> Response:
        """All sessions of the same person at the same provider."""
        live = await self._visits.mine(request, exchange)
        found = await self._sessions.listed(self._sessions.tag("who", live.session.provider, live.session.subject))
        return told({"sessions": [{**shown(each), "current": each.id == live.id} for each in found]})

    async def end(self, request: Request, exchange: Exchange) -> Response:
        """End one of them by its public name."""
        live = await self._visits.mine(request, exchange)
        check_write(request, self._sessions, live)
        wanted = request.segments[-1]
        for each in await self._sessions.listed(self._sessions.tag("who", live.session.provider, live.session.subject)):
            if each.name == wanted:
                await self._sessions.end(each.id, "ended by its owner", each, client=exchange.client)
                return Response(204, [*NOT_KEPT, *([self._cookie.clear()] if each.id == live.id else [])])
        raise NoRoute("sessions: none of that name", reason=Reason.NOT_FOUND)

    # Logging out

    async def logout(self, request: Request, exchange: Exchange) -> Response:
        """End this session, then the provider's own where it has a place for that (RP-Initiated Logout 1.0). A page of another
        origin ends nothing and takes no cookie back, also where the browser sent none along."""
        self._visits.check_host(request)
        check_origin(request, self._logins.origin)
        try:
            live = await self._visits.mine(request, exchange, anywhere=True)
        except Unauthenticated:
            clear = [self._cookie.clear()] if self._cookie.of(request) else []
            return Response(303, [(b"location", self._logins.origin.encode() + b"/"), *clear, *NOT_KEPT])
        await self._visits.check_form(request, live)
        await self._sessions.end(live.id, "logout", live, client=exchange.client)
        location, fields = await self._goodbye(live), [self._cookie.clear(), (b"clear-site-data", b'"cache"')]
        if TOKEN not in request.head.fields:
            return onward("Logged out", location, fields)
        return Response(303, [(b"location", location.encode("ascii")), *fields, *NOT_KEPT])

    async def _goodbye(self, live: Live) -> str:
        provider, back = self._logins.providers[live.session.provider], f"{self._logins.origin}/"
        try:
            url = (await provider.discovery.current()).end_session
        except DependencyDown:
            url = None
        if url is None:
            return back
        return ended(url, client_id=provider.model.client_id, back=back, id_token=live.session.login.id_token)

    async def backchannel(self, name: str, request: Request, exchange: Exchange) -> Response:
        """A provider says that somebody logged out (Back-Channel Logout 1.0). What is no logout token is 400."""
        raw = single(await form(request), "logout_token") or ""
        try:
            claims = await self._logins.providers[name].signed.logout(raw)
        except Unauthenticated as error:
            raise BadRequest(f"backchannel: {error.detail}") from error
        kind = "sid" if isinstance(claims.get("sid"), str) else "sub"
        await self._sessions.end_tagged((kind, name, claims[kind]), "the provider ended it")
        # Noted when done: where the store fails, the provider tries again with the same token.
        if not await self._logins.once.first(f"logout:{name}:{claims['jti']}", 900):
            replayed = BadRequest("backchannel: a logout token that was used before")
            replayed.theft = Theft("token.replayed", name, str(claims.get("sub", "")))
            raise replayed
        return Response(200, list(NOT_KEPT))


def shown(live: Live) -> dict[str, Any]:
    """What its owner may know of a session."""
    session = live.session
    who = {"session": live.name, "issuer": session.provider, "subject": session.subject, "scheme": "session"}
    return {**who, "opened_at": int(session.opened), "expires_at": int(session.ends)}


def told(document: Mapping[str, Any], fields: Sequence[Field] = ()) -> Response:
    return Response(200, [(b"content-type", b"application/json"), *fields, *NOT_KEPT], json.dumps(document).encode())


def seconds(query: Mapping[str, list[str]]) -> int | None:
    """`max_age` of a query. Raises BadRequest query-invalid."""
    value = single(query, "max_age")
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal() and len(value) <= 8):
        raise BadRequest("login: max_age is a number of seconds", reason=Reason.QUERY_INVALID)
    return int(value)
