"""People's accounts at providers: `connections`, and below each name `connect`, `callback`, `token` and `disconnect`.

Every one of them is for whoever is logged in, and touches the grant of that login alone: (provider, issuer, subject).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, final

from gateway.authn.bound import INVALID
from gateway.authn.login.browser import HTML, JSON, preferences
from gateway.authn.login.logins import NOT_KEPT, Logins
from gateway.authn.login.model import SCOPE
from gateway.authn.login.presented import SITE
from gateway.authn.login.session import Live
from gateway.authn.login.targets import target
from gateway.core.errors import BadRequest, DependencyDown, Forbidden, GatewayError, LimitExceeded, Unauthenticated, Ungranted
from gateway.core.exchange import Exchange
from gateway.core.message import Request, Response
from gateway.core.ports import Clock, Tally
from gateway.core.reason import Reason
from gateway.credentials.grants.connecting import Account, Connecting, OtherAccount, typed
from gateway.credentials.grants.grant import Key
from gateway.credentials.grants.refresh import Pair, Refused
from gateway.portal.asked import Asked, Place, onward, query, single, words
from gateway.portal.connect_flow import ConnectFlow
from gateway.portal.connect_pages import GUARDED, Connection, agreeing, consent, listing, second, typing
from gateway.portal.login import told
from gateway.portal.uses import Uses
from gateway.portal.visits import Visits

DEST: Final = b"sec-fetch-dest"
FRAMES: Final = frozenset({b"iframe", b"frame", b"embed", b"object", b"fencedframe"})
MOST_ASKED: Final = 256
"""Scopes of a link: as many as are kept of a grant. The form has those that are configured, too."""
TYPED: Final = 10
TYPED_WITHIN: Final = 600.0
"""Seconds in which one person may type in so many tokens: the provider is nobody's to ask whether one is good."""


