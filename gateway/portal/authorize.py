"""The authorization endpoint: `authorize`, where a client sends a person, and `consent`, where he answers (RFC 6749 4.1, RFC 9700).

Who he is, his login session says. What is shown, sealed into the form, is judged anew when he answers; nothing of it is kept.
He is asked each time: a program that calls itself the client gets nothing behind his back (RFC 8252 8.6).
"""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final, final
from urllib.parse import urlencode

from gateway.authn.login.logins import NOT_KEPT
from gateway.authn.login.presented import SITE, check_origin
from gateway.authn.login.session import Live
from gateway.authn.login.targets import target
from gateway.core.errors import DependencyDown, Forbidden, Unauthenticated
from gateway.core.exchange import Exchange
from gateway.core.message import Field, Request, Response
from gateway.core.ports import CLOCKS
from gateway.core.reason import Reason
from gateway.portal.asked import Place, form, onward, page, query, single
from gateway.portal.visits import Visits
from gateway.tokens.asking import Asking, Query, Whither, judged, whither
from gateway.tokens.consents import Consents
from gateway.tokens.granted import OFFLINE, Granted
from gateway.tokens.refusals import Refused

SINCE: Final = "login_since"
"""What a login that was asked for is known by when the browser is back: a sealed moment."""
ANEW: Final = frozenset({"login", "select_account"})
"""Prompts that a login which is there already does not answer."""
CONSENT: Final = "consent"
SECONDS: Final = 600.0
DEST: Final = b"sec-fetch-dest"
CROSS: Final = b"cross-site"
# What operators may have taken from the fields of all answers is here in any case.
GUARDED: Final[tuple[Field, ...]] = (
    (b"content-security-policy", b"default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
    (b"x-frame-options", b"deny"),
)


@final
class AuthorizePortal:
    """Answers for one configuration's clients."""

    def __init__(self, consents: Consents) -> None:
        self._consents = consents
        self._logins = consents.logins
        self._sessions = consents.logins.sessions
        self._visits = Visits(consents.logins)

    def places(self) -> Iterator[Place]:
        """Every path below the portal's prefix, with its method and what answers there."""
        yield Place("authorize", "GET", self.authorize)
        yield Place("authorize", "POST", self.authorize)
        yield Place("consent", "POST", self.consent)

    # Asked

    async def authorize(self, request: Request, exchange: Exchange) -> Response:
        """To the login, or the page that asks for consent, or back to the client with what is wrong."""
        self._check_place(request)
        asked = await form(request) if request.method == "POST" else query(request)
        to = whither(self._consents.clients, asked)
        try:
            asking = judged(self._consents.clients[to.client], to, asked, self._consents.audience)
            live = await self._live(request, exchange)
            if live is None and (again := self._again(request, asked)) is not None:
                return again
            if live is None or not self._suffices(live, asking, asked):
                return self._login(asking, asked)
            if "none" in asking.prompt:
                raise Refused("consent_required", "the person has to be asked")
        except Refused as refusal:
            return self._sent(to, {"error": refusal.error, "error_description": refusal.description})
        except DependencyDown:
            return self._sent(to, {"error": "temporarily_unavailable", "error_description": "try again"})
        return self._page(asking, asked, live)

    def _check_place(self, request: Request) -> None:
        self._visits.check_host(request)
        # A browser that shows it within another page says so, whatever became of the fields that forbid it.
        if request.head.fields.get(DEST, b"document") != b"document":
            raise Forbidden("authorize: not shown within another page", reason=Reason.ORIGIN_DENIED)

    async def _live(self, request: Request, exchange: Exchange) -> Live | None:
        """The login session of this browser. Raises BadRequest and DependencyDown."""
        try:
            return await self._visits.mine(request, exchange)
        except Unauthenticated:
            return None

    def _again(self, request: Request, asked: Query) -> Response | None:
        """Here once more by a way on which browsers send the session's cookie, where another site led them by one on which they do
        not: else a login would end the session that is there. None where it is that way already."""
        here = f"{self._logins.prefix}/authorize?{urlencode([*pairs(asked), *((SINCE, each) for each in asked.get(SINCE, ()))])}"
        if request.method == "POST":
            return Response(303, [(b"location", here.encode("ascii")), *NOT_KEPT])
        strict = self._sessions.model.same_site == "strict"
        return onward("Going on", here, GUARDED) if strict and request.head.fields.get(SITE) == CROSS else None

    def _suffices(self, live: Live, asking: Asking, asked: Query) -> bool:
        """Whether that login is one this client takes, and as strong and recent as it asks."""
        session, claims, now = live.session, live.session.login.claims, self._consents.now()
        accepted = self._consents.clients[asking.whither.client].login
        if accepted is not None and session.provider != accepted:
            return False
        if asking.acr_values and claims.get("acr") not in asking.acr_values:
            return False
        wanted = 0 if asking.prompt & ANEW else asking.max_age
        if wanted is None:
            return True
        moment, since = claims.get("auth_time"), self._since(asked, asking)
        if not isinstance(moment, int):
            return False
        if since is not None and session.opened >= since:
            # The login that was asked for: recent when it began, as far as the provider's clock can be told from ours.
            return moment >= since - wanted - self._logins.providers[session.provider].model.leeway
        return asking.prompt.isdisjoint(ANEW) and now - wanted <= moment <= now

    def _since(self, asked: Query, asking: Asking) -> float | None:
        """When this request sent the browser to a login; None where it did not, or long ago."""
        raw = self._consents.seals.open(asked.get(SINCE, [""])[0], bound(asking))
        moment = None if raw is None else float(raw)
        return moment if moment is not None and -CLOCKS <= self._consents.now() - moment < SECONDS else None

    def _login(self, asking: Asking, asked: Query) -> Response:
        """To the login, which leads back here. Raises Refused."""
        if "none" in asking.prompt:
            raise Refused("login_required", "the person has to log in")
        marked = self._consents.seals.close(repr(self._consents.now()).encode(), bound(asking))
        back = f"{self._logins.prefix}/authorize?{urlencode([*pairs(asked), (SINCE, marked)])}"
        if target(back) != back:
            raise Refused("invalid_request", "the request is too long to come back to after a login")
        accepted = self._consents.clients[asking.whither.client].login
        wish = [*([("provider", accepted)] if accepted is not None else []), ("rd", back)]
        if asking.acr_values:
            wish.append(("acr_values", " ".join(asking.acr_values)))
        age = 0 if asking.prompt & ANEW else asking.max_age
        if age is not None:
            wish.append(("max_age", str(age)))
        location = f"{self._logins.origin}{self._logins.prefix}/login?{urlencode(wish)}"
        return Response(303, [(b"location", location.encode("ascii")), *NOT_KEPT])

    def _page(self, asking: Asking, asked: Query, live: Live) -> Response:
        shown = [secrets.token_urlsafe(16), live.id, self._consents.now(), pairs(asked)]
        sealed = self._consents.seals.close(json.dumps(shown, separators=(",", ":")).encode(), CONSENT)
        hidden = {"request": sealed, "csrf_token": self._sessions.csrf_token(live)}
        client = self._consents.clients[asking.whither.client]
        name, action = client.name or asking.whither.client, f"{self._logins.prefix}/consent"
        body = asked_of(name, asking, live, action, hidden, limited=bool(client.scopes))
        back = f'<p>What you allowed you see and take back at <a href="{self._logins.prefix}/allowed">What you allowed</a>.</p>'
        return page("Allow access?", body + back, GUARDED)

    # Answered

    async def consent(self, request: Request, exchange: Exchange) -> Response:
        """His answer, from the page that was shown to him, in the session it was shown in, and once (CVE-2026-27124)."""
        self._check_place(request)
        check_origin(request, self._logins.origin)
        answered = await form(request)
        live = await self._live(request, exchange)
        token, sealed = single(answered, "csrf_token") or "", single(answered, "request") or ""
        if live is None or not self._sessions.holds(live, token.encode()):
            raise Forbidden("consent: not from a page of this session", reason=Reason.ORIGIN_DENIED)
        asked = await self._shown(sealed, live)
        to = whither(self._consents.clients, asked)
        try:
            asking = judged(self._consents.clients[to.client], to, asked, self._consents.audience)
            if single(answered, "answer") != "allow":
                self._consents.tell("consent.refused", client=exchange.client, request_id=exchange.id, **told(asking, live))
                raise Refused("access_denied", "the person refused")
            granted = granted_by(asking, live, self._consents.now())
            code = await self._consents.codes.issue(granted, to.redirect_uri, asking.challenge)
        except Refused as refusal:
            return self._left(to, {"error": refusal.error, "error_description": refusal.description})
        self._consents.tell("consent.given", client=exchange.client, request_id=exchange.id, **told(asking, live))
        return self._left(to, {"code": code})

    async def _shown(self, sealed: str, live: Live) -> dict[str, list[str]]:
        """What was shown. Raises Forbidden for what was shown in another session or long ago, or was answered."""
        raw = self._consents.seals.open(sealed, CONSENT)
        shown: tuple[str, str, float, list[tuple[str, str]]] = ("", "", 0.0, []) if raw is None else json.loads(raw)
        name, session, moment, asked = shown
        if session != live.id or not -CLOCKS <= self._consents.now() - moment < SECONDS:
            raise Forbidden("consent: not shown in this session, or too long ago", reason=Reason.ORIGIN_DENIED)
        if not await self._logins.once.first(f"consent:{name}", SECONDS + CLOCKS):
            raise Forbidden("consent: answered before", reason=Reason.ORIGIN_DENIED)
        found: dict[str, list[str]] = {}
        for key, value in asked:
            found.setdefault(key, []).append(value)
        return found

    def _sent(self, to: Whither, answer: Mapping[str, str]) -> Response:
        return Response(303, [(b"location", to.location(self._consents.issuer, answer).encode("ascii")), *NOT_KEPT])

    def _left(self, to: Whither, answer: Mapping[str, str]) -> Response:
        return onward("Going back", to.location(self._consents.issuer, answer), GUARDED)


def bound(asking: Asking) -> str:
    """A login that one request asked for is no login for another."""
    return json.dumps([asking.whither.client, asking.whither.redirect_uri, asking.challenge])


def pairs(asked: Query) -> list[tuple[str, str]]:
    return [(name, value) for name, values in asked.items() if name != SINCE for value in values]


def granted_by(asking: Asking, live: Live, now: float) -> Granted:
    """What he allowed."""
    identity = live.identity
    return Granted(
        client=asking.whither.client,
        issuer=identity.issuer,
        subject=identity.id,
        groups=identity.groups,
        claims=dict(identity.claims),
        scopes=asking.scopes,
        audiences=asking.audiences,
        session=live.id,
        family=secrets.token_hex(16),
        jkt=asking.jkt,
        at=now,
        until=None if OFFLINE in asking.scopes else live.session.ends,
    )


def told(asking: Asking, live: Live) -> dict[str, object]:
    """For the audit trail."""
    who = {"issuer": live.session.provider, "subject": live.session.subject, "scheme": "session"}
    return {**who, "client_id": asking.whither.client, "scopes": list(asking.scopes), "audiences": list(asking.audiences)}


def asked_of(name: str, asking: Asking, live: Live, action: str, hidden: Mapping[str, str], *, limited: bool) -> str:
    """The question, as markup: who asks, for what, for how long, and where the answer goes. A `limited` client has no rights but
    those that it is allowed here, another all."""
    lasting = "also when you are logged out, until you take it back" if OFFLINE in asking.scopes else "until you are logged out"
    kept = [scope for scope in asking.scopes if scope != OFFLINE]
    unlisted = "with none of the rights that your roles give you there." if limited else "with all the rights that you have there."
    rights = f"<p>with these rights:</p>{listed(kept)}" if kept else f"<p>{unlisted}</p>"
    fields = "".join(f'<input type="hidden" name="{escape(key)}" value="{escape(value)}">' for key, value in hidden.items())
    return (
        f"<h1>Allow {escape(name)} to act for you?</h1>"
        f"<p>You are logged in as <b>{escape(live.session.subject)}</b> at {escape(live.session.provider)}.</p>"
        f"<p><b>{escape(name)}</b> (<code>{escape(asking.whither.client)}</code>) will be able to use, in your name, {lasting}:</p>"
        f"{listed(asking.audiences)}{rights}"
        f"<p>Your answer is sent to <b>{escape(asking.whither.host)}</b>.</p>"
        f'<form method="post" action="{escape(action)}">{fields}'
        '<button name="answer" value="deny">Refuse</button> <button name="answer" value="allow">Allow</button></form>'
    )


def listed(words: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(word)}</li>' for word in words)}</ul>"
