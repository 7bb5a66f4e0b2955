"""A connection on its way: a browser is sent to a provider and comes back with a code for the one who sent it, and nobody else.

What has to be known then lies sealed in a cookie of this browser, good once and for ten minutes, and opens only with the very
session that began: a code that somebody else was given, or that came to another login, is of no use here (RFC 9700 4.4, 4.7).
"""

import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from gateway.authn.login.cookies import LONGEST
from gateway.authn.login.flow import CODE, challenge, visible
from gateway.authn.login.logins import Logins
from gateway.authn.login.pending import SECONDS
from gateway.authn.login.session import Live
from gateway.authn.login.targets import target
from gateway.authn.login.turns import Turns
from gateway.core.errors import BadRequest, Theft, Ungranted
from gateway.core.message import Field
from gateway.core.ports import CLOCKS, Clock
from gateway.core.reason import Reason
from gateway.credentials.grants.connecting import Connecting
from gateway.credentials.grants.refresh import Pair

MOST_TOLD: Final = 200


@dataclass(frozen=True, slots=True)
class Pending:
    """A connection that was begun. `target` is where it leads then."""

    provider: str
    state: str
    verifier: str
    target: str
    begun: float


@final
class ConnectFlow:
    """Begins and completes connections. Each provider has a redirect URI of its own: an answer of one that comes by another's way
    is known by that (RFC 9700 4.4.2)."""

    def __init__(self, logins: Logins, providers: Mapping[str, Connecting], clock: Clock) -> None:
        self.cookie = logins.connecting
        self._seal = logins.connecting_seal
        self._once = logins.once
        self._providers = providers
        self._now = clock.now
        self._turns = {name: Turns() for name in providers}
        self._redirects = {name: f"{logins.origin}{logins.prefix}/connections/{name}/callback" for name in providers}

    def begin(self, name: str, live: Live, scopes: Sequence[str], to: str) -> tuple[str, Field]:
        """Where to send the browser, and the cookie that it shall bring back. Raises DependencyDown."""
        pending = Pending(name, secrets.token_urlsafe(32), secrets.token_urlsafe(48), to, self._now())
        told = [pending.provider, pending.state, pending.verifier, pending.target, pending.begun]
        sealed = self._seal.close(json.dumps(told, separators=(",", ":")).encode(), bound(live))
        url = self._providers[name].entrance(self._redirects[name], pending.state, challenge(pending.verifier), scopes)
        return url, self.cookie.set(sealed, SECONDS)

    async def complete(
        self, name: str, query: Mapping[str, Sequence[str]], cookies: Sequence[bytes], live: Live
    ) -> tuple[Pending, Pair]:
        """What came back to the provider's redirect URI. Raises BadRequest state-invalid where this session began nothing of the
        kind, Ungranted where the person or the provider refuses, Refused for the code, DependencyDown, and Unavailable for too many
        at once. Nothing is remembered of what brings no code."""
        pending = self._pending(cookies, live)
        given = {key: values[0] for key, values in query.items()}
        if any(len(values) > 1 for values in query.values()):
            raise invalid("a parameter came twice")
        state = given.get("state", "").encode("utf-8", "replace")
        if not hmac.compare_digest(state, pending.state.encode()) or pending.provider != name:
            raise invalid("another connection's state")
        provider = self._providers[name]
        if not provider.names(given.get("iss")):
            raise invalid("the answer is another provider's, or does not say whose it is")
        if "error" in given:
            raise told(name, given)
        if not CODE.fullmatch(given.get("code", "")):
            raise invalid("no code")
        async with self._turns[name]:
            if not await self._once.first(f"connect:{pending.state}", SECONDS + CLOCKS):
                replayed = invalid("used before")
                replayed.theft = Theft("token.replayed", live.session.provider, live.session.subject)
                raise replayed
            return pending, await provider.exchanged(given["code"], pending.verifier, self._redirects[name])

    def turn(self, name: str) -> Turns:
        """Bounds how many ask a provider at once."""
        return self._turns[name]

    def _pending(self, cookies: Sequence[bytes], live: Live) -> Pending:
        """Raises BadRequest: more than one of that name cannot be of our making."""
        if len(cookies) != 1 or len(cookies[0]) > LONGEST:
            raise invalid("not exactly one cookie of a connection")
        raw = self._seal.open(cookies[0], bound(live))
        if raw is None:
            raise invalid("not sealed by us for this session")
        provider, state, verifier, to, begun = json.loads(raw)
        if not -CLOCKS <= self._now() - begun < SECONDS:
            raise invalid("too old")
        return Pending(provider, state, verifier, target(to), begun)


def bound(live: Live) -> bytes:
    """The session, and whose login it is: neither may be another when the browser comes back."""
    session = live.session
    return json.dumps(["connect", live.id, session.provider, session.subject, session.opened]).encode()


def invalid(why: str) -> BadRequest:
    return BadRequest(f"connect: {why}", reason=Reason.STATE_INVALID)


def told(name: str, given: Mapping[str, str]) -> Ungranted:
    """The provider's own refusal (RFC 6749 4.1.2.1), to the person it is about: visible ASCII of bounded length, as JSON."""
    members = {"provider": name, "action": "connect", "provider_error": visible(given["error"])[:64]}
    if "error_description" in given:
        members["provider_error_description"] = visible(given["error_description"])[:MOST_TOLD]
    return Ungranted(f"connect {name}: the provider refused: {members['provider_error']}", members=members)