@final
class ConnectionPortal:
    """Answers for one configuration's providers. `changed` tells all processes that a grant changed."""

    def __init__(
        self,
        logins: Logins,
        providers: Mapping[str, Connecting],
        uses: Mapping[str, Uses],
        changed: Callable[[], Awaitable[None]],
        clock: Clock,
        tally: Tally,
    ) -> None:
        self._logins = logins
        self._providers = providers
        self._uses = uses
        self._changed = changed
        self._tally = tally
        self._visits = Visits(logins)
        self._flow = ConnectFlow(logins, providers, clock)
        self._base = f"{logins.origin}{logins.prefix}/connections"

    def places(self) -> Iterator[Place]:
        """Every path below the portal's prefix, with its method and what answers there."""
        yield Place("connections", "GET", self._led(self.listed))
        for name, provider in self._providers.items():
            yield Place(f"connections/{name}/connect", "GET", self._led(partial(self.asked, name)))
            yield Place(f"connections/{name}/connect", "POST", tasked(partial(self.begin, name)))
            yield Place(f"connections/{name}/callback", "GET", tasked(partial(self.callback, name)))
            yield Place(f"connections/{name}/disconnect", "POST", tasked(partial(self.disconnect, name)))
            if provider.connect.personal_tokens:
                yield Place(f"connections/{name}/token", "POST", tasked(partial(self.token, name)))

    def _led(self, answer: Asked) -> Asked:
        """The same, for a browser that is not logged in: to the login, and back. Never within a frame of another page."""

        async def led(request: Request, exchange: Exchange) -> Response:
            if request.head.fields.get(DEST) in FRAMES:
                raise Forbidden("connections are shown in no frame", reason=Reason.ORIGIN_DENIED)
            try:
                return await tasked(answer)(request, exchange)
            except Unauthenticated as error:
                elsewhere = self._logins.elsewhere(tuple(self._logins.providers), request, error)
                if elsewhere is None:
                    raise
                return elsewhere

        return led

    # Seen

    async def listed(self, request: Request, exchange: Exchange) -> Response:
        """All providers, and what the one who is logged in has there."""
        live = await self._visits.mine(request, exchange)
        found = [await self._connection(name, live) for name in self._providers]
        if wants_page(request):
            return listing(called(live), found, self._logins.sessions.csrf_token(live))
        return told({"connections": [each.told() for each in found]})

    async def _connection(self, name: str, live: Live) -> Connection:
        title, url = self._providers[name].title, f"{self._base}/{name}/connect"
        try:
            grant = await self._providers[name].found(key(name, live))
        except DependencyDown:
            return Connection(name, title, "unknown", None, url)
        state = "none" if grant is None else "connected" if grant.is_live else "broken"
        return Connection(name, title, state, grant, url)

    # Connected

    async def asked(self, name: str, request: Request, exchange: Exchange) -> Response:
        """What the person is to agree to. Nothing happens by looking at it."""
        live = await self._visits.mine(request, exchange)
        provider, wanted = self._providers[name], query(request)
        scopes = await self._scopes(name, live, words(wanted, "scope", SCOPE, MOST_ASKED))
        to, csrf = target(single(wanted, "rd")) if "rd" in wanted else "", self._logins.sessions.csrf_token(live)
        if not wants_page(request):
            return told({"provider": name, "title": provider.title, "scopes": list(scopes), "routes": self._routes(name)})
        hidden = {"scope": " ".join(scopes), **({"rd": to} if to else {})}
        forms = [agreeing(f"{self._base}/{name}/connect", csrf, provider.title, hidden)]
        if provider.connect.personal_tokens:
            forms.append(typing(f"{self._base}/{name}/token", csrf, provider.title))
        people = [other for other, login in provider.connect.same_people.items() if login == live.session.provider]
        return consent(called(live), provider.title, self._uses[name], scopes, people, forms)

    def _routes(self, name: str) -> list[dict[str, str]]:
        return [use._asdict() for use in self._uses[name].routes]

    async def _scopes(self, name: str, live: Live, wanted: Sequence[str]) -> tuple[str, ...]:
        """What is asked for: what is configured, without which nobody may tell whose account it is; and what a link says, as far as
        something here needs it or the person has given it before, else what he has given. Raises BadRequest for more: who made that
        link?"""
        provider = self._providers[name]
        configured, needed = provider.connect.scopes, self._uses[name].scopes
        try:
            grant = await provider.found(key(name, live))
        except DependencyDown:
            grant = None
        given = grant.scopes if grant is not None else ()
        known = needed.union(configured, provider.definition.always)
        if excess := [scope for scope in wanted if scope not in known and scope not in given]:
            raise BadRequest(f"connect {name}: nothing here needs {excess[0][:80]!r}", reason=Reason.QUERY_INVALID)
        more = wanted or [scope for scope in given if scope in known]
        return tuple(dict.fromkeys([*configured, *more, *provider.definition.always]))

    async def begin(self, name: str, request: Request, exchange: Exchange) -> Response:
        """Agreed: to the provider."""
        live = await self._visits.mine(request, exchange)
        fields = await self._visits.check_form(request, live)
        scopes = await self._scopes(name, live, words(fields, "scope", SCOPE, 2 * MOST_ASKED))
        to = target(single(fields, "rd")) if "rd" in fields else f"{self._logins.prefix}/connections"
        url, pending = self._flow.begin(name, live, scopes, to)
        if wants_page(request):
            return onward("Connect", url, [*GUARDED, pending])
        return told({"provider": name, "authorize_url": url}, [pending])

    async def callback(self, name: str, request: Request, exchange: Exchange) -> Response:
        """Back from the provider: its tokens become the grant of whoever is logged in, who must be the one that began."""
        if self._is_strict(request):
            # A browser sends a strict cookie only where our own page led it: not with a redirect that began at the provider.
            return onward("Connect", f"{self._base}/{name}/callback?{(request.query or b'').decode('latin-1')}", GUARDED)
        try:
            live = await self._visits.mine(request, exchange)
            pending, pair = await self._flow.complete(name, query(request), self._flow.cookie.of(request), live)
            await self._given(name, live, request, exchange, pair)
        except (GatewayError, Refused, OtherAccount) as error:
            raise self._failed(name, error) from error
        location = (self._logins.origin + pending.target).encode("ascii")
        return Response(303, [(b"location", location), self._flow.cookie.clear(), *NOT_KEPT])

    def _is_strict(self, request: Request) -> bool:
        strict = self._logins.sessions.model.same_site == "strict"
        return strict and request.head.fields.get(SITE) == b"cross-site" and not self._logins.sessions.cookie.of(request)

    async def _given(self, name: str, live: Live, request: Request, exchange: Exchange, pair: Pair) -> None:
        """Keep what a code was given for; what is not kept is ended at the provider."""
        account = None
        try:
            account = await self._whose(name, pair)
            await self._kept(name, live, request, exchange, pair, account, personal=False)
        except (GatewayError, OtherAccount):
            await self._providers[name].drop(key(name, live), pair, account)
            raise

    async def _whose(self, name: str, pair: Pair) -> Account | None:
        """Whom the new token speaks for. A token that may not tell is good all the same: nobody then knows."""
        try:
            return await self._providers[name].account(pair.access)
        except Refused:
            return None

    async def token(self, name: str, request: Request, exchange: Exchange) -> Response:
        """A token that the person made, kept in the place of one that we were given. The provider says whose it is first."""
        live = await self._visits.mine(request, exchange)
        access = typed(single(await self._visits.check_form(request, live), "token") or "")
        if access is None:
            raise BadRequest(f"connect {name}: that is no token", reason=Reason.MALFORMED_REQUEST)
        try:
            if not await self._tally.spend(f"typed:{called(live)}", TYPED, TYPED_WITHIN):
                retry = ((b"retry-after", b"%d" % TYPED_WITHIN),)
                raise LimitExceeded(f"connect {name}: too many tokens were typed in", headers=retry)
            async with self._flow.turn(name):
                account = await self._providers[name].account(access)
            if account is None:
                raise Refused
            await self._kept(name, live, request, exchange, Pair(access, None, None), account, personal=True)
        except (GatewayError, Refused, OtherAccount) as error:
            raise self._failed(name, error) from error
        return self._done(request)

    async def _kept(
        self, name: str, live: Live, request: Request, exchange: Exchange, pair: Pair, account: Account | None, *, personal: bool
    ) -> None:
        await self._visits.mine(request, exchange)  # it may have ended while the provider was asked
        grant, replaced = await self._providers[name].keep(key(name, live), pair, account, personal=personal)
        await self._changed()
        about = {"scopes": list(grant.scopes), "expires_at": second(grant.expires_at), "replaced": replaced}
        self._tell("grant.connected", name, live, exchange, version=grant.version, account=grant.account or None, **about)
        self._count(name, "connected")

    def _failed(self, name: str, error: Exception) -> GatewayError:
        """What is answered: the cookie is taken back, whatever it was. What a provider refuses is no guess at us."""
        self._count(name, "refused" if isinstance(error, Refused | OtherAccount | Ungranted | LimitExceeded) else "failure")
        answer: GatewayError
        match error:
            case OtherAccount():
                members = {"provider": name, "action": "disconnect"}
                answer = Ungranted(f"connect {name}: another account is connected: disconnect it first", members=members)
            case Refused():
                answer = Unauthenticated(f"connect {name}: the provider does not take it", headers=INVALID, genuine=True)
            case GatewayError():
                answer = error
            case _:
                raise error
        answer.headers = (*answer.headers, self._flow.cookie.clear(), *NOT_KEPT)
        return answer

    # Disconnected

    async def disconnect(self, name: str, request: Request, exchange: Exchange) -> Response:
        """Forgotten here, in any case; then ended at the provider, where it offers that."""
        live = await self._visits.mine(request, exchange)
        await self._visits.check_form(request, live)
        gone = await self._providers[name].disconnect(key(name, live))
        if gone is not None:
            row, revoked = gone
            await self._changed()
            about = {"version": row.version, "scopes": row.scopes.split(), "revoked": revoked}
            self._tell("grant.disconnected", name, live, exchange, **about)
            self._count(name, f"disconnected-{revoked}")
        return self._done(request)

    def _done(self, request: Request) -> Response:
        if not wants_page(request):
            return Response(204, list(NOT_KEPT))
        return Response(303, [(b"location", self._base.encode("ascii")), *NOT_KEPT])

    def _tell(self, event: str, name: str, live: Live, exchange: Exchange, **about: Any) -> None:
        who = {"issuer": live.session.provider, "subject": live.session.subject, "scheme": "session"}
        where = {"client": exchange.client, "request_id": exchange.id, "credential_id": live.identity.credential_id}
        self._logins.tell(event, provider=name, **who, **where, **about)

    def _count(self, name: str, outcome: str) -> None:
        self._logins.metrics.count("gateway.connections", provider=name, outcome=outcome)


def tasked(answer: Asked) -> Asked:
    """The same within a task: who asks a database or a provider has a timeout, see server/run.py."""

    async def later(request: Request, exchange: Exchange) -> Response:
        await asyncio.sleep(0)
        return await answer(request, exchange)

    return later


def key(name: str, live: Live) -> Key:
    """The grant of whoever is logged in."""
    return name, live.session.provider, live.session.subject


def called(live: Live) -> str:
    """As the trail names people."""
    return f"{live.session.provider}:{live.session.subject}"


def wants_page(request: Request) -> bool:
    """Whether a person is to read the answer: what is asked for names HTML, and JSON no sooner."""
    wanted = preferences(request.head.fields.get(b"accept", b"").decode("latin-1"))
    return wanted.get(HTML, 0.0) > 0 and wanted.get(HTML, 0.0) >= wanted.get(JSON, 0.0)
